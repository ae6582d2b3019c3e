# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play that is ended takes its machine with it, and leaves nothing."""

from __future__ import annotations

import fnmatch
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


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill it with its children, which are what has the connections."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)


# What a terminated play does is what an interrupted one does.
END = [interrupt, pytest.param(terminate, marks=pytest.mark.long), kill]


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
    # Not by rglob(), which fails where a folder goes meanwhile.
    return [
        os.path.join(folder, name)
        for place in places
        for folder, folders, files in os.walk(place)
        for name in (*folders, *files)
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def variables(ready: BuildHost, tmp_path: Path, **more: t.Any) -> list[str]:
    told = {
        "bbot_machine_options": {**ready.options(), "retries": 0},
        "bbot_results": str(tmp_path / "results"),
        "source": str(sources.make_source(tmp_path / "hello", sources.GATED)),
        **more,
    }
    return ["-e", json.dumps(told)]


@pytest.mark.parametrize("end", END, ids=lambda end: end.__name__)
@pytest.mark.parametrize(
    "words", ["waiting for go", pytest.param("phase start", marks=pytest.mark.long)]
)
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


def test_a_control_node_that_is_gone_is_noticed(ready: BuildHost, tmp_path: Path) -> None:
    """Nobody tells the host. What it has of the play goes all the same."""
    away = tmp_path / "away"
    with (
        tempfile.TemporaryDirectory(prefix="ssh-") as sockets,
        ssh_inventory(tmp_path, ansible_remote_tmp=str(away / "tmp")) as inventory,
    ):
        told = variables(
            ready, tmp_path, bbot_hosts="builders", bbot_task_options={"lease_timeout": 5}
        )
        command = ["-i", str(inventory), *told, str(ROOT / "playbooks/run-task.yml")]
        with playbook(tmp_path / "home", *command, ANSIBLE_SSH_CONTROL_PATH_DIR=sockets) as process:
            end_while(process, "waiting for go", kill_all)
        until(lambda: ready.qemus() == [], "the end of the guest", 30)
        until(lambda: ready.leftovers() == [], "a clean host")
        until(lambda: left(away) == [], f"no files of the play, such as {left(away)}")


def test_a_source_that_is_being_packed_goes(ready: BuildHost, tmp_path: Path) -> None:
    """Git, which is asked what there is, does not answer."""
    home = tmp_path / "home"
    command = [*variables(ready, tmp_path), str(ROOT / "playbooks/run-task.yml")]
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nexec sleep 1000\n")
    (slow / "git").chmod(0o755)
    (tmp_path / "hello" / ".git").mkdir()
    with playbook(home, *command, PATH=f"{slow}:{os.environ['PATH']}") as process:
        until(lambda: left(home), "it packs")
        time.sleep(0.5)
        process.terminate()
        process.wait()
    until(lambda: left(home) == [], f"no files of the play, such as {left(home)}")


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
