# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one way of telling people, mail or webhook, has still to tell."""

from __future__ import annotations

import dataclasses
import typing as t

# Of one message.
_BATCH = 50
# Of all that wait. What came and went is left out first, and nothing else has to be: of each
# condition the last word is enough, and there are not so many.
_MOST = 500
# Seconds until a way that is broken is tried again, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 900.0


@dataclasses.dataclass(frozen=True)
class Event:
    """That a condition has begun or has ended, `at` this time of the wall clock.

    `number` counts what is told by all ways.
    """

    number: int
    what: t.Literal["began", "ended"]
    key: str
    text: str
    at: float


@dataclasses.dataclass
class Outbox:
    """The events that one way has still to tell, in order.

    `left_out` counts those that are not told any more. `tried` is how many of the first ones were
    in the last attempt: if that has failed, the next one is of just these, so that one that has
    come through all the same can be known by its number. `attempts` have failed in a row, and
    there is none before `next`, in seconds since the boot.
    """

    events: list[Event] = dataclasses.field(default_factory=list)
    left_out: int = 0
    tried: int = 0
    attempts: int = 0
    next: float = 0.0

    def add(self, event: Event) -> None:
        """Have `event` told."""
        self.events.append(event)
        while len(self.events) > _MOST and self._leave_out():
            pass

    def _leave_out(self) -> bool:
        """Leave out the first two events of one condition; return whether there are such."""
        seen: dict[str, Event] = {}
        for event in self.events:
            if event.key in seen:
                gone = (seen[event.key].number, event.number)
                self.events = [each for each in self.events if each.number not in gone]
                self.left_out += 2
                self.tried = 0
                return True
            seen[event.key] = event
        return False

    def due(self, up: float) -> bool:
        """Return whether something is to be told `up` seconds after the boot."""
        return bool(self.events) and (up >= self.next or self.next > up + _LONGEST_PAUSE)

    def batch(self) -> list[Event]:
        """Return the events of the next message, and take them for tried."""
        self.tried = self.tried or min(len(self.events), _BATCH)
        return self.events[: self.tried]

    def told(self) -> None:
        """Note that the last message has come through."""
        del self.events[: self.tried]
        self.left_out = self.tried = self.attempts = 0
        self.next = 0.0

    def failed(self, up: float) -> float:
        """Note that it has not; return for how many seconds this way is left alone."""
        pause = min(_FIRST_PAUSE * 2.0 ** min(self.attempts, 30), _LONGEST_PAUSE)
        self.attempts += 1
        self.next = up + pause
        return pause
