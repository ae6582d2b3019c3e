# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play that brings results home trusts nothing that the build host says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from helpers.plays import ROOT, run_playbook

NAME = "hello-1.0-20261123T150102-4711"
PLAY = f"""
- hosts: localhost
  gather_facts: false
  vars:
    bbot_home: "{{{{ home }}}}/results/{{{{ bbot_run.logs | basename }}}}"
  tasks:
    - ansible.builtin.include_tasks: {ROOT}/playbooks/tasks/fetch_results.yml
"""


def fetch(tmp_path: Path, logs: object) -> tuple[int, str]:
    (tmp_path / "play.yml").write_text(PLAY)
    told = json.dumps({"home": str(tmp_path), "bbot_run": {"logs": logs}})
    return run_playbook(tmp_path / "home", "-e", told, str(tmp_path / "play.yml"))


def make_logs(tmp_path: Path) -> Path:
    logs = tmp_path / "host" / NAME
    (logs / "machine").mkdir(parents=True)
    (logs / "machine" / "console.log").write_text("x\n")
    (logs / "update.log").write_text("updated\n")
    return logs


def test_results_come_home_without_rights_of_their_own(tmp_path: Path) -> None:
    logs = make_logs(tmp_path)
    (logs / "update.log").chmod(0o6755)
    (logs / "machine").chmod(0o1777)
    status, output = fetch(tmp_path, str(logs))
    assert status == 0, output
    home = tmp_path / "results" / NAME
    modes = {
        str(path.relative_to(home)): oct(path.stat().st_mode & 0o7777) for path in home.rglob("*")
    }
    assert set(modes) == {"machine", "machine/console.log", "update.log"}
    assert int(modes["update.log"], 8) & 0o7022 == 0
    assert modes["machine"] == "0o755"
    assert os.listdir(tmp_path / "host") == [NAME]


@pytest.mark.parametrize(
    "logs",
    [
        "/x/..",
        f"/x/{NAME}/..",
        f"/x/.{NAME}",
        f"/x/{NAME}\nx",
        None,
    ],
)
def test_a_strange_name_is_refused(tmp_path: Path, logs: object) -> None:
    status, output = fetch(tmp_path, logs)
    assert status == 2, output
    assert "nothing was fetched from there" in output
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_links_and_devices_are_refused(tmp_path: Path, kind: str) -> None:
    logs = make_logs(tmp_path)
    if kind == "link":
        (logs / "link").symlink_to("/etc/passwd")
    else:
        os.mkfifo(logs / "fifo")
    status, output = fetch(tmp_path, str(logs))
    assert status == 2, output
    assert "neither a file nor a folder" in output
    assert os.listdir(tmp_path / "results" / NAME) == []
    assert os.listdir(tmp_path / "host") == [NAME]
