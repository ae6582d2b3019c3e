# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""Bootstraps: machines that are new, or were bootstrapped with something else."""

from __future__ import annotations

import dataclasses
import functools
import math

from ...controller.backoff import SHORTEST_PAUSE, Backoff
from ...errors import sentence
from ...machine.inventory import Machine
from ..job import Job, JobError
from ..outcomes import Bootstrapped
from ..state import State
from .base import Desk, Work

# In seconds: between two looks, and for a machine that fails, the first and the longest pause.
_INTERVAL = 60.0
_PAUSES = (60.0, 3600.0)


@dataclasses.dataclass
class _Bootstrap(Work):
    """A machine that is bootstrapped, and the place that this takes."""

    machine: Machine
    place: int


class BootstrapsDesk(Desk[_Bootstrap]):
    """Has machines bootstrapped, at places that no task has."""

    name = "bootstraps"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._bad = Backoff(*_PAUSES, state.clock)
        # When each machine was bootstrapped, the last time.
        self._tried: dict[str, float] = {}
        # Why those failed that have not been bootstrapped since, by name.
        self._failures: dict[str, str] = {}
        # Those that failed by a fault of the host, since which it was mended so often.
        self._by_host: set[tuple[str, str | None]] = set()
        self._mended = 0

    def turn(self, now: float) -> None:
        self._next = now + _INTERVAL
        self._forgive()
        self._bad.keep([_key(machine) for machine in self.state.machines])
        busy = {work.machine.bootstrapped_path for work in self._works}
        for machine in self.state.machines:
            # A request that is under way may bring a task, and one that has come has its place.
            promised = bool(self.state.asking) + len(self.state.accepted)
            if self.state.free_places() - promised <= 0:
                break
            if machine.bootstrapped_path in busy or self._bad.waits(_key(machine)):
                continue
            again = self._tried.get(machine.bootstrapped_path, -math.inf) + SHORTEST_PAUSE
            if now < again:
                self._next = min(self._next, again)
                continue
            try:
                self._begin(machine, now)
            except Exception as error:
                self._unavailable(machine, sentence(error))
        self._next = min(self._next, self._bad.next())

    def _begin(self, machine: Machine, now: float) -> None:
        duties, place = self.state.duties, self.state.lowest_place()
        action = duties.plan(machine)
        if action == "none":
            return
        self._tried[machine.bootstrapped_path] = now
        why = f" ({'; '.join(machine.reasons)})" if machine.reasons else ""
        self.state.say.info(f"machine {machine.name}: {action}{why}")
        work = functools.partial(duties.bootstrap, machine, place)
        job = Job(f"bootstrap of {machine.name}", work, Bootstrapped)
        self._works.append(_Bootstrap(job, machine, place))
        self.state.places.add(place)
        self.state.bootstrapping = True

    def _removed(self, work: _Bootstrap) -> None:
        self.state.places.discard(work.place)
        self.state.bootstrapping = bool(self._works)
        # Which sees what became of the machine, before anybody is asked for tasks.
        self.state.call("survey", at_once=True)

    def _ended(self, work: _Bootstrap) -> None:
        machine, say = work.machine, self.state.say
        try:
            result = work.job.result()
        except JobError as error:
            result = Bootstrapped(str(error))
            self.state.call("recovery")
        if result.failure is None and result.unsaved:
            # It is of use all the same; the reason has been told.
            self._bad.failed(_key(machine), result.unsaved)
        elif result.failure is None:
            self._bad.succeeded(_key(machine))
            if self._failures.pop(machine.name, None) is not None:
                self.state.lease.tell(failed=dict(self._failures))
            say.info(f"machine {machine.name}: done")
        elif result.busy:
            self._bad.failed(_key(machine), result.failure)
            say.info(result.failure)
        elif self.state.mode != "stop":
            self._unavailable(machine, result.failure, result.logs)
            if result.culprit == "host":
                self._by_host.add(_key(machine))
                self.state.brake.suspect()

    def _forgive(self) -> None:
        """Let machines be tried again that failed by a fault which is mended now."""
        if self._mended != self.state.brake.mended:
            self._mended = self.state.brake.mended
            for key in self._by_host:
                self._bad.succeeded(key)
            self._by_host.clear()

    def _unavailable(self, machine: Machine, failure: str, logs: str | None = None) -> None:
        pause = self._bad.failed(_key(machine), failure)
        place = f"; its logs are in {logs}" if logs else ""
        self.state.say.error(
            f"machine {machine.name} is not available: {failure}{place}; "
            f"next attempt in {pause:.0f} s, or when it is replaced"
        )
        self._failures[machine.name] = failure
        self.state.lease.tell(failed=dict(self._failures))


def _key(machine: Machine) -> tuple[str, str | None]:
    """Return what to leave alone after a failure: this revision of the machine."""
    identity = machine.manifest.id if machine.manifest else None
    return machine.directory, identity
