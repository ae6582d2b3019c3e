# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The brake: whether tasks are asked for after something that was no task's fault."""

from __future__ import annotations

import collections
import math
import re
import time
import typing as t

from ..controller.backoff import Backoff
from ..host.diagnostics import Diagnostics

# After a fault of the host, or of a machine: seconds without tasks, at first and at most.
_PAUSES = (60.0, 3600.0)
# For so long, in seconds, a task that has begun has to show that this host can perform it, before
# another one is asked for: a broken host loses one, not as many as it performs at once. The
# second is for a host that has ended a task well in the last seconds, by the third.
_HEAD_START, _SHORT_START, _RECENT = 3.0, 0.3, 10.0
# So many tasks in a row, each of which can have failed because it wished to, make it the machine.
_TOO_MANY = 3
# What stands for the host, which no machine is called.
_HOST = None


class Brake:
    """Keeps tasks from being asked for after faults that were not theirs.

    A fault of the host holds up all tasks, one of a machine those of that machine, for 60
    seconds at first and for an hour at most. A fault of the host that is met in rehearsals, too,
    holds tasks up until one goes well, and not any longer. `mended` counts how often that was so.
    """

    def __init__(self, say: Diagnostics, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._faults = Backoff(*_PAUSES, clock)
        self._doubts: collections.Counter[str] = collections.Counter()
        self._last = -1.0
        self._well = -math.inf
        self._suspected = False
        self._standing: str | None = None
        self.mended = 0

    def fault(self, machine: str | None, reason: str) -> None:
        """Note a fault of `machine`, or of the host if that is None."""
        if machine is _HOST:
            self._last = self._clock()
            self._well = -math.inf
        if self._faults.waits(machine):
            # Of a task that was running already: the brake is on.
            return
        pause = self._faults.failed(machine, reason)
        where = f" on machine {machine}" if machine is not None else ""
        # The alarm is the fault itself, which has been told.
        self._say.warning(f"no task{where} is asked for in the next {pause:.0f} s: {reason}")

    def doubt(self, machine: str, reason: str) -> bool:
        """Note that a task made `machine` fail, unless the machine is out of order.

        Where several in a row did so it is a fault of the machine. Returns whether it is.
        """
        self._doubts[machine] += 1
        if self._doubts[machine] < _TOO_MANY:
            return False
        self.fault(machine, reason)
        return True

    def suspect(self) -> None:
        """Note that something other than a task went wrong which may be a fault of the host."""
        self._suspected = True

    def released(self, machine: str, began: float) -> None:
        """Note that a task on `machine`, begun at that time, went as it should."""
        self._faults.succeeded(machine)
        del self._doubts[machine]
        self.host_is_well(began)

    def host_is_well(self, began: float) -> None:
        """Note that the host did what it had to for a task begun then, whatever a machine did.

        What ran when the fault came says nothing of it.
        """
        if began > self._last:
            self._well = self._clock()
            self._faults.succeeded(_HOST)

    @property
    def head_start(self) -> float:
        """For how many seconds a task that has begun keeps others from being asked for."""
        return _SHORT_START if self._clock() - self._well < _RECENT else _HEAD_START

    def holds(self, machine: str | None = None) -> bool:
        """Return whether no task is to be asked for: on `machine`, or at all if that is None."""
        if machine is _HOST and self._standing is not None:
            return True
        return self._faults.waits(machine)

    def troubles(self) -> dict[str, str]:
        """Return why no tasks are asked for, by what is at fault: the host or a machine."""
        found = {
            "host" if key is _HOST else f"machine {key}": f"no task is asked for: {reason}"
            for key, reason in self._faults.reasons().items()
            if self._faults.waits(key)
        }
        if self._standing is not None:
            found["host"] = f"no task is performed until it is mended: {self._standing}"
        return found

    @property
    def in_doubt(self) -> bool:
        """Whether a rehearsal is to show how the host is."""
        return self._suspected or self.holds()

    def rehearsed(self, failure: str | None) -> None:
        """Note what a rehearsal has shown: why it failed, or None if it went well."""
        self._suspected = False
        if failure is not None:
            if _gist(failure) != _gist(self._standing or ""):
                self._say.error(f"this host performs no tasks until that is mended: {failure}")
            self._standing = failure
        elif self._standing is not None:
            self._standing = None
            self._faults.succeeded(_HOST)
            self.mended += 1
            self._say.info("this host performs tasks again")


def _gist(failure: str) -> str:
    """Return `failure` without what is another number each time, such as in names of copies."""
    return re.sub(r"\d+", "#", failure)
