# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Taps: the ports of the private bridge that guests are at."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import socket
import struct
import typing as t

from .bridge import NetworkError, interface_request

# linux/if_tun.h, linux/sockios.h
_TUNSETIFF, _TUNGETIFF = 0x400454CA, 0x800454D2
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_TUN_EXCL = 0x0002, 0x1000, 0x4000, 0x8000
_SIOCGIFINDEX = 0x8933
_IFF_UP = 1
# linux/rtnetlink.h, linux/if_link.h, linux/neighbour.h
_AF_UNSPEC, _AF_BRIDGE = 0, 7
_RTM_SETLINK, _RTM_NEWNEIGH = 19, 28
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_REPLACE, _NLM_F_CREATE = 1, 4, 0x100, 0x400
_NLMSG_ERROR = 2
_NLA_F_NESTED = 0x8000
_IFLA_MASTER, _IFLA_PROTINFO, _IFLA_BRPORT_ISOLATED = 10, 12, 33
_NDA_LLADDR, _NUD_REACHABLE, _NTF_MASTER = 2, 2, 4

# Larger than any frame, with the header that QEMU has the kernel put before each.
_FRAME = 1 << 17


def open_tap(name: str, bridge: str) -> int:
    """Make tap ``name``, up and a port of ``bridge``; its descriptor, for QEMU to inherit.

    In ``name`` `%d` is the first number that is free. The port is isolated: a guest
    reaches the host, not another guest. The tap is gone when the last process that has
    the descriptor is. Raises NetworkError.
    """
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NetworkError(
            f"cannot make a tap: /dev/net/tun cannot be opened ({error.strerror}); "
            "load the module tun and run as root"
        ) from error
    try:
        flags = struct.pack("=H", _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | _IFF_TUN_EXCL)
        try:
            fcntl.ioctl(tap, _TUNSETIFF, interface_request(name, flags))
        except OSError as error:
            raise NetworkError(f"cannot create tap {name}: {error.strerror}") from error
        _attach(tap, bridge)
    except BaseException:
        os.close(tap)
        raise
    return tap


def lead_to(tap: int, mac: str) -> None:
    """Have the bridge send to ``tap`` what is for ``mac``, wherever it did until now.

    It would learn of the move from the guest's first frame only, and a guest that is
    resumed waits for ours. Raises NetworkError.
    """
    address = struct.pack("=HH6s2x", 10, _NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    name = _name(tap)
    try:
        index = _index(name)
        entry = struct.pack("=BxxxiHBx", _AF_BRIDGE, index, _NUD_REACHABLE, _NTF_MASTER)
        _netlink(_RTM_NEWNEIGH, entry + address, _NLM_F_CREATE | _NLM_F_REPLACE)
    except OSError as error:
        raise NetworkError(f"cannot lead {mac} to tap {name}: {error.strerror}") from error


class Taps:
    """Taps of ``bridge`` that outlive their machines, one for each place of a task.

    To close one takes the kernel longer than to end the machine. They end with this
    process; the jobs that it forks have what it has.
    """

    def __init__(self, bridge: str) -> None:
        self._bridge = bridge
        self._taps: dict[int, int] = {}

    def provide(self, place: int) -> None:
        """Have a tap at ``place``, as open_tap() makes it. Raises NetworkError."""
        if place not in self._taps:
            self._taps[place] = open_tap("bbtap%d", self._bridge)
            return
        try:
            # The bridge may be another one by now, of the same name.
            _attach(self._taps[place], self._bridge)
        except NetworkError:
            self.drop(place)
            raise

    def drop(self, place: int) -> None:
        """Close the tap at ``place``, if there is one: who uses it may still be alive."""
        if place in self._taps:
            os.close(self._taps.pop(place))

    def opener(self, place: int) -> t.Callable[[str, str], int]:
        """What gives the tap at ``place`` to one machine after another; open_tap() without one."""
        tap = self._taps.get(place)
        return open_tap if tap is None else functools.partial(_again, tap)


def _again(tap: int, _name: str, _bridge: str) -> int:
    """A descriptor of ``tap`` for the next machine, which gets none of the frames to the last."""
    with contextlib.suppress(BlockingIOError):
        while True:
            os.read(tap, _FRAME)
    return os.dup(tap)


def _attach(tap: int, bridge: str) -> None:
    """Make ``tap``, whatever it was, an isolated port of ``bridge`` that is up."""
    name = _name(tap)
    step = f"add tap {name} to bridge {bridge}"
    try:
        index = _index(name)
        master = struct.pack("=HHI", 8, _IFLA_MASTER, _index(bridge))
        _set_link(_AF_UNSPEC, index, master)
        step = f"isolate tap {name}"
        isolated = struct.pack("=HHB3x", 5, _IFLA_BRPORT_ISOLATED, 1)
        head = struct.pack("=HH", 4 + len(isolated), _IFLA_PROTINFO | _NLA_F_NESTED)
        _set_link(_AF_BRIDGE, index, head + isolated)
        step = f"bring tap {name} up"
        _set_link(_AF_UNSPEC, index, b"", _IFF_UP)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise NetworkError(f"cannot {step}: {bridge} is not a bridge") from error
        raise NetworkError(f"cannot {step}: {error.strerror}") from error


def _set_link(family: int, index: int, attributes: bytes, flags: int = 0) -> None:
    _netlink(_RTM_SETLINK, struct.pack("=BxHiII", family, 0, index, flags, flags) + attributes)


def _netlink(kind: int, body: bytes, flags: int = 0) -> None:
    """Have the kernel do what a message of rtnetlink says; OSError if it does not."""
    flags |= _NLM_F_REQUEST | _NLM_F_ACK
    header = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(header + body)
        answer = sock.recv(4096)
    (kind,) = struct.unpack_from("=H", answer, 4)
    (error,) = struct.unpack_from("=i", answer, 16)
    if kind != _NLMSG_ERROR or error:
        raise OSError(-error, os.strerror(-error))


def _name(tap: int) -> str:
    buffer = bytearray(40)
    fcntl.ioctl(tap, _TUNGETIFF, buffer)
    return os.fsdecode(bytes(buffer[:16]).rstrip(b"\0"))


def _index(name: str) -> int:
    buffer = interface_request(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCGIFINDEX, buffer)
    (index,) = struct.unpack_from("=i", buffer, 16)
    return int(index)
