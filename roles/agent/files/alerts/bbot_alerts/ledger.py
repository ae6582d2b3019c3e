# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger: which conditions there are, and what each way has still to tell of them."""

from __future__ import annotations

import dataclasses
import secrets
import typing as t

from .clock import Moment
from .conditions import Condition
from .outbox import Event, Outbox

# A condition has to be gone for so many seconds to have ended, twice as long each time that it
# has come back since, and at most for so many.
_CALM, _LONGEST_CALM = 60.0, 3600.0
# One that has ended is forgotten after so many seconds; then it has not come back, but is new.
_MEMORY = 6 * 3600.0
# So many of those are remembered at most.
_REMEMBERED = 300


@dataclasses.dataclass
class Entry:
    """A condition that there is, or was.

    `there` says whether it was seen in the last round. It was so since `first` and until `last`,
    in seconds since the boot, and began at `began` by the wall clock. `told` says whether its
    beginning was told and its end was not yet, `ends` how often both were.
    """

    text: str
    began: float
    first: float
    last: float
    there: bool = True
    told: bool = False
    ends: int = 0


@dataclasses.dataclass
class Ledger:
    """All that a round leaves to the next one. `origin` sets its numbers apart from another's."""

    boot: str = ""
    origin: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))
    number: int = 0
    entries: dict[str, Entry] = dataclasses.field(default_factory=dict)
    outboxes: dict[str, Outbox] = dataclasses.field(default_factory=dict)

    def begin(self, ways: t.Collection[str], moment: Moment) -> None:
        """Begin a round in which people are told by these ways.

        Who is told by a new one hears of what there is already.
        """
        if self.boot != moment.boot:
            self._boot(moment)
        self.outboxes = {
            way: self.outboxes[way] if way in self.outboxes else self._outbox() for way in ways
        }

    def _boot(self, moment: Moment) -> None:
        """Reckon anew: the seconds of another boot say nothing."""
        self.boot = moment.boot
        for entry in self.entries.values():
            entry.first = entry.last = moment.up
        for outbox in self.outboxes.values():
            outbox.next = 0.0

    def _outbox(self) -> Outbox:
        outbox = Outbox()
        for key, entry in self.entries.items():
            if entry.told:
                outbox.add(self._event("began", key, entry, entry.began))
        return outbox

    def look(self, there: t.Mapping[str, Condition], moment: Moment, *, all_of: bool) -> None:
        """Take note of the conditions that are `there`.

        Unless these are `all_of` them, nothing is known of the others.
        """
        for key, condition in there.items():
            entry = self.entries.get(key)
            if entry is None:
                entry = Entry(condition.text, moment.wall, moment.up, moment.up)
                self.entries[key] = entry
            elif not (entry.there or entry.told):
                # It has come back.
                entry.first, entry.began = moment.up, moment.wall
            entry.there, entry.last = True, moment.up
            if not entry.told:
                entry.text = condition.text
                if moment.up - entry.first >= condition.hold:
                    entry.told = True
                    self._tell("began", key, entry, entry.began)
        if all_of:
            for key in sorted(self.entries.keys() - there.keys()):
                self._look_at_absent(key, self.entries[key], moment)
            ended = [key for key, entry in self.entries.items() if not (entry.there or entry.told)]
            for key in sorted(ended, key=lambda key: self.entries[key].last)[:-_REMEMBERED]:
                del self.entries[key]

    def _look_at_absent(self, key: str, entry: Entry, moment: Moment) -> None:
        entry.there, gone = False, moment.up - entry.last
        if entry.told:
            if gone >= min(_CALM * 2.0 ** min(entry.ends, 30), _LONGEST_CALM):
                entry.told = False
                entry.ends += 1
                self._tell("ended", key, entry, moment.wall)
                entry.text = ""
        elif not entry.ends or gone >= _MEMORY:
            del self.entries[key]

    def _tell(self, what: t.Literal["began", "ended"], key: str, entry: Entry, at: float) -> None:
        event = self._event(what, key, entry, at)
        for outbox in self.outboxes.values():
            outbox.add(event)

    def _event(self, what: t.Literal["began", "ended"], key: str, entry: Entry, at: float) -> Event:
        self.number += 1
        return Event(self.number, what, key, entry.text, at)
