# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""The survey: which machines there are, each poll interval and when somebody changes them."""

from __future__ import annotations

from ...host.host import HostError
from ...vm.accelerator import RETRY_INTERVAL
from ..state import State
from ..watch import Watch
from .base import Desk, Source, Work


class SurveyDesk(Desk[Work]):
    """Keeps the list of machines up to date, and the accelerator."""

    name = "survey"
    # A toolchain that is there again is seen within a minute.
    longest_rest = 30.0

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._watch = Watch(state.duties.host)
        self._free = state.free_places()
        self._accelerator_at = state.clock() + RETRY_INTERVAL

    def sources(self) -> list[Source]:
        watched = self._watch.fileno() >= 0 and not self._rest.waits("reap")
        return [self._watch] if watched else []

    def _reap(self) -> None:
        if self._watch.changed():
            self.state.call("survey", "bootstraps", "asking", "outbox")

    def turn(self, now: float) -> None:
        state = self.state
        self._next = now + state.settings.poll_interval
        if now >= self._accelerator_at:
            self._accelerator_at = now + RETRY_INTERVAL
            if state.duties.reconsider_accelerator():
                accelerator = state.duties.accelerator
                state.say.info(f"accelerator {accelerator.name}: {accelerator.reason}")
        if state.fake is not None:
            return
        former = (self._free, state.headers())
        self._free = state.free_places()
        try:
            state.machines = state.duties.machines()
        except HostError:
            # Without a toolchain, or their folder, there are none to offer.
            state.machines = []
            raise
        self._watch.refresh()
        state.call("bootstraps", at_once=True)
        if (self._free, state.headers()) != former:
            state.call("asking", at_once=True)
