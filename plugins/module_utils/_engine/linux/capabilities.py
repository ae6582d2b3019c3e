# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Capabilities (capabilities(7)) that a process keeps when it becomes another user or program."""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
import typing as t

# linux/capability.h, linux/prctl.h
NET_BIND_SERVICE, NET_ADMIN, NET_RAW = 10, 12, 13
_HEADER = struct.pack("=Ii", 0x20080522, 0)
# Effective, permitted and inheritable ones, of each the lower and then the upper half.
_SETS = struct.Struct("=6I")
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2

_libc = ctypes.CDLL(None, use_errno=True)


def become(account: pwd.struct_passwd, kept: t.Collection[int] = ()) -> None:
    """Be `account`, with the capabilities `kept` and no others, in programs too. Raises OSError.

    Only root becomes another; anybody else has capabilities in a user namespace of its own, and
    keeps these of them.
    """
    if os.geteuid() == 0:
        if account.pw_uid == 0:
            return
        _check(_libc.prctl(_PR_SET_KEEPCAPS, int(bool(kept)), 0, 0, 0))
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    if kept:
        mask = _mask(kept)
        _set([mask, mask, mask, 0, 0, 0], kept)


def hand_down(kept: t.Collection[int]) -> None:
    """Let the programs that this process starts have the capabilities `kept`, which it has itself.

    That of root is so anyway. Raises OSError.
    """
    state = ctypes.create_string_buffer(_SETS.size)
    _check(_libc.capget(_HEADER, state))
    sets = list(_SETS.unpack(state.raw))
    sets[2] |= _mask(kept)
    _set(sets, kept)


def _mask(capabilities: t.Iterable[int]) -> int:
    return sum(1 << each for each in capabilities)


def _set(sets: t.Sequence[int], kept: t.Iterable[int]) -> None:
    """Have the `sets`, and programs those of them that are `kept`."""
    _check(_libc.capset(_HEADER, _SETS.pack(*sets)))
    for each in kept:
        _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, each, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
