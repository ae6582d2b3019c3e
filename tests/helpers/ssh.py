# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This host as one that Ansible reaches by SSH."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from .ports import listens
from .waiting import until

PORT = 2222


@contextlib.contextmanager
def ssh_inventory(folder: Path, **more: t.Any) -> t.Iterator[Path]:
    """An inventory with a host `builder` in the group `builders`: this one, by SSH.

    The server is our own, in the network that we are in; ``folder`` is for its keys, and the
    folder ``folder``/away for the temporary files of those who log in. ``more`` are variables of
    the host.
    """
    (folder / "away").mkdir()
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    os.makedirs("/run/sshd", exist_ok=True)
    command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(folder / "host")]
    for option in (
        "ListenAddress=127.0.0.1",
        f"Port={PORT}",
        f"AuthorizedKeysFile={folder / 'authorized'}",
        "StrictModes=no",
        "PermitRootLogin=prohibit-password",
        "PidFile=none",
        "Subsystem=sftp internal-sftp",
        f"SetEnv=TMPDIR={folder / 'away'}",
    ):
        command += ["-o", option]
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": PORT,
        "ansible_user": "root",
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_private_key_file": str(folder / "client"),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        **more,
    }
    path = folder / "inventory.json"
    path.write_text(json.dumps({"builders": {"hosts": {"builder": variables}}}))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: listens(PORT), "an SSH server")
            yield path
        finally:
            server.terminate()
