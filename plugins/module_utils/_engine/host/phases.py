# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Where the time of a bootstrap or a task goes."""

from __future__ import annotations

import contextlib
import time
import typing as t


class Phases:
    """Named stretches of time, one after another; a name may come again after a retry.

    ``report`` is told of each beginning, ``watch`` just the name.
    """

    def __init__(self, report: t.Callable[[str], None]) -> None:
        self.watch: t.Callable[[str], None] = lambda _name: None
        self._report = report
        self._begun = time.monotonic()
        self._name = ""
        self._seconds: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """End the phase under way, if any, and begin ``name``."""
        self.end()
        self._name = name
        self._begun = time.monotonic()
        self._report(f"phase {name}")
        self.watch(name)

    def end(self) -> None:
        """End the phase under way."""
        if self._name:
            passed = time.monotonic() - self._begun
            self._seconds[self._name] = self._seconds.get(self._name, 0.0) + passed
            self._name = ""

    @contextlib.contextmanager
    def during(self, name: str) -> t.Iterator[None]:
        """The phase ``name`` for the length of a with statement."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, in order of first beginning."""
        return {name: round(seconds, 3) for name, seconds in self._seconds.items()}


def how_started(phases: t.Mapping[str, float]) -> str:
    """Return how a task's machine came up, `warm` or `cold`; empty if it did not.

    One that could not be resumed was booted after that, and so is cold.
    """
    if "start" in phases:
        return "cold"
    return "warm" if "resume" in phases else ""
