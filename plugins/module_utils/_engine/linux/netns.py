# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Network namespaces (network_namespaces(7)): entered, left and held by descriptors."""

from __future__ import annotations

import ctypes
import os

# linux/sched.h
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def unshare_network() -> None:
    """Put this thread into a new network namespace, in which nothing is up. Raises OSError."""
    _check(_libc.unshare(_CLONE_NEWNET))


def enter_network(namespace: int) -> None:
    """Put this thread into the network namespace of a descriptor. Raises OSError."""
    _check(_libc.setns(namespace, _CLONE_NEWNET))


def current_network() -> int:
    """Return a new descriptor of this thread's network namespace. Raises OSError."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
