# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""The outbox: results that controllers do not have yet, a few deliveries at once."""

from __future__ import annotations

import contextlib
import dataclasses
import math

from ...controller.backoff import FIRST_PAUSE, LONGEST_PAUSE, SHORTEST_PAUSE, Backoff
from ...controller.entries import Row
from ...controller.urls import masked
from ...errors import sentence
from ..job import CancelToken, Job, JobError
from ..outcomes import Delivered
from ..state import State
from .base import LAST_WORDS, STOPPING, Desk, Work

_DELIVERIES = 4
# In seconds: between two looks at the queue, where plays may have put results, too.
_INTERVAL = 60.0
# How many request timeouts a delivery may take: there may be artifacts.
_EXCHANGES = 4


@dataclasses.dataclass
class _Delivery(Work):
    """A result that is being delivered."""

    entry: int
    title: str


class OutboxDesk(Desk[_Delivery]):
    """Has results delivered, each at its time.

    That is the time in the journal. But no entry is looked at again before a second is over,
    one whose job died, or whose failure is not in the journal, before a pause of our own; and
    one whose time is further away than the longest pause, because the clock was wrong, is due.
    """

    name = "outbox"
    modes = ("run", "drain", "reload", "stop")

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._failures = Backoff(FIRST_PAUSE, LONGEST_PAUSE, state.clock)
        self._tried: dict[int, float] = {}

    def turn(self, now: float) -> None:
        self._next = now + _INTERVAL
        state = self.state
        journal = state.duties.journal
        for entry in journal.expire(state.settings.toolchain_name):
            state.say.error(
                f"the result of task {entry.title} from {masked(entry.controller)} was not "
                f"delivered in time, after {entry.attempts} attempts: {entry.last_error}; it is "
                f"kept as number {entry.id}"
            )
        queue = journal.queue(state.settings.toolchain_name)
        self._forget({entry.id for entry in queue})
        under_way = {work.entry for work in self._works}
        for entry in queue:
            if entry.id in under_way:
                continue
            due = self._time_of(entry, now)
            if due > now:
                self._next = min(self._next, due)
            elif len(self._works) < _DELIVERIES:
                self._tried[entry.id] = now
                try:
                    self._begin(entry)
                except Exception as error:
                    self._undelivered(entry.id, _title(entry), sentence(error))
                    self._next = min(self._next, self._time_of(entry, now))

    def _time_of(self, entry: Row, now: float) -> float:
        """Return when to try to deliver `entry`, or to look whether it has expired."""
        # The last attempt is made before the end, and the end is told a second after it.
        wait = min(entry.wait, max(entry.left, SHORTEST_PAUSE))
        floor = self._tried.get(entry.id, -math.inf) + SHORTEST_PAUSE
        return max(now + wait, floor, self._failures.until(entry.id))

    def _forget(self, queued: set[int]) -> None:
        self._failures.keep(queued)
        self._tried = {entry: at for entry, at in self._tried.items() if entry in queued}

    def _begin(self, entry: Row) -> None:
        state, number = self.state, entry.id

        def work(_token: CancelToken) -> Delivered:
            return state.duties.deliver(number)

        stopping = state.mode == "stop"
        most = LAST_WORDS if stopping else _EXCHANGES * state.settings.request_timeout
        title = _title(entry)
        self._works.append(_Delivery(Job(title, work, Delivered, timeout=most), number, title))

    def _removed(self, work: _Delivery) -> None:
        # Others may have waited for this one.
        self.state.call("outbox", at_once=True)
        self._tried[work.entry] = self.state.clock()

    def _ended(self, work: _Delivery) -> None:
        try:
            result: Delivered = work.job.result()
        except JobError as error:
            self._undelivered(work.entry, work.title, str(error))
            return
        if result.error is None:
            # The controller has it, or somebody else is delivering it. If it is still queued
            # then, it is left alone for a while; if not, this is forgotten.
            self._failures.failed(work.entry)
            return
        if not result.noted:
            self._undelivered(work.entry, work.title, result.error)
            return
        self._failures.succeeded(work.entry)
        self.state.say.error(result.error)

    def _undelivered(self, entry: int, title: str, words: str) -> None:
        """Note an attempt that left nothing in the journal."""
        former = self._failures.reason(entry)
        pause = self._failures.failed(entry, words)
        if self.state.mode == "stop":
            return
        if words != former:
            self.state.say.error(f"{title}: {words}; next attempt in {pause:.0f} s")
        # Where the journal cannot be written we remember it ourselves.
        with contextlib.suppress(Exception):
            self.state.duties.journal.failed(entry, words, pause)

    def idle(self) -> bool:
        """Return whether nothing is under way, nor due now but what waits for a reload."""
        if self._works:
            return False
        return self.state.mode == "reload" or self.due() > self.state.clock()

    def _stop(self, job: Job[Delivered], deadline: float) -> None:
        job.deadline = deadline - STOPPING + LAST_WORDS


def _title(entry: Row) -> str:
    return f"delivery of the result of {entry.title}"
