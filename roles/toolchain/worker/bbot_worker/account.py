# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs the build, and the end of all that it has started."""

from __future__ import annotations

import contextlib
import os
import time

# Seconds that killed processes are given to be gone.
_PATIENCE = 10.0
_SIGKILL = 9  # The module signal is slow to import.
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Account:
    """The user ``build`` where there is one and we may become it; else ourselves."""

    def __init__(self, home: str, user: str = "build") -> None:
        self.name, self.home = "", home
        self.ids: tuple[int, int] | None = None
        if os.getuid() == 0:
            import pwd

            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(user)
                self.name, self.home = entry.pw_name, entry.pw_dir
                self.ids = (entry.pw_uid, entry.pw_gid)
        self._former: set[int] = set()
        if self.ids is None:
            _adopt_orphans()
            self._former = _children(os.getpid())

    @property
    def is_root(self) -> bool:
        """Whether we may do whatever there is to do."""
        return os.getuid() == 0

    def own(self, path: str) -> None:
        """Give the file, directory or link at *path* to the build user."""
        if self.ids:
            os.chown(path, *self.ids, follow_symlinks=False)

    def own_descriptor(self, descriptor: int) -> None:
        """Let the build user open what *descriptor* stands for, such as its /dev/stdout."""
        if self.ids:
            os.fchown(descriptor, *self.ids)

    def make_directory(self, path: str) -> str:
        """Make the directory, and those above it that are missing, the build user's; *path*."""
        missing = []
        place = path
        while not os.path.isdir(place):
            missing.append(place)
            place = os.path.dirname(place)
        os.makedirs(path, exist_ok=True)
        for place in missing:
            self.own(place)
        self.own(path)
        return path

    def end_processes(self) -> None:
        """Kill whatever the build has left running, in a session of its own or not."""
        until = time.monotonic() + _PATIENCE
        while (left := self._left()) and time.monotonic() < until:
            if self.ids:
                _kill_all_of(*self.ids)
            for pid in left:
                _kill_tree(pid)
            time.sleep(0.005)

    def _left(self) -> set[int]:
        """The processes that the build has left."""
        if self.ids is None:
            return _children(os.getpid()) - self._former
        left = set()
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and os.stat(f"/proc/{name}").st_uid == self.ids[0]:
                    left.add(int(name))
        return left


def _kill_all_of(uid: int, gid: int) -> None:
    """Kill all processes of the user by one call, which no fork outruns."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, _SIGKILL)  # All but the caller.
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _kill_tree(pid: int) -> None:
    for each in [pid, *_descendants(pid)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(each, _SIGKILL)
    # What was adopted is ours to bury.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _adopt_orphans() -> None:
    """Have processes whose parents have ended become our children. See prctl(2)."""
    # The tiny image has no ctypes; but it has a user to build as.
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found.update(map(int, file.read().split()))
    return found


def _descendants(pid: int) -> list[int]:
    return [each for child in _children(pid) for each in [child, *_descendants(child)]]
