# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The way out of a segment by an HTTP proxy alone, such as a cache of packages.

Guests reach a port of their gateway, and what they send there goes to the proxy, which decides
how far they come: nothing is forwarded, and no firewall is asked. The relay is systemd's
(systemd-socket-proxyd(8)), in the host's network.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import typing as t

from .bridge import NetworkError
from .helper import Helper, account

# Where guests find it at their gateway: the port that proxies usually have.
PORT = 3128
_PROGRAM = "/lib/systemd/systemd-socket-proxyd"
# At once, of all guests of a segment.
_CONNECTIONS = 100


def to_port(text: str) -> int:
    """Return the port that `text` is. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16):
        raise ValueError(f"{text!r} is not a port")
    return int(text)


@dataclasses.dataclass(frozen=True)
class Proxy:
    """The proxy at the `host`, a name or an address, and its `port`, as this host reaches it."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> t.Self:
        """Return the proxy that `text` is, HOST:PORT. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not host.isprintable() or set(host) & set(" /@"):
            raise ValueError(f"{text!r} is no HOST:PORT")
        return cls(host, to_port(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def variables(gateway: str) -> dict[str, str]:
    """Return what programs in guests need to know, with the guests' `gateway` before it."""
    url = f"http://{gateway}:{PORT}"
    near = f"localhost,127.0.0.1,{gateway}"
    return {"http_proxy": url, "https_proxy": url, "no_proxy": near}


def listen(gateway: str) -> socket.socket:
    """Return a socket in the network of this process that guests can connect to. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind((gateway, PORT))
        sock.listen(_CONNECTIONS)
        # As programs that are handed a socket expect it.
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class Relay(Helper):
    """A running relay from the socket `sock` of guests to the `proxy`.

    `title` is what lists of processes show. Raises NetworkError.
    """

    def __init__(self, sock: int, proxy: Proxy, title: str) -> None:
        if not os.path.exists(_PROGRAM):
            raise NetworkError(
                f"guests cannot be led to the proxy: there is no {_PROGRAM}; install the package "
                "systemd"
            )
        super().__init__(
            "the relay to the guests' proxy",
            _PROGRAM,
            [f"--connections-max={_CONNECTIONS}", str(proxy)],
            title,
            account=account(),
            listen=[sock],
        )
