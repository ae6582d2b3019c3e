# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The arguments of systemd-nspawn for a machine."""

from __future__ import annotations

import os
import typing as t

from ...network.wire import GUEST_LINK
from ..protocol import Hardware
from .stage import IDS, ROOT

# What the guest's init is called in our images.
INIT = "/usr/sbin/bbot-init"
# What tells the guest the descriptors of these streams; and the first of them.
_VARIABLES = {"progress": "BBOT_PROGRESS", "inspection": "BBOT_INSPECT", "talk": "BBOT_SHELL"}
_FIRST = 3

# What builds, and what installs and configures a system, need in their own user namespace.
_KEPT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
)
# Processes of each of its users, where no control group limits them.
PROCESSES = 4096
# Power off: what the container's init understands (systemd(1)).
_POWER_OFF = "SIGRTMIN+4"

# systemd-nspawn is to lock nothing on the host, and /tmp is on the disk.
ENVIRONMENT = {
    "SYSTEMD_NSPAWN_LOCK": "0",
    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
    # In its own namespace it is the first process, who is handed descriptors.
    "LISTEN_PID": "1",
}


def nspawn_arguments(hardware: Hardware, first: int) -> list[str]:
    """systemd-nspawn's arguments for `hardware`, whose root is the user `first` of the host."""
    return [
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        f"--directory={os.path.join(hardware.directory, ROOT)}",
        f"--machine=bbot-{first}",
        f"--hostname={_hostname(hardware.name)}",
        f"--private-users={first}:{IDS}",
        "--private-users-ownership=off",
        f"--network-interface={GUEST_LINK}",
        "--console=pipe",
        "--as-pid2",
        f"--kill-signal={_POWER_OFF}",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        f"--drop-capability={','.join(dropped())}",
        f"--rlimit=NPROC={PROCESSES}",
        "--rlimit=NOFILE=1024:524288",
        "--rlimit=CORE=0",
        "--oom-score-adjust=0",
        *(f"--setenv={_VARIABLES[name]}={fd}" for fd, name in enumerate(streams(hardware), _FIRST)),
        INIT,
    ]


def streams(hardware: Hardware) -> list[str]:
    """Return what sockets connect the guest with its owner, in the order of their descriptors."""
    wanted = {"progress": True, "inspection": hardware.inspect, "talk": hardware.shell}
    return [name for name, is_wanted in wanted.items() if is_wanted]


# All that systemd-nspawn(1) gives by default, or may with a network.
_GIVEN = (
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
)


def dropped() -> list[str]:
    """Return the capabilities that a guest's root does not have."""
    return [each for each in _GIVEN if each not in _KEPT]


def _hostname(name: str) -> str:
    """Return `name` as a host can be called."""
    letters: t.Iterable[str] = (each if each.isascii() and each.isalnum() else "-" for each in name)
    return "".join(letters).strip("-")[:63].rstrip("-") or "machine"
