# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B1 to B3: how a machine starts and ends, against QEMU started by a shell script."""

from __future__ import annotations

import subprocess
import tempfile
import time
import typing as t
from pathlib import Path
from unittest import mock

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.bridge_port import (
    usual_port,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    conversation as _conversation,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    segment as _segment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Event, Server
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.process import Vm
from helpers import sources
from helpers.build_host import RAM, BuildHost, make_task
from helpers.site import ADDRESS, BRIDGE

from .figures import Figure, cpu_seconds, interleave

SCRIPT = Path(__file__).with_name("by_hand.sh")
# Seconds for a task.
_PATIENCE = 120


class ByHand:
    """The shell script, for ``task`` on the machine tiny of ``host``."""

    def __init__(self, host: BuildHost, task: Task | None = None) -> None:
        self._host = host
        self._task = task or make_task()
        self._source = sources.pack(host.root / "by-hand.tar.gz")

    def __call__(self) -> dict[str, float]:
        host = self._host
        folder = Path(tempfile.mkdtemp(prefix="by-hand-", dir=host.root))
        folder.chmod(0o755)
        for name in ("get", "put"):
            (folder / name).mkdir(parents=True)
        (folder / "get" / "manifest").write_text(self._task.to_text())
        (folder / "get" / "source.tar.gz").write_bytes(self._source.read_bytes())
        machine = host.machine()
        if machine.bootstrapped is None:
            raise AssertionError("the machine has been bootstrapped")
        manifest = machine.bootstrapped.machine
        words = manifest.option_words
        kind, append = (words[words.index(option) + 1] for option in ("-machine", "-append"))
        if manifest.mac is None:
            raise AssertionError("a bootstrapped machine has a MAC address")
        port = usual_port(manifest.mac)
        place = [SCRIPT, machine.bootstrapped_path, folder, BRIDGE, ADDRESS, port, RAM >> 10]
        done = subprocess.run(
            [*map(str, place), manifest.mac, kind, append],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        if done.returncode:
            raise AssertionError(f"by hand the task has failed: {done.stderr}")
        marks = {words[0]: words[1:] for words in map(str.split, done.stdout.splitlines())}
        result = folder / "put" / "manifest"
        if "status: success" not in result.read_text():
            raise AssertionError(f"by hand the task has failed: {result.read_text()}")
        (start,), (request, cpu), (gone,) = marks["start"], marks["request"], marks["gone"]
        return {
            "seconds": float(request) - float(start),
            "cpu": float(cpu),
            "end": float(gone) - result.stat().st_mtime,
        }


class Ours:
    """The engine, for the machine tiny of ``host``, looked at from within."""

    def __init__(self, host: BuildHost, **running: t.Any) -> None:
        self._host = host
        self._running = running
        self._files = {"source.tar.gz": str(sources.pack(host.root / "ours.tar.gz"))}

    def __call__(self) -> dict[str, float]:
        host, marks, vms = self._host, {}, []

        def report(line: str) -> None:
            if line in ("phase start", "phase resume"):
                marks["start"] = time.perf_counter()

        def note(name: str) -> None:
            if name not in marks:
                marks[name] = time.perf_counter()
                marks[f"{name} cpu"] = cpu_seconds(vms[-1].pid)

        def see(event: Event) -> None:
            if event.kind == "request":
                note("request")
            if event.kind == "done" and event.name == "manifest":
                note("delivered" if event.operation == "get" else "uploaded")

        class WatchedServer(Server):
            def __init__(self, *args: t.Any, **options: t.Any) -> None:
                tell = options.pop("on_event")
                super().__init__(*args, **options, on_event=lambda e: (see(e), tell(e)))

        class WatchedVm(Vm):
            def __init__(self, *args: t.Any) -> None:
                super().__init__(*args)
                vms.append(self)

        host.changes |= {"report": report}
        with (
            mock.patch.object(_segment, "Server", WatchedServer),
            mock.patch.object(_conversation, "make_vm", WatchedVm),
        ):
            outcome = host.perform(files=self._files, **self._running)
        end = time.perf_counter()
        host.changes.clear()
        warm = bool(self._running)
        if outcome.result.status is not Status.SUCCESS or not outcome.start:
            raise AssertionError(f"the task has failed: {outcome}")
        if outcome.start.warm is not warm:
            raise AssertionError(f"it was not resumed: {outcome.start.reason}")
        first = "delivered" if warm else "request"
        return {
            "seconds": marks[first] - marks["start"],
            "cpu": marks[f"{first} cpu"],
            "end": end - marks["uploaded"],
        }


def measure(host: BuildHost, runs: int) -> list[Figure]:
    """The figures, on the bootstrapped and saved machine tiny of ``host``."""
    steps = {
        "by hand": ByHand(host),
        "cold": Ours(host),
        "warm": Ours(host, warm=["tiny"]),
    }
    values = interleave(runs, steps)
    hand, cold, warm = (values[name] for name in steps)
    script = "boot by a shell script, to the first request"
    return [
        Figure("B1", "warm start, CPU", "s", "times", script, "resumed, to the task's delivery",
               hand["cpu"], warm["cpu"], goal=15),
        Figure("B1", "warm start", "s", "times", script, "resumed, to the task's delivery",
               hand["seconds"], warm["seconds"]),
        Figure("B2", "cold start", "s", "share", script, "booted, to the first request",
               hand["seconds"], cold["seconds"], goal=1.05),
        Figure("B2", "cold start, CPU", "s", "share", script, "booted, to the first request",
               hand["cpu"], cold["cpu"]),
        Figure("B3", "turn-around, cold", "s", "share", "idle in.tftpd, kill, btrfs delete",
               "last acknowledgement to all gone", hand["end"], cold["end"], goal=0.05),
        Figure("B3", "turn-around, warm", "s", "share", "idle in.tftpd, kill, btrfs delete",
               "last acknowledgement to all gone", hand["end"], warm["end"], goal=0.05),
    ]  # fmt: skip
