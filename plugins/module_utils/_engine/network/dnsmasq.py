# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The dnsmasq of a segment: it tells guests their addresses, and what names stand for."""

from __future__ import annotations

import ipaddress
import typing as t

from ..linux.capabilities import NET_ADMIN, NET_BIND_SERVICE, NET_RAW
from ..linux.process import CommandError, find_program
from .bridge import NetworkError
from .helper import Helper, account

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


class Dnsmasq(Helper):
    """A running dnsmasq in a network `namespace`.

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
        try:
            program = find_program("dnsmasq", "dnsmasq-base")
        except CommandError as error:
            raise NetworkError(str(error)) from error
        super().__init__(
            "dnsmasq, which tells the guest its address,",
            program,
            arguments(interface, gateway, guests, resolvers),
            title,
            account=account(),
            # As it is its user already it does not change it, and ends with us.
            capabilities=(NET_ADMIN, NET_BIND_SERVICE, NET_RAW),
            namespace=namespace,
        )
