# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Matrices that have been performed, as their indexes tell."""

from __future__ import annotations

import itertools
import typing as t
from pathlib import Path

Entry = dict[str, t.Any]
OPERATIONS = ("configure", "update", "test")


def well(axes: dict[str, str], **more: t.Any) -> Entry:
    """A combination that went well."""
    key = "_".join(axes.values()).replace("/", "-")
    operations = [
        {"operation": each, "status": "success", "log": f"{each}.log"} for each in OPERATIONS
    ]
    return {
        "id": key,
        "axes": {"project": "hello", **axes},
        "project": 0,
        "task": {},
        "sources": {},
        "state": "done",
        "status": "success",
        "culprit": "none",
        "reason": "",
        "seconds": 12.25,
        "since": 1.7e9,
        "host": "build1",
        "operations": operations,
        "tests": {"test": {"passed": 411, "failed": 0, "skipped": 3}},
        **more,
    }


def failed(entry: Entry, line: str, operation: str = "update") -> Entry:
    """The same, of which an ``operation`` has failed with this line."""
    at = OPERATIONS.index(operation)
    for number, each in enumerate(entry["operations"]):
        each["status"] = "success" if number < at else "error" if number == at else "skip"
    found = {"operation": operation, "line": line}
    return {**entry, "status": "error", "culprit": "task", "tests": {}, "first_error": found}


def lost(entry: Entry, reason: str, culprit: str = "host") -> Entry:
    """The same, of which there is no result."""
    kept = {name: entry[name] for name in ("id", "axes", "project", "task", "sources")}
    return {**kept, "state": "failed", "culprit": culprit, "reason": reason}


def cancelled(entry: Entry) -> Entry:
    """The same, if nobody wanted it any more."""
    return {**lost(entry, "interrupted"), "state": "cancelled", "culprit": "none"}


def index_of(entries: t.Sequence[Entry]) -> dict[str, t.Any]:
    """An index of these."""
    names = dict.fromkeys(name for entry in entries for name in entry["axes"])
    varying = [name for name in names if len({entry["axes"].get(name) for entry in entries}) > 1]
    return {
        "format": 1,
        "began": 1.7e9,
        "ended": 1.7e9 + 95,
        "owner": None,
        "asked": {"fail_on": "error"},
        "varying": varying,
        "combinations": list(entries),
    }


def product(**axes: t.Sequence[str]) -> list[Entry]:
    """All combinations of these values, which went well."""
    names = [name.replace("var_", "$") for name in axes]
    return [well(dict(zip(names, some, strict=True))) for some in itertools.product(*axes.values())]


def write_log(folder: Path, entry: Entry, operation: str, text: str) -> None:
    """Leave the log of an operation among the results."""
    place = folder / str(entry["id"])
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{operation}.log").write_text(text)
