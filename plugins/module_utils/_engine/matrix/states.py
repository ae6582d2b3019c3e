# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What may become of a combination, and whether an index on disk says what one can say."""

from __future__ import annotations

import math
import re
import typing as t

from ..records.values import Status
from .plan import MACHINE, check_fields

# There is a result; there is none, by a fault of a host or a machine; it was ended, or not begun,
# because nobody wanted it any more.
WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED)

Entry = dict[str, t.Any]
Index = dict[str, t.Any]

_ID = re.compile(r"[A-Za-z0-9+_-][A-Za-z0-9.+_-]{0,250}")
_COUNTS = ("passed", "failed", "skipped")


def check_index(index: t.Any, form: int) -> None:
    """Raise what an index that cannot be used raises: it may be anybody's, and damaged.

    That is MatrixError, ValueError, TypeError, KeyError or AttributeError. Its format has to be
    ``form``.
    """
    if index["format"] != form:
        raise ValueError(f"its format is {index['format']!r:.20}, not {form}")
    _number(index["began"])
    if index["ended"] is not None:
        _number(index["ended"])
    _texts(index["varying"])
    if index["asked"]["fail_on"] != "never":
        Status(index["asked"]["fail_on"])
    keys = set()
    for entry in index["combinations"]:
        key = entry["id"]
        if not isinstance(key, str) or not _ID.fullmatch(key):
            raise ValueError(f"{key!r:.80} is no id")
        if key in keys:
            raise ValueError(f"there are two of {key}")
        keys.add(key)
        try:
            _check_entry(entry)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{key} is damaged: {error}") from None
    if not keys:
        raise ValueError("there are no combinations")


def _check_entry(entry: t.Mapping[str, t.Any]) -> None:
    if entry["state"] not in STATES:
        raise ValueError(f"there is no state {entry['state']!r:.80}")
    _texts([*entry["axes"], *entry["axes"].values(), entry["axes"][MACHINE]])
    if isinstance(entry["project"], bool) or not isinstance(entry["project"], int):
        raise TypeError("its project is no number")
    check_fields(entry["task"])
    _texts([*entry["sources"], *entry["sources"].values(), *entry.get("tried", [])])
    _texts([entry[name] for name in ("host", "culprit", "reason") if name in entry])
    for name in ("seconds", "since"):
        _number(entry.get(name, 0))
    found = entry.get("first_error") or {"operation": "", "line": ""}
    _texts([found["operation"], found["line"]])
    for each in entry.get("operations") or []:
        _texts([each["operation"], each["log"], str(Status(each["status"]))])
    for tests in (entry.get("tests") or {}).values():
        for name in _COUNTS:
            _number(tests[name])
        failure = tests.get("first_failure") or {"name": "", "text": ""}
        _texts([failure["name"], failure["text"]])
    if entry["state"] == DONE:
        Status(entry["status"])
        _texts([entry["name"], entry["version"]])
        _number(entry["seconds"])


def _texts(values: t.Iterable[t.Any]) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r:.80} is no text")


def _number(value: t.Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{value!r:.80} is no number")
