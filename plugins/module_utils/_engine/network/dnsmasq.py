# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The dnsmasq of a segment: it tells guests their addresses, and what names stand for."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import select
import typing as t

from ..errors import EngineError
from ..linux.capabilities import NET_ADMIN, NET_BIND_SERVICE, NET_RAW
from ..linux.process import find_program
from ..linux.spawn import end_child, spawn
from .bridge import NetworkError

# Whom it runs as, where root starts it: the first of these that there is.
_USERS = ("dnsmasq", "nobody")
# Seconds for which a guest has its address; it asks again after half of them.
_LEASE = 86400


def arguments(
    interface: str,
    gateway: ipaddress.IPv4Interface,
    guests: t.Mapping[str, ipaddress.IPv4Address],
    resolvers: t.Sequence[str],
) -> list[str]:
    """Return its arguments: the `guests`, by their MAC addresses, always get these addresses.

    Without `resolvers` the answer to any name is no, and at once.
    """
    hosts = list(gateway.network.hosts())
    first, last = hosts[hosts.index(gateway.ip) + 1], hosts[-1]
    words = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="]
    # A guest that sends what it likes must not fill anything; its last words go to the output.
    words += ["--log-facility=/dev/null", "--leasefile-ro"]
    words += [f"--interface={interface}", "--except-interface=lo", "--bind-interfaces"]
    words += ["--no-hosts", "--no-resolv", *(f"--server={each}" for each in resolvers)]
    words += ["--dhcp-authoritative", "--no-ping"]
    words += [f"--dhcp-host={mac},{address}" for mac, address in guests.items()]
    words += [f"--dhcp-range={first},{last},{gateway.netmask},{_LEASE}"]
    return words


def helpers_account() -> pwd.struct_passwd:
    """Return whom a helper is to be: who is not root cannot have it be another."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NetworkError(
        "the helpers of guests have nobody to run as: this host has no user "
        f"{' or '.join(_USERS)}; add one"
    )


class Dnsmasq:
    """A running dnsmasq in a network `namespace`, from its making to close(); it dies with us.

    `title` is what lists of processes show. Raises NetworkError if it cannot be started.
    """

    def __init__(
        self,
        namespace: int,
        title: str,
        interface: str,
        gateway: ipaddress.IPv4Interface,
        guests: t.Mapping[str, ipaddress.IPv4Address],
        resolvers: t.Sequence[str] = (),
    ) -> None:
        self._said, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._said)
            try:
                self.pid = spawn(
                    find_program("dnsmasq", "dnsmasq-base"),
                    arguments(interface, gateway, guests, resolvers),
                    directory="/",
                    output=output,
                    title=title,
                    account=helpers_account(),
                    # As it is its user already it does not change it, and ends with us.
                    capabilities=(NET_ADMIN, NET_BIND_SERVICE, NET_RAW),
                    namespace=namespace,
                )
            except EngineError as error:
                raise NetworkError(str(error)) from error
            finally:
                os.close(output)
            undo.callback(end_child, self.pid)
            self._pidfd = os.pidfd_open(self.pid)
            undo.pop_all()

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when it has ended."""
        return self._pidfd

    def check(self) -> None:
        """Raise NetworkError if it has ended, which it never does by itself."""
        if select.select([self._pidfd], [], [], 0)[0]:
            words = ""
            with contextlib.suppress(BlockingIOError):
                words = " ".join(os.read(self._said, 4096).decode(errors="replace").split())
            raise NetworkError(
                f"dnsmasq, which tells the guest its address, has ended: {words or 'no message'}"
            )

    def close(self) -> None:
        """End it."""
        end_child(self.pid)
        os.close(self._pidfd)
        os.close(self._said)
