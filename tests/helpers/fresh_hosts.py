# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fresh hosts to provision: containers with a real systemd, reached by SSH."""

from __future__ import annotations

import contextlib
import subprocess
import typing as t
from pathlib import Path

from .images import ROOT

_CONTAINER = ROOT / "extensions" / "molecule" / "container.sh"
OPTIONS = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")


def run(*command: str | Path) -> str:
    """What a program says that goes well."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class FreshHost:
    """One of them, with the ``number`` of its network."""

    def __init__(self, number: int, key: str) -> None:
        self.address = f"198.18.{number}.2"
        self.key = key
        self.ssh = ["ssh", "-i", key, "-o", "LogLevel=ERROR", *OPTIONS, f"root@{self.address}"]

    def ask(self, command: str, text: str = "") -> str:
        """What a command there says, which is told ``text``, and goes well."""
        done = subprocess.run(
            [*self.ssh, command],
            input=text,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=600,
        )
        return done.stdout.strip()

    def variables(self) -> dict[str, t.Any]:
        """How Ansible reaches it, and a storage that takes no device."""
        return {
            "ansible_host": self.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": self.key,
            "ansible_ssh_common_args": " ".join(OPTIONS),
            "host_storage": "directory",
        }


@contextlib.contextmanager
def fresh_host(name: str, number: int) -> t.Iterator[FreshHost]:
    """A host of this name for the length of a with statement; see FreshHost."""
    key = run(_CONTAINER, "key")
    try:
        run(_CONTAINER, "up", name, "bookworm", str(number))
        yield FreshHost(number, key)
    finally:
        run(_CONTAINER, "down", name)
