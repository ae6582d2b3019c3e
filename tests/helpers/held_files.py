# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files at which whoever opens or executes them stands still (fanotify(7)), to be looked at."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path

from .waiting import PATIENCE

# linux/fanotify.h
_CLASS_CONTENT, _CLOEXEC, _MARK_ADD, _OPEN_PERM = 0x4, 0x1, 0x1, 0x10000
_AT_FDCWD = -100
_EVENT = struct.Struct("=IBBHQii")
_libc = ctypes.CDLL(None, use_errno=True)


class HeldFile:
    """A file that nobody gets open until go_on(); a program that waits for it can be killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._checked(_libc.fanotify_init(_CLASS_CONTENT | _CLOEXEC, os.O_RDONLY))
        mask, name = ctypes.c_uint64(_OPEN_PERM), os.fsencode(path)
        try:
            self._checked(_libc.fanotify_mark(self._fd, _MARK_ADD, mask, _AT_FDCWD, name))
        except OSError:
            self.go_on()
            raise

    def _checked(self, result: int) -> int:
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(self._path))
        return result

    def wait(self) -> None:
        """Wait until somebody stands there."""
        assert select.select([self._fd], [], [], PATIENCE)[0], f"nobody opens {self._path}"
        fields = _EVENT.unpack_from(os.read(self._fd, _EVENT.size))
        os.close(fields[5])

    def go_on(self) -> None:
        """Let everybody go; harmless a second time."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def program_to_hold(folder: Path, name: str) -> Path:
    """Make a program of that ``name`` in ``folder``, which is to be held: it does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path
