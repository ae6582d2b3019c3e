# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Whom to leave alone for how long: controllers and machines that keep failing."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .delivery import pause_after


@dataclasses.dataclass(frozen=True)
class Failure:
    """What failed last, how often in a row, and until when (time.monotonic()) to wait."""

    reason: str
    count: int
    until: float


class Patience:
    """Failures by key; the waits grow from ``first`` to ``most`` seconds."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._failures: dict[t.Hashable, Failure] = {}

    def failed(self, key: t.Hashable, reason: str) -> float:
        """Note a failure; for how many seconds to leave ``key`` alone."""
        count = self._failures[key].count + 1 if key in self._failures else 1
        pause = pause_after(count - 1, self._first, self._most)
        self._failures[key] = Failure(reason, count, time.monotonic() + pause)
        return pause

    def succeeded(self, key: t.Hashable) -> None:
        """Forget what failed."""
        self._failures.pop(key, None)

    def waits(self, key: t.Hashable) -> bool:
        """Whether ``key`` is to be left alone now."""
        failure = self._failures.get(key)
        return failure is not None and time.monotonic() < failure.until

    def next(self) -> float:
        """When the next wait is over; infinity if there is none."""
        now = time.monotonic()
        return min(
            (f.until for f in self._failures.values() if f.until > now), default=float("inf")
        )
