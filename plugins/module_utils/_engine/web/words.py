# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Numbers, times and states in words, as the templates show them."""

from __future__ import annotations

import time
import typing as t

from ..host.guest_lines import cut
from ..host.phases import how_started

_GOOD = ("success", "current", "delivered", "done")
_BAD = ("error", "abort", "abnormal", "broken", "damaged", "expired")
_ODD = ("warning", "missing", "obsolete", "newer", "unlinked", "interrupt", "queued")
_LONGEST = 300


def tone(word: t.Any) -> str:
    """Return the class by which a status or a state is coloured."""
    for name, words in (("good", _GOOD), ("bad", _BAD), ("odd", _ODD)):
        if word in words:
            return name
    return "none"


def moment(seconds: float) -> str:
    """Return a time for people, by the host's clock."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return "at an odd time"


def iso(seconds: float) -> str:
    """Return a time for programs."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return ""


def ago(since: t.Any, now: float) -> str:
    """Return how long ago that is, in steps of some size: nobody is told of each second."""
    if not isinstance(since, int | float):
        return "an unknown time"
    seconds = max(0, now - since)
    if seconds < 10:
        return "some seconds"
    if seconds < 120:
        return f"{int(seconds) // 10 * 10} s"
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return ""


def counted(number: int, one: str, many: str, none: str) -> str:
    """Return how many there are, in words for one, for many and for none."""
    return none if not number else f"{number} {one if number == 1 else many}"


def size(number: t.Any) -> str:
    """Return a number of bytes for people."""
    value = float(number or 0)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def brief(text: t.Any) -> str:
    """Return a text that others wrote, on one line, and no longer than can be read."""
    return cut(str(text or ""), _LONGEST)


def started(phases: t.Mapping[str, float] | None) -> str:
    """Return how a task's machine came up."""
    return how_started(phases or {})


def total(phases: t.Mapping[str, float] | None) -> str:
    """Return how long a task has taken, in seconds; empty if that is not known."""
    return f"{sum(phases.values()):.1f}" if phases else ""


def pair(bucket: t.Any, name: str) -> tuple[str, t.Any]:
    """Return the name of a stretch of time, and one of its figures."""
    return bucket.label, getattr(bucket, name)


FILTERS: dict[str, t.Callable[..., t.Any]] = {
    each.__name__: each
    for each in (tone, moment, iso, ago, counted, size, brief, started, total, pair)
}
