# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task goes to one of several build hosts: run_task.yml asks them first."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import typing as t
from pathlib import Path

import pytest
from helpers.build_host import BuildHost
from helpers.plays import ROOT, run_playbook
from helpers.site import Site

TASK = {
    "name": "hello",
    "version": "1.0",
    "repository-url": "https://example.org/hello.tar.gz",
    "repository-type": "dir",
}
# More than any machine that the tests run on.
ALL = 1 << 40


@pytest.fixture
def hosts(site: Site) -> t.Iterator[dict[str, BuildHost]]:
    """Three build hosts: `free` and `busy` have the machine tiny, `other` has another one."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(site.namespace.entered())
        made = {name: BuildHost(site) for name in ("free", "busy", "other")}
        for name, host in made.items():
            machine = "fresh" if name == "other" else "tiny"
            host.install(machine)
            host.ensure(machine, fake=True)
        lease = made["busy"].engine().leases.take(what="task", task="else/1", machine="tiny")
        stack.callback(lease.end)
        lease.note(ram=ALL)
        yield made


def play(
    hosts: dict[str, BuildHost], home: Path, pattern: str = "all", **variables: t.Any
) -> tuple[int, str]:
    """Check what a run on these hosts, and on one that is down, would do."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory: dict[str, t.Any] = {
        name: {**local, "bbot_machine_options": host.options()} for name, host in hosts.items()
    }
    down = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    path = home / "hosts.json"
    path.write_text(json.dumps({"all": {"hosts": {**inventory, "down": down}}}))
    told = json.dumps({"bbot_hosts": pattern, "task": TASK, **variables})
    status, output = run_playbook(
        home / "home",
        *("-i", str(path), "--check", "-e", told, str(ROOT / "playbooks/run-task.yml")),
    )
    return status, output


def gone_on(output: str) -> set[str]:
    """The hosts that went on to the task."""
    part = output[output.index("TASK [Perform the task]") :]
    part = part[: part.index("TASK [Tell what has become of it]")]
    return {name for name in ("free", "busy", "other", "down") if f"[{name}]" in part}


def test_the_one_with_room_is_chosen(hosts: dict[str, BuildHost], tmp_path: Path) -> None:
    status, output = play(hosts, tmp_path, machine="tiny", bbot_host="any free")
    assert (status, gone_on(output)) == (0, {"free"}), output
    assert "other: it has no machine tiny" in output
    (why,) = re.findall(r"down: (.*?) - the task goes to free", " ".join(output.split()))
    assert "Connection refused" in why
    assert "the task goes to free" in output


def test_the_one_that_is_named_is_asked_alone(hosts: dict[str, BuildHost], tmp_path: Path) -> None:
    status, output = play(hosts, tmp_path, machine="tiny", bbot_host="busy")
    assert (status, gone_on(output)) == (0, {"busy"}), output
    assert "down:" not in output


def test_the_machine_of_the_task_says_which(hosts: dict[str, BuildHost], tmp_path: Path) -> None:
    status, output = play(hosts, tmp_path, task={**TASK, "machine": "fresh"})
    assert (status, gone_on(output)) == (0, {"other"}), output


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"machine": "none"}, "No host can take the task: free: it has no machine none; "),
        ({"toolchain": "none"}, "free: no toolchain none in "),
        ({"bbot_host": "elsewhere"}, "There is no build host elsewhere to choose; there are "),
    ],
    ids=["machine", "toolchain", "host"],
)
def test_none_is_told_with_the_reason_of_each(
    hosts: dict[str, BuildHost], tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    status, output = play(hosts, tmp_path, **variables)
    assert status == 2, output
    assert words in " ".join(output.split())


def test_one_host_is_not_asked(hosts: dict[str, BuildHost], tmp_path: Path) -> None:
    status, output = play(hosts, tmp_path, "busy")
    assert (status, gone_on(output)) == (0, {"busy"}), output
    assert "skipping: [busy]" in output[output.index("TASK [Ask each host what it has]") :][:200]
