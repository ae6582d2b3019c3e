# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a matrix has come to: of each combination, and in all."""

from __future__ import annotations

import collections
import typing as t

from ..records.values import Status
from .states import DONE, FAILED, RUNNING, WAITING, Entry, Index

# Exit statuses.
SUCCESS, TASK, HOST = 0, 1, 3


def exit_of(entry: Entry, fail_on: str) -> int:
    """Return the exit status that a combination comes to; one that did not end fails nothing."""
    if entry["state"] == FAILED or entry.get("culprit") in ("machine", "host"):
        return HOST
    if entry["state"] != DONE or fail_on == "never":
        return SUCCESS
    return TASK if Status(entry["status"]) >= Status(fail_on) else SUCCESS


def exit_of_all(index: Index) -> int:
    """Return the worst of them."""
    fail_on = index["asked"]["fail_on"]
    return max(exit_of(entry, fail_on) for entry in index["combinations"])


def is_bad(entry: Entry) -> bool:
    """Whether a combination has failed, whatever people let pass."""
    return exit_of(entry, "error") != SUCCESS


def word(entry: Entry) -> str:
    """Return in one word what has become of a combination."""
    if entry["state"] == DONE and entry.get("culprit") not in ("machine", "host"):
        return str(entry["status"])
    if entry["state"] == DONE or entry["state"] == FAILED:
        return f"{entry.get('culprit') or 'host'} fault"
    return str(entry["state"])


def counts(index: Index) -> dict[str, int]:
    """Return how many have become what, the gravest first."""
    found = collections.Counter(word(entry) for entry in index["combinations"])
    order = {str(status): number for number, status in enumerate(Status)}
    return {name: found[name] for name in sorted(found, key=lambda name: -order.get(name, 99))}


def is_over(entry: Entry) -> bool:
    """Whether nothing more becomes of a combination."""
    return entry["state"] not in (WAITING, RUNNING)


def title(entry: Entry, names: t.Sequence[str]) -> str:
    """Return what people call a combination: its values on the axes ``names``."""
    parts = [
        f"{name.removeprefix('$')}={value}" if name.startswith("$") else value
        for name in names
        if (value := entry["axes"].get(name))
    ]
    return " · ".join(parts) or entry["id"]


def why(entry: Entry) -> str:
    """Return why a combination did not go well, on one line; empty if it did."""
    found = entry.get("first_error")
    if found and entry.get("culprit") not in ("machine", "host"):
        return f"{found['operation']}: {found['line']}"
    return str(entry.get("reason") or "")
