# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Back-off: how long to leave alone what keeps failing."""

from __future__ import annotations

import dataclasses
import math
import random
import time
import typing as t

# Seconds until the next attempt to deliver a result: at first, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0

# Nothing is tried more often than once in so many seconds.
SHORTEST_PAUSE = 1.0


def pause_after(attempts: int, first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> float:
    """Return the seconds to wait after so many earlier failures.

    The pause is doubled by each of them, and varied by a fifth so that hosts which failed at
    the same moment do not come back at the same moment. It is never longer than `longest`, nor
    shorter than a second.
    """
    pause = min(first * 2.0 ** min(max(attempts, 0), 30), longest) * random.uniform(0.8, 1.2)
    return max(SHORTEST_PAUSE, min(pause, longest))


@dataclasses.dataclass(frozen=True)
class Failure:
    """What failed last, how often in a row, and until when, by the clock, to wait."""

    reason: str
    count: int
    until: float


class Backoff:
    """Failures by key, each with a pause that grows from `first` to `longest` seconds.

    Times are those of `clock`, by default the monotonic one, so that a step of the wall clock
    makes no difference. Whatever the clock did, no pause reaches further ahead than the longest.
    """

    def __init__(
        self, first: float, longest: float, clock: t.Callable[[], float] = time.monotonic
    ) -> None:
        self._first = first
        self._longest = max(longest, SHORTEST_PAUSE)
        self._clock = clock
        self._failures: dict[t.Hashable, Failure] = {}

    def failed(self, key: t.Hashable, reason: str = "") -> float:
        """Note a failure of `key`. Returns for how many seconds to leave it alone."""
        former = self._failures.get(key)
        count = former.count + 1 if former else 1
        pause = pause_after(count - 1, self._first, self._longest)
        self._failures[key] = Failure(reason, count, self._clock() + pause)
        return pause

    def succeeded(self, key: t.Hashable) -> bool:
        """Forget the failures of `key`. Returns whether there were any."""
        return self._failures.pop(key, None) is not None

    def reason(self, key: t.Hashable) -> str | None:
        """Return why `key` failed the last time, or None if it has not failed."""
        failure = self._failures.get(key)
        return failure.reason if failure else None

    def reasons(self) -> dict[t.Hashable, str]:
        """Return why what has failed did so the last time, by key."""
        return {key: failure.reason for key, failure in self._failures.items()}

    def until(self, key: t.Hashable) -> float:
        """Return when `key` may be tried again; minus infinity if it has not failed."""
        failure = self._failures.get(key)
        if failure is None:
            return -math.inf
        return min(failure.until, self._clock() + self._longest)

    def waits(self, key: t.Hashable) -> bool:
        """Return whether `key` is to be left alone now."""
        return self._clock() < self.until(key)

    def next(self) -> float:
        """Return when the next pause is over; infinity if there is none."""
        now = self._clock()
        pauses = [self.until(key) for key in self._failures]
        return min((until for until in pauses if until > now), default=math.inf)

    def keep(self, keys: t.Collection[t.Hashable]) -> None:
        """Forget the failures of everything but `keys`."""
        for key in self._failures.keys() - set(keys):
            del self._failures[key]
