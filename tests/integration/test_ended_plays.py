# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play that is ended takes its machine with it, and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from helpers import sources
from helpers.agents import places, run_command
from helpers.build_host import BuildHost
from helpers.plays import ROOT, playbook
from helpers.ssh import ssh_inventory
from helpers.waiting import until

# Seconds until a guest is gone. It is a matter of the moment, and the machine may be busy.
_AT_ONCE = 15.0


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C: the terminal sends it to all processes of its foreground."""
    os.killpg(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[str]) -> None:
    process.terminate()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


END = [interrupt, terminate, kill]


def end_while(
    process: subprocess.Popen[str], words: str, end: t.Callable[[subprocess.Popen[str]], None]
) -> float:
    """End the play as soon as it says ``words``; when that was."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            break
    else:
        raise AssertionError("".join(lines))
    end(process)
    began = time.monotonic()
    process.stdout.read()
    assert process.wait() != 0
    return began


def left(*places: Path) -> list[str]:
    """Files of plays below these places: packed sources, results, jobs, modules."""
    patterns = ("bbot-*", "ansible-tmp-*", "j[0-9]*.[0-9]*", "*.tar.gz")
    return [str(path) for place in places for pattern in patterns for path in place.rglob(pattern)]


def variables(ready: BuildHost, tmp_path: Path, **more: t.Any) -> list[str]:
    told = {
        "bbot_machine_options": {**ready.options(), "retries": 0},
        "bbot_results": str(tmp_path / "results"),
        "source": str(sources.make_source(tmp_path / "hello", sources.GATED)),
        **more,
    }
    return ["-e", json.dumps(told)]


@pytest.mark.parametrize("end", END, ids=lambda end: end.__name__)
@pytest.mark.parametrize("words", ["waiting for go", "phase start"])
def test_a_play_that_is_ended_ends_its_machine(
    ready: BuildHost,
    tmp_path: Path,
    words: str,
    end: t.Callable[[subprocess.Popen[str]], None],
) -> None:
    home = tmp_path / "home"
    command = [*variables(ready, tmp_path), str(ROOT / "playbooks/run-task.yml")]
    with playbook(home, *command) as process:
        began = end_while(process, words, end)
    until(lambda: ready.qemus() == [], "the end of the guest")
    assert time.monotonic() - began < _AT_ONCE
    until(lambda: ready.leftovers() == [], "a clean host")
    until(lambda: left(home) == [], f"no files of the play, such as {left(home)}")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("end", END, ids=lambda end: end.__name__)
def test_the_same_on_another_host(
    ready: BuildHost, tmp_path: Path, end: t.Callable[[subprocess.Popen[str]], None]
) -> None:
    home = tmp_path / "home"
    away = tmp_path / "away"
    with (
        tempfile.TemporaryDirectory(prefix="ssh-") as sockets,
        ssh_inventory(
            tmp_path,
            ansible_remote_tmp=str(away / "tmp"),
            ansible_async_dir=str(away / "async"),
        ) as inventory,
    ):
        command = ["-i", str(inventory), *variables(ready, tmp_path, bbot_hosts="builders")]
        with playbook(
            home,
            *command,
            str(ROOT / "playbooks/run-task.yml"),
            ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=5s",
            ANSIBLE_SSH_CONTROL_PATH_DIR=sockets,
        ) as process:
            began = end_while(process, "waiting for go", end)
        until(lambda: ready.qemus() == [], "the end of the guest")
        assert time.monotonic() - began < _AT_ONCE
        until(lambda: ready.leftovers() == [], "a clean host")
        until(lambda: left(home, away) == [], f"no files of the play, such as {left(home, away)}")


def test_the_next_play_is_not_kept_waiting(ready: BuildHost, tmp_path: Path) -> None:
    command = [*variables(ready, tmp_path), str(ROOT / "playbooks/run-task.yml")]
    with playbook(tmp_path / "home", *command) as process:
        end_while(process, "waiting for go", interrupt)
    source = sources.make_source(tmp_path / "other")
    command = [*variables(ready, tmp_path, source=str(source)), command[-1]]
    with playbook(tmp_path / "home", *command) as process:
        said, _nothing = process.communicate()
        assert process.returncode == 0, said
    assert "waiting for" not in said


def test_a_task_of_a_play_is_cancelled(ready: BuildHost, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [*variables(ready, tmp_path), str(ROOT / "playbooks/run-task.yml")]
    with playbook(home, *command) as process:
        assert process.stdout is not None
        assert any("waiting for go" in line for line in process.stdout)
        done = run_command(ready, "cancel", "hello", *places(ready))
        assert done.returncode == 0, done.stderr
        ready.assert_clean()
        said = process.stdout.read()
        assert process.wait() == 2
    assert "it was cancelled: the machine was thrown away" in said
    assert left(home) == []
