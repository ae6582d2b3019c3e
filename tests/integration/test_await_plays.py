# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks that take a host apart look first whether plays are at work there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.agents import COMMAND, ROOT, engine, places
from helpers.build_host import BuildHost
from helpers.plays import PROGRAM

PLAYBOOK = f"""\
- hosts: localhost
  gather_facts: false
  vars_files:
    - {ROOT}/playbooks/vars/command.yml
  tasks:
    - ansible.builtin.include_tasks: {ROOT}/playbooks/tasks/await_plays.yml
    - ansible.builtin.debug:
        msg: the first change
"""


@pytest.fixture
def command(host: BuildHost, tmp_path: Path) -> list[str]:
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    words = places(host)
    lines = [f"{option} {value}\n" for option, value in zip(words[::2], words[1::2], strict=True)]
    (tmp_path / "places").write_text("".join(lines))
    program = tmp_path / "bbot-agent"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{COMMAND}" "$@"\n')
    program.chmod(0o755)
    variables = f"bbot_command={program} bbot_options_file={tmp_path}/places"
    return [str(PROGRAM), str(tmp_path / "play.yml"), "-e", variables]


def play(host: BuildHost, command: list[str], wait: int) -> str:
    done = subprocess.run(
        [*command, "-e", f"bbot_wait={wait}"],
        env=engine(host.root),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("the first change" in done.stdout) == (done.returncode == 0), done.stdout
    return done.stdout


def test_nothing_is_awaited_where_nothing_runs(host: BuildHost, command: list[str]) -> None:
    assert "the first change" in play(host, command, 0)


def test_work_under_way_is_refused_before_the_first_change(
    host: BuildHost, command: list[str]
) -> None:
    lease = host.engine().leases.take(what="task", task="hello/1.0", machine="tiny")
    text = " ".join(play(host, command, 0).split())
    lease.end()
    words = "localhost still has work of plays running: task hello/1.0 tiny. Nothing was changed"
    assert words in text


def test_work_under_way_is_waited_for(host: BuildHost, command: list[str]) -> None:
    lease = host.engine().leases.take(what="bootstrap", machine="tiny")
    timer = threading.Timer(8, lease.end)
    timer.start()
    assert "the first change" in play(host, command, 60)
    timer.join()


def test_what_an_agent_does_is_its_own_affair(host: BuildHost, command: list[str]) -> None:
    """The role agent has it end when its tasks have ended."""
    leases = host.engine().leases
    agent, task = leases.take(what="agent"), leases.take(what="task", task="hello/1.0")
    agent.note(pid=os.getppid())
    assert "the first change" in play(host, command, 0)
    task.end()
    agent.end()
