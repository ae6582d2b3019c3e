# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The files of an nspawn machine: a root file system tree, and a disk for what a task writes.

In the machine's directory there is a folder `tree` that nobody but root can enter: the tree has
programs with the set-user-ID bit. In it are `root`, the tree itself, and in a machine that is
thrown away a disk `disk.img` of limited size, which holds what is written over the tree.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import typing as t

from ...linux.mounts import mounts
from ...linux.process import find_program
from ...linux.program import run_program
from ...storage.tree import TREE
from ..protocol import Hardware, VmError

DISK = "disk.img"
# Where the process that becomes the container's mounts all that, for itself only.
STAGE = os.path.join(TREE, "stage")

# MiB, unless the manifest's options say otherwise. It has to hold what a build writes.
_USUAL = 8192
_LEAST = 16
_OPTION = re.compile(r"disk=([0-9]{1,7})")
_SECTOR = 512


def objection(options: t.Sequence[str] | None) -> str:
    """Return why an nspawn machine with these `options` cannot be run here; empty if it can."""
    if os.geteuid() != 0:
        return "machines of type nspawn are run by root only: use one of type kvm"
    try:
        disk_size(options)
    except VmError as error:
        return str(error)
    return ""


def disk_size(options: t.Sequence[str] | None) -> int:
    """Return how much a task may write, in MiB, by the `options` of a manifest. Raises VmError."""
    size = _USUAL
    for word in options or ():
        match = _OPTION.fullmatch(word)
        if match is None or int(match[1]) < _LEAST:
            raise VmError(
                f"option {word!r} is none of an nspawn machine, which has but disk=MIB, "
                f"of at least {_LEAST}",
                culprit="machine",
            )
        size = int(match[1])
    return size


def make_disk(hardware: Hardware) -> None:
    """Make the disk for what the machine writes, all of its size set aside. Raises VmError."""
    size = disk_size(hardware.options)
    path = os.path.join(hardware.directory, TREE, DISK)
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "nodiscard"]
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # A disk that is too full later would lose what is in memory without a word.
            _set_aside(fd, size << 20)
        finally:
            os.close(fd)
        program = find_program("mke2fs", "e2fsprogs")
        status, _output, words = run_program([program, *options, path], timeout=120)
    except OSError as error:
        raise VmError(
            f"machine {hardware.name} cannot have its disk of {size} MiB in "
            f"{hardware.directory}: {error.strerror or error}"
        ) from error
    if status != 0:
        said = words.decode(errors="replace").strip()
        raise VmError(f"machine {hardware.name} cannot have its disk: mke2fs: {said}")


def _set_aside(fd: int, size: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(fd, size)


def seen(directory: str, pid: int) -> int | None:
    """Return how many bytes the device of the disk in `directory` has ever been given.

    `pid` is a process that has mounted it; None where it is not mounted. A loop device has had
    other files before, whose bytes count as well.
    """
    place = os.path.join(directory, STAGE, "disk")
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        numbers = next(words[2] for words in mounts(pid) if words[4] == place)
        with open(f"/sys/dev/block/{numbers}/stat", encoding="ascii") as file:
            # The seventh number (Documentation/block/stat.rst).
            return int(file.read().split()[6]) * _SECTOR
    return None


def in_use(directory: str, pid: int) -> int:
    """Return how many bytes of the disk in `directory` are in use, as process `pid` has it.

    Returns 0 where it is not mounted: the process may leave it at any time, and what is found at
    its place then is of somebody else.
    """
    place = os.path.join(directory, STAGE, "disk")
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        fd = os.open(f"/proc/{pid}/root{place}", flags)
        try:
            # Of another device than the folder around it: something is mounted there.
            if os.fstat(fd).st_dev != os.stat("..", dir_fd=fd).st_dev:
                size = os.fstatvfs(fd)
                return (size.f_blocks - size.f_bfree) * size.f_frsize
        finally:
            os.close(fd)
    return 0
