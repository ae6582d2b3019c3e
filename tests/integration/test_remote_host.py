# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook run_task.yml with a build host that is reached by SSH."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from helpers import sources
from helpers.build_host import BuildHost
from helpers.plays import ROOT, run_playbook
from helpers.waiting import until

PORT = 2222


def listens() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


@pytest.fixture
def inventory(ready: BuildHost, tmp_path: Path) -> t.Iterator[Path]:
    """A host `builder`: this one, by an SSH server of our own in the tests' network."""
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    (tmp_path / "authorized").write_text((tmp_path / "client.pub").read_text())
    os.makedirs("/run/sshd", exist_ok=True)
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(tmp_path / "host")]
    for option in (
        "ListenAddress=127.0.0.1",
        f"Port={PORT}",
        f"AuthorizedKeysFile={tmp_path / 'authorized'}",
        "StrictModes=no",
        "PermitRootLogin=prohibit-password",
        "PidFile=none",
        "Subsystem=sftp internal-sftp",
    ):
        command += ["-o", option]
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": PORT,
        "ansible_user": "root",
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_private_key_file": str(tmp_path / "client"),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
    }
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"builders": {"hosts": {"builder": variables}}}))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            until(listens, "an SSH server")
            yield path
        finally:
            server.terminate()


def test_a_source_is_built_on_another_host(
    ready: BuildHost, inventory: Path, tmp_path: Path
) -> None:
    source = sources.make_source(tmp_path / "hello", sources.FAILING)
    told = {
        "bbot_hosts": "builders",
        "bbot_machine_options": {**ready.options(), "retries": 0},
        "bbot_results": str(tmp_path / "results"),
        "source": str(source),
    }
    # The path of a socket may not be long, as one in the home of this test would be.
    with tempfile.TemporaryDirectory(prefix="ssh-") as sockets:
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
