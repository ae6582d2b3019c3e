# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Renaming that replaces nothing, and that exchanges two names (renameat2(2))."""

from __future__ import annotations

import ctypes
import os

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1 << 0
_RENAME_EXCHANGE = 1 << 1

_libc = ctypes.CDLL(None, use_errno=True)


def _rename(path: str, dest: str, flags: int) -> None:
    names = os.fsencode(path), os.fsencode(dest)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(flags)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path, None, dest)


def rename_new(path: str, dest: str) -> None:
    """Give `path` the name `dest`, which must be free. Raises OSError.

    EINVAL is a file system that cannot do so.
    """
    _rename(path, dest, _RENAME_NOREPLACE)


def exchange(path: str, dest: str) -> None:
    """Let `path` and `dest`, which must both be there, change places in one step.

    Raises OSError; EINVAL is a file system that cannot do so.
    """
    _rename(path, dest, _RENAME_EXCHANGE)
