# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Taps: links whose frames a process reads and writes (linux/if_tun.h)."""

from __future__ import annotations

import fcntl
import os
import struct

_TUNSETIFF, _TUNGETIFF, _TUNSETPERSIST = 0x400454CA, 0x800454D2, 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_TUN_EXCL = 0x0002, 0x1000, 0x4000, 0x8000
_DEVICE = "/dev/net/tun"


def make_tap(name: str, *, persistent: bool = False) -> int:
    """Return the descriptor of a new tap `name`, for QEMU to inherit.

    The tap is gone when the last process that has the descriptor is; a `persistent` one stays
    until its namespace goes. Raises OSError.
    """
    tap = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | _IFF_TUN_EXCL
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("=16sH22x", os.fsencode(name), flags))
        if persistent:
            fcntl.ioctl(tap, _TUNSETPERSIST, 1)
    except BaseException:
        os.close(tap)
        raise
    return tap
