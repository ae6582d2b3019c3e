# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Mounts: what others have mounted, and what only this process and those it starts see.

See mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import typing as t

from .process import find_program
from .program import run_program

# linux/sched.h, linux/mount.h, linux/fcntl.h
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 1, 2, 4, 0x20, 0x1000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH, _AT_EMPTY_PATH = 4, 0x1000
_MOUNT_ATTR_IDMAP = 0x100000
# The same on all architectures that are younger than they.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD = -100

# How often the list of mounts is read for one that has to be there.
_LOOKS = 10

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def mounts(pid: int | str) -> list[list[str]]:
    """Return the words of each mount that the process `pid`, or `self`, sees (proc(5)).

    Some may be missing while others come and go: it is read in pieces. Raises OSError.
    """
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split() for line in file]


def mount_options(directory: str) -> list[str]:
    """Return the options of the file system that `directory` is on (proc(5)). Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
            facts = dict(line.split(":", 1) for line in file if ":" in line)
    finally:
        os.close(fd)
    number = facts.get("mnt_id", "").strip()
    for _dummy in range(_LOOKS):
        for words in mounts("self"):
            if words[0] == number:
                # Those of the file system come last; what is before the dash varies.
                return words[-1].split(",")
    return []


def hide_mounts() -> None:
    """Have what is mounted from now on be seen by this process and its children only.

    Raises OSError.
    """
    _check(_libc.unshare(_CLONE_NEWNS))
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def mount_memory(target: str) -> None:
    """Mount an empty file system in memory, of a few files. Raises OSError."""
    _mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755,size=4m")


def make_read_only(target: str) -> None:
    """Have what is mounted at `target` be read-only, here. Raises OSError."""
    _mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)


def mount_overlay(target: str, lower: str, upper: str, work: str) -> None:
    """Mount the folder `lower` as `target`; what is written there goes to `upper`.

    `work` is an empty folder beside that. What was written is not to outlive a crash of the host.
    Raises OSError.
    """
    options = f"lowerdir={lower},upperdir={upper},workdir={work},volatile"
    _mount("overlay", target, "overlay", 0, f"{options},redirect_dir=on,metacopy=off,index=off")


def mount_image(image: str, target: str) -> None:
    """Mount the file `image`, which holds an ext4; its loop device goes with the mount.

    What a new one has not made yet, such as inodes, is made when it is used (mount(8) and ext4(5)
    on noinit_itable): else the kernel writes 16 MiB for each GiB within a minute. Raises OSError
    and CommandError.
    """
    options = "loop,noatime,nosuid,nodev,noinit_itable"
    status, _output, words = run_program(
        [find_program("mount", "mount"), "-o", options, image, target], timeout=60
    )
    if status != 0:
        raise OSError(0, words.decode(errors="replace").strip() or f"mount: {status}", image)


def mount_shifted(source: str, target: str, first: int, count: int) -> None:
    """Mount the folder `source` as `target`, the ids of its files shifted there.

    A file of the user `n` below `count` is that of `first` + `n` there, and the other way round
    for what is made there. Raises OSError, with ENOSYS or EINVAL where the kernel or the file
    system cannot do that.
    """
    with _user_namespace(first, count) as users:
        flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
        tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)
        try:
            # set, clear, propagation, user namespace
            attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, users)
            _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
            place = os.fsencode(target)
            _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, place, _MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)


@contextlib.contextmanager
def _user_namespace(first: int, count: int) -> t.Iterator[int]:
    """A descriptor of a user namespace with that range of ids."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if _libc.unshare(_CLONE_NEWUSER) == 0:
                os.write(told, b"+")
                signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(told)
        if not os.read(ready, 1):
            raise OSError(0, "the kernel gives no user namespace")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
                file.write(f"0 {first} {count}")
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    words = [None if each is None else os.fsencode(each) for each in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data), target)


def _call(number: int, *arguments: int | bytes) -> int:
    """Do a system call; its result."""
    converted = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *converted)
    _check(min(result, 0))
    return result


def _check(result: int, name: str | None = None) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
