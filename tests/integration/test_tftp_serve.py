# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module tftp_serve, run by ansible-playbook."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.client import Client

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - bbot.agent.tftp_serve: "{{ options }}"
      register: result
      ignore_errors: true
    - ansible.builtin.copy:
        content: "{{ result | to_json }}"
        dest: "{{ output }}"
        mode: "0644"
      check_mode: false
"""


class Play:
    """Runs the module with some options, and returns its result."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.get_root = directory / "get"
        self.put_root = directory / "put"
        self.get_root.mkdir()
        self.put_root.mkdir()
        (self.get_root / "manifest").write_text(": 1\nname: hello\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def __call__(self, *arguments: str, **options: t.Any) -> dict[str, t.Any]:
        playbook = self.directory / "play.yml"
        playbook.write_text(PLAYBOOK)
        output = self.directory / "result.json"
        options = {
            "port": self.port,
            "get_root": str(self.get_root),
            "put_root": str(self.put_root),
            "timeout": 20,
        } | options
        variables = {
            "options": {key: value for key, value in options.items() if value is not None},
            "output": str(output),
            "ansible_python_interpreter": sys.executable,
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
        run = subprocess.run(
            [*command, "-e", json.dumps(variables), *arguments],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return t.cast("dict[str, t.Any]", json.loads(output.read_text()))


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def test_it_serves_until_the_upload_has_arrived(play, tmp_path):
    (tmp_path / "log").write_text("log\n" * 5000)
    client = Client("127.0.0.1", play.port)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(play, until="out/result")
        client.get("manifest", str(tmp_path / "manifest"))
        client.put(str(tmp_path / "log"), "log")
        client.put(str(tmp_path / "manifest"), "/out/result")
        result = running.result()
    assert result["changed"] is True
    assert result["complete"] is True
    assert not result["failed"]
    assert (tmp_path / "manifest").read_text() == ": 1\nname: hello\n"
    assert (play.put_root / "out/result").read_text() == ": 1\nname: hello\n"
    assert [
        (transfer["operation"], transfer["name"], transfer["bytes"], transfer["error"])
        for transfer in result["transfers"]
    ] == [
        ("get", "manifest", 16, ""),
        ("put", "log", 20000, ""),
        ("put", "/out/result", 16, ""),
    ]
    assert all(0 < transfer["seconds"] < 5 for transfer in result["transfers"])
    assert result["transfers"][0]["peer"].startswith("127.0.0.1:")


def test_time_runs_out(play):
    result = play(timeout=0, put_root=None)
    assert (result["changed"], result["complete"], result["failed"]) == (False, False, False)
    assert result["transfers"] == []


def test_the_awaited_upload_does_not_come(play):
    result = play(timeout=0, until="result")
    assert result["failed"]
    assert result["transfers"] == []
    assert result["msg"] == (
        f"no upload of result was complete after 0 s on 127.0.0.1:{play.port};"
        " transfers says what did happen"
    )


def test_check_mode_opens_no_port(play):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", play.port))
        result = play("--check", until="result")
    assert not result["failed"]
    assert result["changed"] is False
    assert result["actions"] == [
        f"serve downloads from {play.get_root} on 127.0.0.1:{play.port}",
        f"take uploads into {play.put_root} on 127.0.0.1:{play.port}",
    ]


def test_a_missing_directory(play):
    result = play("--check", get_root="/nowhere")
    assert result["failed"]
    assert result["msg"] == (
        "get_root: there is no directory /nowhere on this host; create it first"
    )


def test_a_port_in_use(play):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", play.port))
        result = play()
    assert result["failed"]
    assert result["msg"].startswith(
        f"cannot serve TFTP on 127.0.0.1:{play.port}: the port is in use; choose another one"
    )
