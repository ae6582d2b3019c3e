# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""Clearing away: what the dead have left, failed machines that are too many, old logs."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing as t

from ...controller.backoff import Backoff
from ...errors import EngineError, sentence
from ...host.host import Host
from ...machine.sweep import sweep
from ..recovery import remove_leftovers, remove_old_logs, settle_orphans
from ..state import State
from .base import Desk, Work

# In seconds: between two rounds, and of a chore that fails, the first and the longest pause.
_INTERVAL = 60.0
_LOGS_INTERVAL = 3600.0
_PAUSES = (60.0, 3600.0)


@dataclasses.dataclass
class _Chore:
    """Something to be done each `interval` seconds, with a host that it reports to.

    An `urgent` one is done whenever the desk is called, and each interval even if it fails: it
    may have failed because of one of many things.
    """

    name: str
    interval: float
    perform: t.Callable[[Host], object]
    urgent: bool = False
    next: float = 0.0


class RecoveryDesk(Desk[Work]):
    """Clears away, each chore by itself: one that fails is told once and tried again later."""

    name = "recovery"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._failures = Backoff(*_PAUSES, state.clock)
        duties, settings = state.duties, state.settings
        self._chores = [
            _Chore("sweep", _INTERVAL, sweep, urgent=True),
            _Chore(
                "orphans",
                _INTERVAL,
                lambda host: settle_orphans(host, duties.journal),
                urgent=True,
            ),
            _Chore("suspended", _INTERVAL, lambda host: duties.suspensions_of(host).prune()),
            _Chore("leftovers", math.inf, self._remove_leftovers),
            _Chore(
                "logs",
                _LOGS_INTERVAL,
                lambda host: remove_old_logs(host, settings.log_dir, settings.log_age),
            ),
        ]

    def turn(self, now: float) -> None:
        called = now < self._next
        for chore in self._chores:
            due = chore.next
            if not chore.urgent:
                due = max(due, self._failures.until(chore.name))
            elif called:
                due = now
            if now >= due:
                self._perform(chore, now)
        self._next = now + _INTERVAL
        # A play, too, may have left results.
        self.state.call("outbox")

    def troubles(self) -> dict[str, str]:
        chores = {f"clearing away {key}": words for key, words in self._failures.reasons().items()}
        return super().troubles() | chores

    def _perform(self, chore: _Chore, now: float) -> None:
        errors: list[str] = []
        host = self.state.duties.host
        report = functools.partial(_sort, errors, host.report)
        try:
            chore.perform(dataclasses.replace(host, report=report))
            if errors:
                raise EngineError("; ".join(errors))
        except Exception as error:
            words = sentence(error)
            if words != self._failures.reason(chore.name):
                self.state.say.error(words)
            self._failures.failed(chore.name, words)
        else:
            self._failures.succeeded(chore.name)
        failed = self._failures.reason(chore.name) is not None
        chore.next = now if failed and not chore.urgent else now + chore.interval

    def _remove_leftovers(self, host: Host) -> None:
        duties = self.state.duties
        toolchain = self.state.settings.toolchain_name
        remove_leftovers(host, duties.suspensions_of(host), toolchain)


def _sort(errors: list[str], report: t.Callable[[str], None], line: str) -> None:
    """Keep a line that tells of an error, and report any other."""
    kind, colon, text = line.partition(": ")
    if colon and kind == "error":
        errors.append(text)
    else:
        report(line)
