# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest that is nothing but frames, sent to and taken from the descriptor of a tap."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import struct
import time
import typing as t

# What QEMU has the kernel put before each frame (linux/virtio_net.h).
_HEADER = bytes(10)
BROADCAST = "ff:ff:ff:ff:ff:ff"
_MAGIC = bytes.fromhex("63825363")


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


class Datagram(t.NamedTuple):
    """A datagram of UDP that has come to a guest."""

    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes


class FrameGuest:
    """A guest with `mac` and `address` at `tap`, whose gateway has `gateway_mac`."""

    def __init__(self, tap: int, mac: str, address: str, gateway_mac: str) -> None:
        self.tap, self.mac, self.address = tap, mac, address
        self.gateway_mac = gateway_mac

    def send(self, kind: int, body: bytes, to: str | None = None) -> None:
        """Send a frame of the Ethernet type `kind`."""
        head = _octets(to or self.gateway_mac) + _octets(self.mac) + struct.pack("!H", kind)
        os.write(self.tap, _HEADER + (head + body).ljust(60, b"\0"))

    def send_udp(
        self, target: tuple[str, int], port: int, data: bytes, to: str | None = None
    ) -> None:
        """Send a datagram from `port`."""
        udp = struct.pack("!HHHH", port, target[1], 8 + len(data), 0) + data
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0),
            *(_packed(self.address), _packed(target[0])),
        )
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        self.send(0x0800, head[:10] + struct.pack("!H", checksum) + head[12:] + udp, to)

    def frames(self, seconds: float) -> t.Iterator[bytes]:
        """What comes within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.tap], [], [], left)[0]:
                with contextlib.suppress(BlockingIOError):
                    yield os.read(self.tap, 1 << 17)[len(_HEADER) :]

    def receive(self, port: int, seconds: float) -> Datagram | None:
        """Return the first datagram to `port`; who asks where we are is answered meanwhile."""
        for frame in self.frames(seconds):
            kind, body = frame[12:14], frame[14:]
            if (
                kind == b"\x08\x06"
                and body[6:8] == b"\0\1"
                and body[24:28] == _packed(self.address)
            ):
                own = _octets(self.mac) + _packed(self.address)
                self.send(0x0806, body[:6] + b"\0\2" + own + body[8:18])
            if kind == b"\x08\0" and body[9] == 17:
                udp = body[(body[0] & 15) * 4 :]
                source, target, size = struct.unpack_from("!HHH", udp)
                if target == port:
                    addresses = [str(ipaddress.IPv4Address(body[i : i + 4])) for i in (12, 16)]
                    data = udp[8:size]
                    return Datagram((addresses[0], source), (addresses[1], target), data)
        return None

    def discover(self, mac: str | None = None, seconds: float = 5) -> str | None:
        """Ask DHCP for an address, for `mac` or for ourselves, and take it; None without answer."""
        offered = self._dhcp(mac or self.mac, 1, b"", seconds)
        if offered is None:
            return None
        wanted = b"\x32\x04" + _packed(offered)
        return self._dhcp(mac or self.mac, 3, wanted, seconds)

    def _dhcp(self, mac: str, kind: int, options: bytes, seconds: float) -> str | None:
        number = os.urandom(4)
        head = struct.pack("!BBBB4sHH16x", 1, 1, 6, 0, number, 0, 0x8000)
        data = (head + _octets(mac)).ljust(236, b"\0") + _MAGIC
        data += struct.pack("!BBB", 53, 1, kind) + options + b"\xff"
        end = time.monotonic() + seconds
        # As clients do, again and again: nobody may be listening yet.
        while time.monotonic() < end:
            former = self.mac, self.address
            self.mac, self.address = mac, "0.0.0.0"
            try:
                self.send_udp(("255.255.255.255", 67), 68, data, BROADCAST)
            finally:
                self.mac, self.address = former
            answer = self.receive(68, 0.2)
            while answer is not None and answer.data[4:8] != number:
                answer = self.receive(68, 0.2)
            if answer is not None:
                refused = struct.pack("!BBB", 53, 1, 6) in answer.data[240:]
                return None if refused else str(ipaddress.IPv4Address(answer.data[16:20]))
        return None
