# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""What every desk of the agent has: a time, a guard, a back-off, and jobs."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import traceback
import typing as t

from ...controller.backoff import SHORTEST_PAUSE, Backoff
from ...errors import sentence
from ..job import Job
from ..state import Mode, State

# A desk at which something goes wrong rests for so many seconds at first.
_FIRST_REST = 1.0

# A desk has a turn at least once in so many seconds.
_LONGEST_WAIT = 60.0

# When the agent has to end, its jobs may take so many seconds, and the last words to
# controllers so many of these.
STOPPING = 7.0
LAST_WORDS = 2.0


@dataclasses.dataclass
class Work:
    """Something that a desk has under way, in a job."""

    job: Job[t.Any]


_Work = t.TypeVar("_Work", bound=Work)


class Source(t.Protocol):
    """What can be waited for: its descriptor becomes readable."""

    def fileno(self) -> int: ...


class Desk(t.Generic[_Work]):
    """One kind of the agent's work.

    A subclass does what is due in `turn`, where it may set `_next`, and takes what a job has
    left in `_ended`. Both may raise whatever they like: that becomes one line and a pause. Times
    are those of the monotonic clock.
    """

    name = ""
    # In which modes of the agent the desk begins something.
    modes: t.ClassVar[tuple[Mode, ...]] = ("run",)
    # For how many seconds it rests at most when something goes wrong.
    longest_rest: t.ClassVar[float] = 300.0

    def __init__(self, state: State) -> None:
        self.state = state
        self._rest = Backoff(_FIRST_REST, self.longest_rest, state.clock)
        self._works: list[_Work] = []
        self._next = 0.0
        self._last = -math.inf

    def due(self) -> float:
        """Return when the desk has something to do; infinity if only an event brings that."""
        if self.state.mode not in self.modes:
            return math.inf
        wanted = self._next
        if self.name in self.state.called:
            called_at_once = self.state.called[self.name]
            wanted = min(wanted, self._last + (0.0 if called_at_once else SHORTEST_PAUSE))
        return max(wanted, self._rest.until("turn"), self._rest.until("job"))

    def turn(self, now: float) -> None:
        """Do what is due at `now`."""
        raise NotImplementedError

    def jobs(self) -> list[Job[t.Any]]:
        """Return the jobs under way."""
        return [work.job for work in self._works]

    def sources(self) -> list[Source]:
        """Return what to wait for besides the time; nothing while the desk cannot take it."""
        return [] if self._rest.waits("reap") else list(self.jobs())

    def wake(self) -> float:
        """Return when to visit the desk at the latest."""
        if self._rest.waits("reap"):
            return min(self.due(), self._rest.until("reap"))
        deadlines = [job.deadline for job in self.jobs() if job.deadline is not None]
        return min([self.due(), *deadlines])

    def troubles(self) -> dict[str, str]:
        """Return why what went wrong did so, by what it is, until it has gone well again."""
        reasons = [reason for reason in self._rest.reasons().values() if reason]
        return {self.name: "; ".join(dict.fromkeys(reasons))} if reasons else {}

    def idle(self) -> bool:
        """Return whether an agent that is to end need not wait for this desk."""
        return not self._works

    def visit(self) -> None:
        """Take what has ended, and do what is due. Raises nothing."""
        if not self._rest.waits("reap"):
            self._guarded("reap", self._reap)
        now = self.state.clock()
        if now >= self.due():
            self.state.called.pop(self.name, None)
            self._last = now
            # Unless the turn says something else.
            self._next = now + _LONGEST_WAIT
            if not self._guarded("turn", functools.partial(self.turn, now)):
                # Again as soon as the pause is over.
                self._next = now

    def stop(self, deadline: float) -> None:
        """Have the jobs end by `deadline`, since the agent has to. Raises nothing."""
        for job in self.jobs():
            self._guarded("stop", functools.partial(self._stop, job, deadline))

    def _stop(self, job: Job[t.Any], deadline: float) -> None:
        """Have one job end by `deadline`."""
        job.terminate()

    def kill(self) -> None:
        """End the jobs at once. Raises nothing."""
        for job in self.jobs():
            self.state.say.warning(f"killing {job.name}: it did not end in time")
            self._guarded("stop", job.kill)

    def _reap(self) -> None:
        trouble: Exception | None = None
        for work in list(self._works):
            try:
                ended = work.job.ended()
            except Exception as error:
                trouble = error
                continue
            if ended:
                self._works = [each for each in self._works if each is not work]
                self._removed(work)
                self._guarded("job", functools.partial(self._ended, work))
        if trouble is not None:
            raise trouble

    def _removed(self, work: _Work) -> None:
        """Give back what `work` had; nothing here can go wrong."""

    def _ended(self, work: _Work) -> None:
        """Take what the job of `work` has left."""
        raise NotImplementedError

    def _guarded(self, key: str, call: t.Callable[[], object]) -> bool:
        """Return whether `call` went well. Otherwise that is told in one line, and `key` rests."""
        try:
            call()
        except Exception as error:
            self._failed(key, sentence(error))
            with contextlib.suppress(Exception):
                self.state.say.trace("".join(traceback.format_exception(error)))
            return False
        if self._rest.succeeded(key):
            self.state.say.info(f"{self.name}: working again")
        return True

    def _failed(self, key: str, words: str) -> None:
        """Note that something went wrong. It is told once, not at each further attempt."""
        former = self._rest.reason(key)
        pause = self._rest.failed(key, words)
        if words != former:
            self.state.say.error(f"{words}; {self.name} rests for {pause:.0f} s")
