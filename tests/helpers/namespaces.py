# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose the namespaces of this machine are, whoever is in there or only holds them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path

# linux/nsfs.h
_NS_GET_USERNS, _NS_GET_NSTYPE, _NS_GET_OWNER_UID = 0xB701, 0xB703, 0xB704
_CLONE_NEWUSER = 0x10000000
_KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def namespaces_of(user: int) -> set[str]:
    """The namespaces that the ``user`` of that number owns, such as `net:[4026532008]`."""
    found = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        for folder in ("ns", "fd"):
            with contextlib.suppress(OSError):
                for each in (process / folder).iterdir():
                    with contextlib.suppress(OSError):
                        name = str(each.readlink())
                        if name.partition(":[")[0] in _KINDS and _owner(each) == user:
                            found.add(name)
    return found


def _owner(path: Path) -> int:
    """Whose the namespace at ``path`` is. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if fcntl.ioctl(fd, _NS_GET_NSTYPE) != _CLONE_NEWUSER:
            held, fd = fd, fcntl.ioctl(fd, _NS_GET_USERNS)
            os.close(held)
        owner = bytearray(4)
        fcntl.ioctl(fd, _NS_GET_OWNER_UID, owner)
        return int(struct.unpack("=I", owner)[0])
    finally:
        os.close(fd)
