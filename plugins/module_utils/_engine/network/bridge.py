# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The way to us of a guest on a bridge of the host: the redirection of its TFTP.

A worker asks for TFTP at an address that exists nowhere (196.254.111.222 by
default; bbot-worker(1)). One nftables map of our own sends what the machine with
a given MAC address on a given bridge sends to UDP port 69 of *any* address to
the server of that machine. The server answers from the one port it listens on,
so connection tracking alone finds the way back.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import re
import secrets
import socket

from ..errors import EngineError
from ..linux.process import CommandError, Runner, check, find_program

TABLE = "bbot_agent"
_MAP = "tftp"

# linux/sockios.h
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_IFNAMSIZ = 16

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


class NetworkError(EngineError):
    """A network resource that is missing or cannot be made; the text names it."""


def random_mac() -> str:
    """A random locally administered unicast MAC address, as bbot makes them."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] = octets[0] & 0xFE | 0x02
    return octets.hex(":")


def check_mac(text: str) -> str:
    """``text`` in lower case; NetworkError unless it is a unicast MAC address."""
    if not _MAC.fullmatch(text):
        raise NetworkError(f"{text!r} is not a MAC address of the form xx:xx:xx:xx:xx:xx")
    if int(text[:2], 16) & 1:
        raise NetworkError(f"MAC address {text} is a group address; its first byte must be even")
    return text.lower()


def _interface_request(name: str) -> bytearray:
    """What ioctl(2) takes and gives for the interface ``name``. Raises NetworkError."""
    encoded = os.fsencode(name)
    if not 0 < len(encoded) < _IFNAMSIZ:
        raise NetworkError(f"interface name {name!r} is not of 1 to {_IFNAMSIZ - 1} bytes")
    return bytearray(encoded.ljust(40, b"\0"))


def bridge_address(name: str) -> ipaddress.IPv4Interface:
    """The IPv4 address and network of bridge ``name``; NetworkError if it has none."""

    def ask(request: int) -> str:
        buffer = _interface_request(name)
        fcntl.ioctl(sock, request, buffer)
        return socket.inet_ntoa(bytes(buffer[20:24]))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            return ipaddress.IPv4Interface(f"{ask(_SIOCGIFADDR)}/{ask(_SIOCGIFNETMASK)}")
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise NetworkError(
                    f"no bridge {name} on this host; make it with the role bbot.agent.host "
                    "or name another one"
                ) from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise NetworkError(
                    f"bridge {name} has no IPv4 address; give it one of the guests' network"
                ) from error
            raise NetworkError(f"cannot look at bridge {name}: {error.strerror}") from error


class Redirect:
    """The nftables map from a machine's MAC address to its TFTP server.

    The table is made at the first use and stays, empty, at the end: nobody has
    to guess whether another process is about to use it.
    """

    def __init__(self, run: Runner) -> None:
        self._run = run

    def add(self, bridge: str, mac: str, address: str, port: int) -> None:
        """Send UDP/69 of ``mac`` on ``bridge`` to ``address``:``port``, and nowhere else.

        A redirection that is there is replaced: see to it that its owner is dead.
        """
        element = f"{_key(bridge, mac)} : {address} . {port}"
        # One transaction. The rule is added again only where the table is new:
        # "create" would fail, so the chain is flushed first.
        script = (
            f"add table ip {TABLE}\n"
            f"add map ip {TABLE} {_MAP} "
            "{ typeof iifname . ether saddr : ip daddr . udp dport; }\n"
            f"add chain ip {TABLE} prerouting "
            "{ type nat hook prerouting priority dstnat; policy accept; }\n"
            f"flush chain ip {TABLE} prerouting\n"
            f"add rule ip {TABLE} prerouting "
            f"udp dport 69 dnat ip to iifname . ether saddr map @{_MAP}\n"
            f"add element ip {TABLE} {_MAP} {{ {element} }}\n"
        )
        try:
            check(self._run, [self._program(), "-f", "-"], data=script)
        except CommandError:
            # Most likely there is one with another value, which is never replaced.
            self.remove(bridge, mac)
            self._nft(script, f"redirect the TFTP of {mac} on bridge {bridge}")

    def remove(self, bridge: str, mac: str) -> None:
        """Undo add(); nothing happens if there is nothing to undo."""
        try:
            self._nft(
                f"delete element ip {TABLE} {_MAP} {{ {_key(bridge, mac)} }}\n",
                f"end the redirection of the TFTP of {mac} on bridge {bridge}",
            )
        except NetworkError:
            if _key(bridge, mac) in self.elements():
                raise

    def elements(self) -> list[str]:
        """The keys of the redirections there are, as `"<bridge>" . <mac>`."""
        status, output, _dummy = self._run([self._program(), "list", "map", "ip", TABLE, _MAP])
        if status != 0:
            return []
        return re.findall(r'"[^"]+" \. [0-9a-f:]{17}', output)

    def _nft(self, script: str, purpose: str) -> None:
        try:
            check(self._run, [self._program(), "-f", "-"], data=script)
        except CommandError as error:
            raise NetworkError(f"cannot {purpose}: {error}") from error

    @staticmethod
    def _program() -> str:
        try:
            return find_program("nft", "nftables")
        except CommandError as error:
            raise NetworkError(str(error)) from error


def _key(bridge: str, mac: str) -> str:
    return f'"{bridge}" . {mac}'
