# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B7: short tasks, from a controller on loopback through the whole agent and back."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.agents import RunningAgent
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.waiting import until

from .figures import Figure, interleave
from .starts import ByHand


def make_short_task(machine: str, number: int = 0) -> Task:
    """A task that does nothing: what costs is all around it.

    A controller sends no sources, so they are what is in the image: its DHCP client's script,
    which does nothing when it is called with the name of an operation.
    """
    return make_task(
        version=f"1.0.{number}",
        machine=machine,
        **{"repository-url": "/etc/bbot", "target-config": "config.bbot.script=udhcpc"},
    )


class ThroughAgent:
    """So many tasks, given to a fresh agent with the machines of ``names``."""

    def __init__(self, host: BuildHost, tasks: int, names: t.Sequence[str], *, warm: bool) -> None:
        self._host = host
        self._tasks = tasks
        self._names = names
        self._warm = ["*"] if warm else []

    def __call__(self) -> dict[str, float]:
        marks: list[float] = []

        def told(kind: str, done: bool) -> None:
            if (kind == "task" and done and not marks) or (kind == "result" and done):
                marks.append(time.monotonic())

        with Controller() as controller:
            controller.told = told
            for number in range(self._tasks):
                name = self._names[number % len(self._names)]
                controller.tasks.append(make_short_task(name, number))
            with RunningAgent(
                self._host, controller, instance_max=len(self._names), warm=self._warm
            ):
                until(lambda: len(controller.arrivals) == self._tasks, "all results are there")
                end = marks[-1]
            failed = [a.text for a in controller.arrivals if a.result.status is not Status.SUCCESS]
        if failed:
            raise AssertionError(f"tasks have failed: {failed}")
        return {"rate": 60 * self._tasks / (end - marks[0])}


class AllByHand:
    """So many tasks, one after another by the shell script."""

    def __init__(self, host: BuildHost, tasks: int) -> None:
        self._one = ByHand(host, make_short_task("tiny"))
        self._tasks = tasks

    def __call__(self) -> dict[str, float]:
        began = time.monotonic()
        for _number in range(self._tasks):
            self._one()
        return {"rate": 60 * self._tasks / (time.monotonic() - began)}


def measure(host: BuildHost, runs: int, tasks: int = 3) -> list[Figure]:
    """The figure, on the machines tiny and tiny2 of ``host``, with so many tasks a run."""
    one, two = ["tiny"], ["tiny", "tiny2"]
    steps = {
        "by hand": AllByHand(host, tasks),
        "cold, 1 at once": ThroughAgent(host, tasks, one, warm=False),
        "cold, 2 at once": ThroughAgent(host, tasks, two, warm=False),
        "warm, 1 at once": ThroughAgent(host, 3 * tasks, one, warm=True),
        "warm, 2 at once": ThroughAgent(host, 3 * tasks, two, warm=True),
    }
    values = interleave(runs, steps)
    hand = values["by hand"]["rate"]
    script = "a shell script, one after another"
    return [
        Figure("B7", f"short tasks, {name}", "1/min", "rate", script, "through the agent",
               hand, values[name]["rate"])
        for name in steps
        if name != "by hand"
    ]  # fmt: skip
