# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B10 and B11: what a person waits for beside the task itself, by a play and by the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from helpers import sources
from helpers.agents import COMMAND, engine, options
from helpers.build_host import BuildHost
from helpers.plays import PROGRAM, PYTHON, ROOT, environment
from helpers.ssh import ssh_inventory

from .figures import Figure, interleave

PLAYBOOK = str(ROOT / "playbooks" / "run-task.yml")
_SPENT = re.compile(r"([\d.]+) s: snapshot ")
# What the command has none of.
NOT_OF_RUN = {"poll_interval": None, "verbose": None}


def spent(command: list[str], folder: Path, around: dict[str, str]) -> tuple[str, float, float]:
    """Output of a command, and the seconds that it took, of the clock and of the CPU."""
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env={**around, "PWD": str(folder)}, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        output = process.stdout.read()
        # Its own and what it has waited for: neither QEMU nor what runs on beside it.
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise AssertionError(output)
    return output, time.monotonic() - began, usage.ru_utime + usage.ru_stime


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """The environment of a play by somebody in this checkout whose home is that."""
    around = environment(home, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), **more)
    return {**around, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections")}


def _values(own: float, passed: float, cpu: float) -> dict[str, float]:
    return {"task": own, "beside": passed - own, "CPU": cpu}


class _Play:
    """The playbook, on this host or by SSH."""

    def __init__(self, host: BuildHost, folder: Path, *, ssh: bool) -> None:
        self._folder = folder
        self._ssh = ssh
        self._told = {
            "bbot_machine_options": {**host.options(), "retries": 0},
            "source": str(folder / "hello"),
            "machine": "tiny",
            **({"bbot_hosts": "builders"} if ssh else {}),
        }

    def __call__(self) -> dict[str, float]:
        command = [str(PROGRAM), "-e", PYTHON, "-e", json.dumps(self._told), PLAYBOOK]
        with tempfile.TemporaryDirectory(prefix="ssh-") as place:
            more: dict[str, str] = {}
            if self._ssh:
                command += ["-i", str(self._folder / "inventory.json")]
                # With no connection that is up already.
                more["ANSIBLE_SSH_CONTROL_PATH_DIR"] = place
                more["ANSIBLE_SSH_ARGS"] = "-o ControlMaster=auto -o ControlPersist=5s"
            around = surroundings(self._folder / "home", **more)
            output, passed, cpu = spent(command, self._folder, around)
        found = _SPENT.search(output)
        if found is None:
            raise AssertionError(output)
        return _values(float(found[1]), passed, cpu)


class _Command:
    """`bbot-agent run`."""

    def __init__(self, host: BuildHost, folder: Path) -> None:
        self._folder = folder
        self._environment = engine(host.root)
        words = options(host, **NOT_OF_RUN)
        self._command = [sys.executable, str(COMMAND), "run", "hello", "--machine", "tiny"]
        self._command += ["--json", *words]

    def __call__(self) -> dict[str, float]:
        output, passed, cpu = spent(self._command, self._folder, self._environment)
        (result,) = json.loads(output)["results"]
        return _values(result["seconds"], passed, cpu)


def measure(host: BuildHost, runs: int) -> list[Figure]:
    """B10 and B11 with a task that does little, on the machine tiny of ``host``."""
    with tempfile.TemporaryDirectory(prefix="everyday-", dir=host.root) as name:
        folder = Path(name)
        sources.make_source(folder / "hello")
        with ssh_inventory(folder):
            values = interleave(
                runs,
                {
                    "play": _Play(host, folder, ssh=False),
                    "play by SSH": _Play(host, folder, ssh=True),
                    "command": _Command(host, folder),
                },
            )
    return [
        _figure("B10", "play beside its task, local", values["play"], 4),
        _figure("B10", "play beside its task, SSH", values["play by SSH"], 6),
        _figure("B10", "the same, local, CPU", values["play"], None, "CPU"),
        _figure("B10", "the same, SSH, CPU", values["play by SSH"], None, "CPU"),
        _figure("B11", "bbot-agent run beside its task", values["command"], 0.5),
    ]


def _figure(
    number: str,
    name: str,
    values: t.Mapping[str, list[float]],
    goal: float | None,
    aspect: str = "beside",
) -> Figure:
    # The task's own seconds stand where others have a baseline.
    task, ours = values["task"], values[aspect]
    return Figure(number, name, "s", "alone", "the task itself", "all beside it", task, ours, goal)
