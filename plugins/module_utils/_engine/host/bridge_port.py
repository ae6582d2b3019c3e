# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A guest on a bridge of the host: a port that is locked to it, and the redirection of its TFTP.

Others share that bridge, so one machine at a time has a MAC address, and what is made is noted
in the lease of its owner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import typing as t
import zlib

from ..linux.rtnetlink import Rtnetlink
from ..linux.tap import make_tap
from ..network.bridge import NetworkError, Redirect, bridge_address
from ..network.dnsmasq import Dnsmasq
from ..tftp.server import Server, TftpError
from .host import Host
from .locks import Lease, Lock, LockError

# Where machines have their servers' ports: above those that Linux gives to those who ask for any.
_PORTS = range(61000, 65536)


def open_port(name: str, bridge: str, mac: str) -> int:
    """Make the tap `name` a port of `bridge` for `mac` alone, and return its descriptor.

    Frames from another address are dropped, and a guest reaches the host, not another guest.
    The tap is gone when the last process that has the descriptor is. Raises NetworkError.
    """
    step = f"make tap {name}"
    try:
        tap = make_tap(name)
    except OSError as error:
        raise NetworkError(
            f"cannot {step}: {error.strerror}; load the module tun and run as root"
        ) from error
    try:
        step = f"add tap {name} to bridge {bridge}"
        with Rtnetlink() as links:
            index = socket.if_nametoindex(name)
            links.join(index, _index(bridge))
            step = f"lock tap {name} to {mac}"
            links.set_port(index, locked=True)
            links.lead_to(index, mac)
            step = f"bring tap {name} up"
            links.bring_up(index)
    except OSError as error:
        os.close(tap)
        if error.errno == errno.EOPNOTSUPP:
            raise NetworkError(f"cannot {step}: {bridge} is not a bridge") from error
        raise NetworkError(f"cannot {step}: {error.strerror or error}") from error
    return tap


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error


def _find(name: str) -> int | None:
    with contextlib.suppress(OSError):
        return _index(name)
    return None


def usual_port(mac: str) -> int:
    """The port that the server of the machine with this MAC address has, unless it is taken.

    For minutes the kernel sends on what comes from a port of a guest to where it was redirected
    last, and guests choose their ports at random: where servers had any port, a task would now
    and then talk to that of one before.
    """
    return _PORTS[zlib.crc32(mac.encode()) % len(_PORTS)]


def _open_server(address: str, port: int, mac: str, **options: t.Any) -> Server:
    """A server on ``port`` or, where that is 0, on the usual one or else on any."""
    if port == 0:
        with contextlib.suppress(TftpError):
            return Server(address, usual_port(mac), **options)
    return Server(address, port, **options)


def _lock_mac(host: Host, bridge: str, mac: str, purpose: str) -> Lock:
    """The right to redirect what ``mac`` on ``bridge`` sends; held while the machine runs."""
    return host.lock(f"mac-{bridge}-{mac.replace(':', '')}", purpose)


class BridgePort:
    """The place of the guest with the address `mac` on a bridge; see Attachment.

    `port` is that of its server, 0 is the usual one. Raises NetworkError, and LockError while
    another machine has the address.
    """

    namespace: int | None = None
    dnsmasq: Dnsmasq | None = None

    def __init__(self, host: Host, lease: Lease, bridge: str, mac: str, port: int) -> None:
        self._address = str(bridge_address(bridge).ip)
        self._host, self._lease, self._bridge = host, lease, bridge
        self._mac, self._port = mac, port
        purpose = f"run a machine with MAC address {mac}"
        with contextlib.ExitStack() as undo:
            undo.enter_context(_lock_mac(host, bridge, mac, purpose))
            self.port = f"bb{lease.id}"
            self.tap = open_port(self.port, bridge, mac)
            undo.callback(os.close, self.tap)
            self._index = _find(bridge)
            self._undo = undo.pop_all()

    def serve(self, **options: t.Any) -> Server:
        """Return the server that the guest's TFTP is redirected to."""
        server = _open_server(self._address, self._port, self._mac, **options)
        try:
            self._lease.note(bridge=self._bridge, mac=self._mac)
            self._undo.callback(self._end_redirection)
            Redirect(self._host.run).add(self._bridge, self._mac, self._address, server.port)
        except BaseException:
            server.close()
            raise
        return server

    def check(self) -> None:
        """Raise NetworkError if the bridge is gone, or another one has its name."""
        if self._index is None or _find(self._bridge) != self._index:
            raise NetworkError(f"bridge {self._bridge} was taken away while a guest was on it")

    def _end_redirection(self) -> None:
        Redirect(self._host.run).remove(self._bridge, self._mac)
        self._lease.note(mac=None)

    def close(self) -> None:
        """End the redirection, and let go of the tap."""
        self._undo.close()


def release_port(host: Host, record: t.Mapping[str, t.Any]) -> None:
    """End the redirection that a lease's ``record`` tells of; it may be gone already."""
    if record.get("mac"):
        bridge, mac = record["bridge"], record["mac"]
        # Where the lock is taken, the redirection is already that of another machine.
        with (
            contextlib.suppress(LockError),
            _lock_mac(host, bridge, mac, f"end the redirection of {mac}"),
        ):
            Redirect(host.run).remove(bridge, mac)
