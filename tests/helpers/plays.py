# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible run as people run it: ansible-playbook on this host, with the checkout's collection."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).parent / "ansible-playbook"
PYTHON = f"ansible_python_interpreter={sys.executable}"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Variables for a run that leaves nothing outside of ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@contextlib.contextmanager
def playbook(
    home: Path, *arguments: str, cwd: Path = ROOT, **more: str
) -> t.Iterator[subprocess.Popen[str]]:
    """A run of ansible-playbook, in a process group of its own, that can be read while it runs."""
    with subprocess.Popen(
        [str(PROGRAM), "-e", PYTHON, *arguments],
        cwd=cwd,
        env=environment(home, PWD=str(cwd), **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_playbook(home: Path, *arguments: str, cwd: Path = ROOT, **more: str) -> tuple[int, str]:
    """Exit status and output of a run of ansible-playbook."""
    with playbook(home, *arguments, cwd=cwd, **more) as process:
        output, _dummy = process.communicate()
        return process.returncode, output


Task = dict[str, t.Any]


def write_play(path: Path, tasks: t.Sequence[Task], results: Path) -> None:
    """A playbook of ``tasks``, of which none ends it, that leaves their results as JSON."""
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            *(
                {**task, "register": f"result_{number}", "ignore_errors": True}
                for number, task in enumerate(tasks)
            ),
            {
                "ansible.builtin.copy": {
                    "dest": str(results),
                    "mode": "0644",
                    "content": "{{ ["
                    + ", ".join(f"result_{number}" for number in range(len(tasks)))
                    + "] | to_json }}",
                },
                "check_mode": False,
                "diff": False,
            },
        ],
    }
    path.write_text(json.dumps([play]))


def run_tasks(home: Path, tasks: t.Sequence[Task], *arguments: str) -> list[dict[str, t.Any]]:
    """The results of ``tasks``, run one after another, failed ones too."""
    home.mkdir(parents=True, exist_ok=True)
    play, results = home / "play.json", home / "results.json"
    write_play(play, tasks, results)
    status, output = run_playbook(home, *arguments, str(play))
    if status != 0:
        raise AssertionError(output)
    if "Traceback" in output or "MODULE FAILURE" in output:
        raise AssertionError(output)
    found: list[dict[str, t.Any]] = json.loads(results.read_text())
    return found


def refusal(result: dict[str, t.Any]) -> str:
    """The message of a failed task; AssertionError unless it is a sentence for people."""
    message = str(result["msg"])
    traceback = result.get("exception", "(traceback unavailable)") != "(traceback unavailable)"
    if not result["failed"] or traceback or "\n" in message or "Traceback" in message:
        raise AssertionError(f"not refused in one sentence: {result}")
    return message
