# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that do what a test wants: a machine whose worker is a small shell script."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

SERVER = "196.254.111.222 69"

# For scripts in guests.
GET_TASK = f"busybox tftp -g -b 1468 -r manifest -l /run/task {SERVER}\n"
SLEEP = "while :; do sleep 3600; done\n"


def put(local: str, remote: str = "manifest") -> str:
    """The command that uploads a file of the guest."""
    return f"busybox tftp -p -b 1468 -l {local} -r '{remote}' {SERVER}\n"


def tell(line: str) -> str:
    """The command that tells ``line`` as progress."""
    return (
        "for port in /sys/class/virtio-ports/*; do "
        '[ "$(cat $port/name)" != bbot.progress ] '
        f"|| echo '{line}' > /dev/${{port##*/}}; done\n"
    )


def result(*lines: str, name: str = "hello", version: str = "1.0") -> str:
    """The commands that upload a result manifest of these ``lines``."""
    text = "\n".join([": 1", f"name: {name}", f"version: {version}", *lines])
    return f"cat > /run/result << 'END'\n{text}\nEND\n" + put("/run/result")


WORKER, SERVICE = "/var/lib/bbot/startup", "/etc/bbot/service"


def replace_worker(disk: Path, script: str, program: str = WORKER) -> None:
    """Have the bootstrapped machine with this ``disk`` run ``script`` instead of its worker.

    It is what our image runs under the path ``program``.
    """
    folder, name = program.rsplit("/", 1)
    with tempfile.NamedTemporaryFile("w", prefix="bbot-startup-") as file:
        file.write(f"#!/bin/sh\n{script}")
        file.flush()
        commands = "\n".join(
            [
                f"cd {folder}",
                f"rm {name}",
                f"write {file.name} {name}",
                f"set_inode_field {name} mode 0100755",
                f"cat {name}",
            ]
        )
        done = subprocess.run(
            ["debugfs", "-w", "-f", "-", str(disk)],
            input=commands,
            capture_output=True,
            text=True,
            check=True,
        )
    # It has no exit status of its own to speak of.
    if script not in done.stdout:
        raise AssertionError(f"the worker was not replaced: {done.stdout} {done.stderr}")


def replace_container_worker(machine: Path, script: str) -> None:
    """The same for a container, the tree of which is in the folder ``machine``."""
    worker = machine / "tree" / "root" / WORKER.lstrip("/")
    worker.write_text(f"#!/bin/sh\n{script}")
