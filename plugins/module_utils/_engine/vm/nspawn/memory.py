# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A container that has used up its memory, and of which the kernel ends no process for that.

The kernel does so only when nothing of a control group can be reclaimed. Where the disk is fast
there is always something: the files that the processes run from, which are read again at once. So
all of them may be busy with that, and with nothing else, for as long as they are let.
"""

from __future__ import annotations

import os
import re
import typing as t

from ..limits import HIERARCHIES

_PROC = "/proc"
# The name begins with that of a lease, which begins with a number; see limits.
_OWN = re.compile("bbot-[0-9]")
# Seconds between two looks, and how many of them in a row have to be bad.
_INTERVAL = 2.0
_LOOKS = 3
# The share of the limit that cannot be reclaimed, as it is in no file.
_FULL = 0.95
# So many times all that is left for files was read again since the last look.
_TURNS = 10


class Figures(t.NamedTuple):
    """Bytes of a control group: its limit, what cannot be reclaimed, what was read again so far."""

    limit: int
    held: int
    again: int


class Strain:
    """Tells when the container that the process ``pid`` waits for gets on no more."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looked: float | None = None
        self._again = 0
        self._bad = 0

    def look(self, now: float) -> bool:
        """Whether it has got on no more for seconds; that begins anew then. `now` is monotonic."""
        if self._looked is not None and now < self._looked + _INTERVAL:
            return False
        first, self._looked = self._looked is None, now
        found = figures(self._pid)
        if found is None:
            return False
        again, self._again = found.again - self._again, found.again
        left = max(found.limit - found.held, 1)
        bad = found.held >= _FULL * found.limit and again >= _TURNS * left
        self._bad = self._bad + 1 if bad and not first else 0
        if self._bad < _LOOKS:
            return False
        self._bad = 0
        return True


def figures(pid: int) -> Figures | None:
    """Return the figures of the control group that was made for the machine of `pid`, if any."""
    try:
        with open(f"{_PROC}/{pid}/cgroup", encoding="utf-8") as file:
            groups = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    except (OSError, ValueError):
        return None
    for names, path in groups.items():
        if "memory" in names.split(","):
            place = _own(os.path.join(HIERARCHIES, "memory"), path)
            return _figures(place, "memory.limit_in_bytes", ("total_rss", "total_shmem"), "total_")
    return _figures(_own(HIERARCHIES, groups.get("", "")), "memory.max", ("anon", "shmem"), "")


def _own(hierarchy: str, path: str) -> str:
    """The machine's group at or above `path`; empty if none is: others' limits are not its own."""
    while path.strip("/"):
        if _OWN.match(os.path.basename(path)):
            return os.path.join(hierarchy, path.lstrip("/"))
        path = os.path.dirname(path)
    return ""


def _figures(place: str, limit: str, held: t.Collection[str], prefix: str) -> Figures | None:
    if not place:
        return None
    try:
        with open(os.path.join(place, limit), encoding="ascii") as file:
            most = int(file.read())
        with open(os.path.join(place, "memory.stat"), encoding="ascii") as file:
            stat = {name: int(value) for name, value in (line.split() for line in file)}
    except (OSError, ValueError):
        return None
    pages = stat.get(f"{prefix}workingset_refault_file", 0)
    return Figures(most, sum(stat.get(name, 0) for name in held), pages * os.sysconf("SC_PAGESIZE"))


def badness(pid: int) -> int:
    """Return how gladly the kernel would end a process for lack of memory; -1 if it has ended."""
    try:
        with open(f"{_PROC}/{pid}/oom_score", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return -1
