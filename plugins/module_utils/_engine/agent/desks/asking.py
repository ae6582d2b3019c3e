# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""Asking: requests for tasks, one controller after another, in a job."""

from __future__ import annotations

import dataclasses
import random

from ...controller.backoff import Backoff
from ...controller.priority import Priority, Question, questions
from ...machine.inventory import find_machine
from ...records.machine import MachineHeader
from ..job import CancelToken, Job, JobError
from ..outcomes import Answer
from ..state import Accepted, State
from .base import LAST_WORDS, STOPPING, Desk, Work

# The longest pause of a controller that fails, in seconds.
_LONGEST = 300.0
# What a request may take beyond the time of its exchange, in seconds.
_EXTRA = 10.0


@dataclasses.dataclass
class _Request(Work):
    """A request that is under way, and the URLs that are asked, in order."""

    urls: tuple[str, ...]


class AskingDesk(Desk[_Request]):
    """Asks controllers for a task, if one could be performed."""

    name = "asking"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        interval = state.settings.poll_interval
        self._bad = Backoff(interval, max(_LONGEST, interval), state.clock)
        self._without_machines = False

    def turn(self, now: float) -> None:
        state = self.state
        if self._works or state.accepted:
            # What comes of that calls for the next turn.
            self._next = now + state.settings.poll_interval
            return
        self._next = now + state.settings.poll_interval * random.uniform(0.8, 1.2)
        headers = state.headers()
        self._tell_of_machines(headers)
        headers = {name: each for name, each in headers.items() if not state.brake.holds(name)}
        asked = [] if state.brake.holds() or not self._could_begin() else self._questions(headers)
        if not asked:
            return
        most = len(asked) * (state.settings.request_timeout + _EXTRA)

        def work(_token: CancelToken) -> Answer:
            return state.duties.ask(asked, headers)

        job = Job("task request", work, Answer, timeout=most)
        self._works.append(_Request(job, tuple(each.controller.url for each in asked)))
        state.asking = True

    def _tell_of_machines(self, headers: dict[str, MachineHeader]) -> None:
        state = self.state
        if headers:
            self._without_machines = False
        elif not self._without_machines and not state.bootstrapping:
            self._without_machines = True
            state.say.warning(f"no build machines for toolchain {state.settings.toolchain_name}")

    def _could_begin(self) -> bool:
        """Return whether there is a place for a task, or one to be had by an interruption."""
        return self.state.free_places() > 0 or any(
            controller.priority.interrupting > busy.priority.interrupting
            for controller in self.state.settings.controllers
            for busy in self.state.running
        )

    def _questions(self, headers: dict[str, MachineHeader]) -> list[Question]:
        state = self.state
        taken = () if state.duties.shares_machines else state.working
        room = state.duties.room()
        idle = [
            name
            for name in headers
            if name not in taken
            and (
                state.fake is not None
                or state.duties.free(find_machine(state.machines, name), room)
            )
        ]
        controllers = [
            controller
            for controller in state.settings.controllers
            if not self._bad.waits(controller.url)
        ]
        asked = []
        for question in questions(controllers, idle, state.running, state.free_places()):
            offered = tuple(name for name in question.machines if name in headers)
            if offered:
                asked.append(Question(question.controller, offered))
        return asked

    def _removed(self, work: _Request) -> None:
        self.state.asking = False
        self.state.call("bootstraps", at_once=True)

    def _ended(self, work: _Request) -> None:
        state = self.state
        interval = state.settings.poll_interval * random.uniform(0.8, 1.2)
        self._next = state.clock() + interval
        try:
            answer: Answer = work.job.result()
        except JobError as error:
            if state.mode == "stop":
                return
            raise JobError(f"unable to request a task: {error}") from error
        failed = {url for url, _words in answer.failures}
        for url, words in answer.failures:
            state.say.error(words)
            self._bad.failed(url, words)
        for url in work.urls:
            if url not in failed:
                self._bad.succeeded(url)
            if url == answer.url:
                break
        if answer.entry is not None:
            state.accepted.append(Accepted(answer.entry, Priority(answer.priority)))
            state.call("tasks", at_once=True)

    def _stop(self, job: Job[Answer], deadline: float) -> None:
        job.deadline = deadline - STOPPING + LAST_WORDS
