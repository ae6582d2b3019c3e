# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""Tasks: each in a job, at a place of its own, until its result is in the journal."""

from __future__ import annotations

import dataclasses

from ...controller.backoff import Backoff
from ...controller.journal import Entry, JournalError, settle
from ...controller.priority import Busy, Priority, victims
from ...controller.urls import masked
from ...errors import EngineError, sentence
from ...records.task import Task
from ..duties import blame
from ..job import CancelToken, Job, JobError
from ..outcomes import Performed
from ..state import Accepted, State
from .base import Desk, Work

# Seconds until a task that could not be given a result is tried to be given one again.
_PAUSES = (1.0, 60.0)


@dataclasses.dataclass
class _Performance(Work):
    """A task that is performed: its entry in the journal, its title, its place, and since when."""

    entry: int
    title: str
    busy: Busy
    place: int
    began: float
    interrupted: bool = False


class TasksDesk(Desk[_Performance]):
    """Begins the tasks that were accepted, and takes what became of them."""

    name = "tasks"
    modes = ("run", "drain", "reload", "stop")

    def __init__(self, state: State) -> None:
        super().__init__(state)
        # Tasks without a performer, by entry, and why: each has to be given a result.
        self._unsettled: dict[int, str] = {}
        self._settling = Backoff(*_PAUSES, state.clock)

    def turn(self, now: float) -> None:
        while self.state.accepted:
            accepted = self.state.accepted.pop(0)
            try:
                self._begin(accepted)
            except Exception as error:
                self._give_up(accepted.entry, error)
        for entry in list(self._unsettled):
            self._settle(entry)
        self._next = self._settling.next()

    def _begin(self, accepted: Accepted) -> None:
        """Begin a task. Raises whatever keeps it from being begun."""
        state, priority = self.state, accepted.priority
        if state.mode == "stop":
            raise EngineError("the agent is ending", culprit="none")
        journal = state.duties.journal
        entry = journal.get(accepted.entry)
        if entry is None:
            raise JournalError(f"the journal {journal.path} has lost task {accepted.entry}")
        for victim in self._victims(priority, entry.machine):
            self._interrupt(victim, entry.title)
        place = state.lowest_place()
        title = f"task {entry.title} on machine {entry.machine}"
        state.say.info(f"{title}: accepted from {masked(entry.controller)} as number {entry.id}")
        found: Entry = entry

        def work(token: CancelToken) -> Performed:
            return state.duties.perform_entry(found, token, place=place, boosted=priority.boosted)

        busy = Busy(entry.machine, priority)
        job = Job(title, work, Performed)
        self._works.append(_Performance(job, entry.id, title, busy, place, state.clock()))
        state.places.add(place)
        self._tell()
        # There may be more where this came from.
        state.call("asking", at_once=True)

    def _victims(self, priority: Priority, machine: str) -> list[Busy]:
        """Return the tasks that have to make way for one with `priority` on `machine`."""
        state = self.state
        needed = None if state.duties.shares_machines else machine
        return victims(priority, needed, state.running, state.free_places())

    def _tell(self) -> None:
        """Have the other desks know what runs."""
        state = self.state
        state.working = [work.busy.machine for work in self._works]
        state.titles = [work.title for work in self._works]
        state.begun = [work.began for work in self._works]
        state.running = [work.busy for work in self._works if not work.interrupted]

    def _interrupt(self, victim: Busy, title: str) -> None:
        """Have the task of `victim` make way for the one called `title`."""
        journal = self.state.duties.journal
        for work in self._works:
            if work.busy is not victim:
                continue
            reason = f"interrupted for task {title}"
            entry = journal.get(work.entry)
            if entry is not None:
                task = Task.parse(entry.task, f"journal entry {entry.id}")
                journal.give_back(entry.id, task, culprit="host", reason=reason)
            self.state.say.info(f"{work.title}: {reason}")
            work.interrupted = True
            self._tell()
            work.job.terminate()

    def _give_up(self, entry: int, error: Exception) -> None:
        """Have a task that cannot be begun get its result now: nobody else sees to it."""
        words = sentence(error)
        culprit = blame(error)
        if culprit == "none":
            self.state.say.info(f"task number {entry} is not begun: {words}")
        else:
            self.state.say.error(f"task number {entry} cannot be begun: {words}")
        if culprit == "host":
            self.state.brake.fault(None, words)
        self._unsettled[entry] = words

    def _settle(self, number: int) -> None:
        """Give a task that nobody performs its result, or try again later."""
        if self._settling.waits(number):
            return
        duties = self.state.duties
        try:
            entry = duties.journal.get(number)
            # One that another lease owns is settled when that is cleared away.
            if entry is not None and entry.state == "running" and entry.owner == duties.owner:
                settle(duties.journal, number)
                duties.journal.describe(
                    number, culprit="host", reason=self._unsettled[number], phases={}
                )
        except Exception as error:
            words = f"task number {number} cannot be given a result: {sentence(error)}"
            if self._settling.reason(number) != words:
                self.state.say.error(words)
            self._settling.failed(number, words)
            return
        del self._unsettled[number]
        self._settling.succeeded(number)
        self.state.call("outbox", at_once=True)

    def _removed(self, work: _Performance) -> None:
        self.state.places.discard(work.place)
        self._tell()
        self.state.call("outbox", at_once=True)
        self.state.call("asking", "bootstraps", at_once=True)

    def _ended(self, work: _Performance) -> None:
        state, title = self.state, work.title
        try:
            result: Performed = work.job.result()
        except JobError as error:
            self._died(work, error)
            return
        reason = f" ({result.reason})" if result.reason else ""
        words = f"{result.status}{reason}, {result.seconds:.1f} s; logs: {result.logs}"
        report = state.say.warning if result.at_will else state.say.info
        if self._faulty(work, result):
            report = state.say.error
        report(f"{title}: {words}")

    def _faulty(self, work: _Performance, result: Performed) -> bool:
        """Put the brake on, or let go of it, by a `result`; whether a person must look at it."""
        brake = self.state.brake
        machine = result.machine or work.busy.machine
        if work.interrupted:
            return result.culprit in ("machine", "host")
        if result.culprit == "host":
            brake.fault(None, result.reason)
            return True
        if result.at_will:
            brake.host_is_well(work.began)
            return brake.doubt(machine, result.reason)
        if result.culprit == "machine":
            brake.host_is_well(work.began)
            brake.fault(machine, result.reason)
            return True
        if result.reason != "interrupted":
            brake.released(machine, work.began)
        return False

    def _died(self, work: _Performance, error: JobError) -> None:
        """Take note of a job that ended without a word."""
        state = self.state
        state.say.error(f"{work.title}: {error}")
        # What has it by its lease is cleared away, and settled, by the recovery; a task that it
        # had not made its own yet, by us.
        self._unsettled[work.entry] = str(error)
        state.call("tasks", at_once=True)
        state.call("recovery")
        if not work.interrupted and state.mode != "stop":
            state.brake.fault(None, str(error))

    def idle(self) -> bool:
        return super().idle() and not self.state.accepted
