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
from ...controller.urls import masked
from ...host.room import Room
from ...records.machine import MachineHeader
from ..job import CancelToken, Job, JobError
from ..outcomes import Answer
from ..state import Accepted, State
from .base import LAST_WORDS, STOPPING, Desk, Work

# The longest pause of a controller that fails, in seconds, and that after a fault of the host.
_LONGEST, _LONGEST_HERE = 300.0, 30.0
_HERE = "here"
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
        self._here = Backoff(interval, max(_LONGEST_HERE, interval), state.clock)
        self._without_machines = False

    def turn(self, now: float) -> None:
        state = self.state
        if self._works or state.accepted:
            # What comes of that calls for the next turn.
            self._next = now + state.settings.poll_interval
            return
        if state.begun and now < (until := max(state.begun) + state.brake.head_start):
            self._next = until
            return
        self._next = now + state.settings.poll_interval * random.uniform(0.8, 1.2)
        headers = state.headers()
        self._tell_of_machines(headers)
        headers = {name: each for name, each in headers.items() if not state.brake.holds(name)}
        if state.brake.holds() or self._here.waits(_HERE) or not self._could_begin():
            return
        room = state.duties.room()
        if words := room.disk_objection:
            self._hindered(words)
            return
        asked = self._questions(headers, room)
        if not asked:
            return
        others = state.duties.auxiliaries(
            [machine for machine in state.machines if not state.brake.holds(machine.name)], room
        )
        most = len(asked) * (state.settings.request_timeout + _EXTRA)

        def work(_token: CancelToken) -> Answer:
            return state.duties.ask(asked, headers, others)

        job = Job("task request", work, Answer, timeout=most)
        self._works.append(_Request(job, tuple(each.controller.url for each in asked)))
        state.asking = True

    def troubles(self) -> dict[str, str]:
        found = super().troubles()
        if (words := self._here.reason(_HERE)) is not None:
            found["host"] = f"nobody is asked for tasks: {words}"
        if self._without_machines:
            found["machines"] = "there is none that tasks could be performed on"
        for controller in self.state.settings.controllers:
            if (words := self._bad.reason(controller.url)) is not None:
                found[f"controller {masked(controller.url)}"] = words
        return found

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

    def _questions(self, headers: dict[str, MachineHeader], room: Room) -> list[Question]:
        state = self.state
        # Of one name there is but one of these.
        machines = {each.name: each for each in state.machines if each.state == "current"}
        taken = () if state.duties.shares_machines else state.working
        idle = [
            name
            for name in headers
            if name not in taken
            and (state.fake is not None or state.duties.free(machines[name], room))
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
        if answer.obstacle is not None:
            self._hindered(answer.obstacle)
            return
        if self._here.succeeded(_HERE):
            state.say.info("asking: working again")
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

    def _hindered(self, words: str) -> None:
        """Take note of a fault of the host, which is told once: no controller is to blame."""
        if words != self._here.reason(_HERE):
            self.state.say.error(f"nobody is asked for tasks until that is mended: {words}")
        self._here.failed(_HERE, words)

    def _stop(self, job: Job[Answer], deadline: float) -> None:
        job.deadline = deadline - STOPPING + LAST_WORDS
