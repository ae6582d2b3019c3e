# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How tasks went, day by day: how long they took, how many failed, how long they waited."""

from __future__ import annotations

import dataclasses
import datetime
import statistics
import typing as t

from ..controller.history import Glance
from ..host.phases import how_started

_BAD = ("error", "abort", "abnormal")


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A day: how many tasks ``ended`` of those that were received then, and how.

    ``failed`` are those with an error or worse, ``faults`` these that a machine or the host is to
    blame for. ``rate`` and ``warm`` are percent, the others seconds: the median, that which nine
    of ten did not exceed, and the mean of waiting for room. None if there is none.
    """

    label: str
    ended: int = 0
    failed: int = 0
    faults: int = 0
    rate: float | None = None
    middle: float | None = None
    most: float | None = None
    wait: float | None = None
    warm: float | None = None


def buckets(tasks: t.Iterable[Glance], today: datetime.date, days: int) -> list[Bucket]:
    """Return the last ``days`` days, the oldest first."""
    labels = [str(today - datetime.timedelta(days=days - 1 - n)) for n in range(days)]
    found: dict[str, list[Glance]] = {label: [] for label in labels}
    days_of: dict[int, str] = {}
    for task in tasks:
        # The day begins at a full quarter of an hour everywhere.
        quarter = int(task.received // 900)
        if quarter not in days_of:
            days_of[quarter] = _day(900 * quarter)
        if (day := days_of[quarter]) in found:
            found[day].append(task)
    return [_bucket(label, some) for label, some in found.items()]


def _day(seconds: int) -> str:
    try:
        return str(datetime.date.fromtimestamp(seconds))
    except (ValueError, OverflowError, OSError):
        return ""


def _bucket(label: str, tasks: t.Sequence[Glance]) -> Bucket:
    if not tasks:
        return Bucket(label)
    failed = [task for task in tasks if task.status in _BAD]
    phased = [task.phases for task in tasks if task.phases]
    durations = sorted(sum(phases.values()) - phases.get("wait", 0.0) for phases in phased)
    starts = [how for how in map(how_started, phased) if how]
    return Bucket(
        label,
        ended=len(tasks),
        failed=len(failed),
        faults=sum(task.culprit in ("machine", "host") for task in failed),
        rate=100 * len(failed) / len(tasks),
        middle=statistics.median(durations) if durations else None,
        most=durations[int(0.9 * (len(durations) - 1))] if durations else None,
        wait=statistics.fmean(p.get("wait", 0.0) for p in phased) if phased else None,
        warm=100 * starts.count("warm") / len(starts) if starts else None,
    )
