# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook run_task.yml with a build host that is reached by SSH."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from helpers import sources
from helpers.build_host import BuildHost
from helpers.plays import ROOT, run_playbook
from helpers.ssh import ssh_inventory


def test_a_source_is_built_on_another_host(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello", sources.FAILING)
    told = {
        "bbot_hosts": "builders",
        "bbot_machine_options": {**ready.options(), "retries": 0},
        "bbot_results": str(tmp_path / "results"),
        "source": str(source),
    }
    # The path of a socket may not be long, as one in the home of this test would be.
    with (
        tempfile.TemporaryDirectory(prefix="ssh-") as sockets,
        ssh_inventory(tmp_path) as inventory,
    ):
        status, output = run_playbook(
            tmp_path / "home",
            *("-i", str(inventory), "-e", json.dumps(told)),
            str(ROOT / "playbooks/run-task.yml"),
            ANSIBLE_PIPELINING="1",
            ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=5s",
            ANSIBLE_SSH_CONTROL_PATH_DIR=sockets,
        )
    assert status == 2, output
    for line in ("phase work", "| +update", "|  hello.c:3: cannot go on", "phase down"):
        assert f"\n[builder] {line}\n" in output, output
    assert "hello 0.0.1 on tiny: error (update error)" in output
    (home,) = (tmp_path / "results").iterdir()
    assert "hello.c:3: cannot go on" in (home / "update.log").read_text()
    ready.assert_clean()
