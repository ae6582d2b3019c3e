# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B8: what the agent itself takes, idle and with tasks."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from helpers.agents import RunningAgent
from helpers.build_host import BuildHost
from helpers.controller import Controller
from helpers.site import Site
from helpers.waiting import until

from .figures import Figure, cpu_seconds, say
from .idle import furnish
from .throughput import make_short_task

_MACHINES = 200


def _processes(pid: int) -> list[int]:
    """Process ``pid`` and what it has forked of itself: QEMU is not counted."""
    found = [pid]
    # Some live but for a moment.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"qemu" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found += _processes(int(child))
    return found


def _memory(pids: list[int], kind: str) -> float:
    """Their memory together, in MB: `Rss`, or `Pss` that counts what is shared only once."""
    kilobytes = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kilobytes += int(re.findall(rf"^{kind}: +(\d+)", text, re.M)[0])
    return kilobytes / 1024


def _alone(name: str, unit: str, ours: str, value: float) -> Figure:
    return Figure("B8", name, unit, "alone", "", ours, [], [value])


def measure_idle(site: Site, seconds: float) -> list[Figure]:
    """Memory and CPU of an idle agent with many machines, watched for so long."""
    host = BuildHost(site)
    furnish(host, _MACHINES)
    with (
        Controller() as controller,
        RunningAgent(host, controller, poll_interval=15, fake_bootstrap=True) as agent,
    ):
        until(lambda: controller.requests, "it has asked for a task")
        time.sleep(2)
        pid = agent.process.pid
        say(f"watch an idle agent for {seconds:g} s")
        before = cpu_seconds(pid)
        time.sleep(seconds)
        cpu = (cpu_seconds(pid) - before) * 60 / seconds
        memory = _memory(_processes(pid), "Rss")
    return [
        _alone(f"agent, idle, {_MACHINES} machines, resident", "MB", "one process", memory),
        _alone(f"agent, idle, {_MACHINES} machines", "CPU s/min", "asking every 15 s", cpu),
    ]


def measure_busy(host: BuildHost) -> list[Figure]:
    """Memory with two tasks, on the machines tiny and tiny2 of ``host``."""
    with Controller() as controller:
        controller.tasks += [make_short_task("tiny"), make_short_task("tiny2")]
        with RunningAgent(host, controller, instance_max=2) as agent:
            until(lambda: len(host.qemus()) == 2, "two machines run")
            pids = _processes(agent.process.pid)
            resident, proportional = _memory(pids, "Rss"), _memory(pids, "Pss")
            until(lambda: len(controller.arrivals) == 2, "both results are there")
    return [
        _alone("agent, two tasks, resident", "MB", f"{len(pids)} processes", resident),
        _alone("the same, shared pages once", "MB", f"{len(pids)} processes", proportional),
    ]
