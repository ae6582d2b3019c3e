# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B7, B9: short tasks, from a controller on loopback through the whole agent and back."""

from __future__ import annotations

import resource
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
    """So many tasks, given to a fresh agent with the machines of ``names``.

    As many at once as there are machines, or as ``at_once`` says.
    """

    def __init__(
        self,
        host: BuildHost,
        tasks: int,
        names: t.Sequence[str],
        *,
        warm: bool,
        at_once: int | None = None,
    ) -> None:
        self._host = host
        self._tasks = tasks
        self._names = names
        self._warm = ["*"] if warm else []
        self._at_once = at_once or len(names)

    def __call__(self) -> dict[str, float]:
        marks: list[float] = []

        def told(kind: str, done: bool) -> None:
            if (kind == "task" and done and not marks) or (kind == "result" and done):
                marks.append(time.monotonic())

        spent = _spent()
        with Controller() as controller:
            controller.told = told
            for number in range(self._tasks):
                name = self._names[number % len(self._names)]
                controller.tasks.append(make_short_task(name, number))
            with RunningAgent(self._host, controller, instance_max=self._at_once, warm=self._warm):
                until(lambda: len(controller.arrivals) == self._tasks, "all results are there")
                end = marks[-1]
            failed = [a.text for a in controller.arrivals if a.result.status is not Status.SUCCESS]
        if failed:
            raise AssertionError(f"tasks have failed: {failed}")
        seconds = end - marks[0]
        return {"rate": 60 * self._tasks / seconds, "wall": seconds, "cpu": _spent() - spent}


def _spent() -> float:
    """CPU seconds of all processes that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
        "warm, 4 at once on one machine": ThroughAgent(host, 3 * tasks, one, warm=True, at_once=4),
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


# How many tasks are performed at the same time on one machine.
TOGETHER = (1, 2, 4, 8)


def measure_together(host: BuildHost, runs: int) -> list[Figure]:
    """What so many tasks at once take on the machine tiny of ``host``, booted for each."""
    steps: dict[str, t.Callable[[], dict[str, float]]] = {"by hand": AllByHand(host, 1)}
    for count in TOGETHER:
        steps[str(count)] = ThroughAgent(host, count, ["tiny"], warm=False, at_once=count)
    values = interleave(runs, steps)
    script = "a shell script, one after another"
    figures = []
    for count in TOGETHER:
        hand = [60 * count / rate for rate in values["by hand"]["rate"]]
        ours = values[str(count)]
        name = f"{count} {'tasks' if count > 1 else 'task'} at once"
        figures += [
            Figure("B9", name, "s", "times", script, "through the agent", hand, ours["wall"]),
            Figure("B9", f"{name}, CPU", "s", "alone", "", "all processes", [], ours["cpu"]),
        ]
    return figures
