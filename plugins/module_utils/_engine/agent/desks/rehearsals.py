# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""Rehearsals: after a fault of the host, whether it still is there, until it is not."""

from __future__ import annotations

import dataclasses
import functools
import random

from ..job import Job, JobError
from ..outcomes import Rehearsed
from .base import Desk, Work

# Between two rehearsals, and for one at most, in seconds. Whoever mends a fault sees the agent go
# on within a minute.
_INTERVAL, _LONGEST = 15.0, 60.0
# On so many machines at most: one by itself may be out of order.
_MOST = 5


@dataclasses.dataclass
class _Rehearsal(Work):
    """A rehearsal that is under way, and the place that it takes."""

    place: int


class RehearsalsDesk(Desk[_Rehearsal]):
    """Has rehearsals as long as it is in doubt whether the host can perform tasks."""

    name = "rehearsals"
    longest_rest = _INTERVAL

    def turn(self, now: float) -> None:
        state = self.state
        self._next = now + _INTERVAL
        machines = [
            machine for machine in state.machines if machine.state not in ("broken", "unlinked")
        ]
        if self._works or not state.brake.in_doubt or not machines:
            return
        # Not the same ones each time, but those first that tasks are performed on.
        random.shuffle(machines)
        machines.sort(key=lambda machine: machine.bootstrapped is None)
        place = state.lowest_place()
        work = functools.partial(state.duties.rehearse, machines[:_MOST], place)
        job = Job("rehearsal", work, Rehearsed, timeout=_LONGEST)
        self._works.append(_Rehearsal(job, place))
        state.places.add(place)

    def _removed(self, work: _Rehearsal) -> None:
        self.state.places.discard(work.place)

    def _ended(self, work: _Rehearsal) -> None:
        state = self.state
        try:
            result: Rehearsed = work.job.result()
        except JobError as error:
            state.call("recovery")
            if state.mode != "stop":
                state.brake.rehearsed(str(error))
            return
        if result.busy:
            # Somebody has the machines, or they are out of order themselves.
            return
        state.brake.rehearsed(result.failure)
        if result.failure is None:
            state.call("bootstraps", "asking", at_once=True)
