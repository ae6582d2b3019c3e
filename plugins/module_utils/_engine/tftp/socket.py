# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The UDP sockets of TFTP: buffers that hold a window, windows sent with one call."""

from __future__ import annotations

import errno
import socket
import struct

from .packets import LARGEST_DATAGRAM, TftpError
from .transfers import Packet, Peer

# Linux constants that the socket module does not have.
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
UDP_SEGMENT = 103
MOST_SEGMENTS = 64
# Receiving waits for at most this long, in seconds. The kernel's own timeout saves a system call
# for each datagram, compared with one of Python's.
RECEIVE_TIMEOUT = 0.02

# What the kernel says where it cannot segment: block larger than the MTU, no checksum
# offload, a kernel before 4.18.
_CANNOT_SEGMENT = (
    errno.EINVAL,
    errno.EMSGSIZE,
    errno.EIO,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
)


class UdpSocket:
    """A UDP socket over IPv4. ``raw`` is the socket proper, for receiving and polling.

    Sending never waits, receiving does for RECEIVE_TIMEOUT.

    ``window_bytes`` is how large a window its buffers can hold. ``bound`` is a socket to use,
    which has its address already.
    """

    def __init__(self, buffer: int, bound: socket.socket | None = None) -> None:
        self.raw = bound or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.raw.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, int(RECEIVE_TIMEOUT * 1e6))
        )
        self._unsegmented: set[int] = set()
        # The kernel counts about two bytes for one of payload, and doubles what it is told.
        self.window_bytes = min(
            _enlarge(self.raw, SO_RCVBUFFORCE, socket.SO_RCVBUF, buffer),
            _enlarge(self.raw, SO_SNDBUFFORCE, socket.SO_SNDBUF, buffer),
        )

    def bind(self, address: str, port: int) -> None:
        """Raises TftpError where the address cannot be had."""
        where = f"{address}:{port}"
        try:
            socket.inet_pton(socket.AF_INET, address)
        except OSError:
            raise TftpError(
                f"cannot serve TFTP on {where}: {address!r} is not an IPv4 address;"
                " give one like 127.0.0.1"
            ) from None
        try:
            self.raw.bind((address, port))
        except OverflowError:
            raise TftpError(
                f"cannot serve TFTP on {where}: a port is a number from 0 to 65535"
            ) from None
        except OSError as error:
            reasons = {
                errno.EADDRINUSE: "the port is in use;"
                " choose another one, or end the program that has it (ss -ulpn shows it)",
                errno.EADDRNOTAVAIL: "no interface of this host has this address;"
                " ip address lists those there are",
                errno.EACCES: "ports below 1024 are root's; choose a higher one",
            }
            reason = reasons.get(error.errno or 0, error.strerror or str(error))
            raise TftpError(f"cannot serve TFTP on {where}: {reason}") from error

    def send(self, packet: Packet, peer: Peer) -> None:
        """Send a datagram; one that cannot be sent now is lost, and repeated in its time."""
        # No context manager: that would take a tenth of what a block takes.
        try:
            self.raw.sendto(packet, socket.MSG_DONTWAIT, peer)
        except OSError:
            return

    def send_window(self, packets: memoryview, stride: int, peer: Peer) -> None:
        """Send consecutive packets of ``stride`` bytes, the last one perhaps shorter.

        UDP GSO hands the kernel up to 64 of them at once: four times as fast as one by one.
        """
        together = min(MOST_SEGMENTS, LARGEST_DATAGRAM // stride) * stride
        if together > stride and stride not in self._unsegmented:
            segment = [(socket.SOL_UDP, UDP_SEGMENT, struct.pack("=H", stride))]
            try:
                for start in range(0, len(packets), together):
                    self.raw.sendmsg(
                        [packets[start : start + together]], segment, socket.MSG_DONTWAIT, peer
                    )
            except OSError as error:
                if error.errno not in _CANNOT_SEGMENT:
                    return
                self._unsegmented.add(stride)
            else:
                return
        for start in range(0, len(packets), stride):
            self.send(packets[start : start + stride], peer)

    def close(self) -> None:
        self.raw.close()


def _enlarge(raw: socket.socket, force: int, plain: int, size: int) -> int:
    """Make a socket buffer hold ``size`` bytes of payload if allowed; what it then holds."""
    try:
        raw.setsockopt(socket.SOL_SOCKET, force, size)
    except OSError:
        raw.setsockopt(socket.SOL_SOCKET, plain, size)
    return raw.getsockopt(socket.SOL_SOCKET, plain) // 2
