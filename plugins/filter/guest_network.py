# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that plans the addresses of the guests' network."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

try:
    import netaddr
except ImportError:
    HAS_NETADDR = False
else:
    HAS_NETADDR = True

# Network, host, one guest and broadcast.
_LARGEST_PREFIX = 30


def guest_network(
    network: t.Any, routes: t.Sequence[t.Mapping[str, t.Any]] = ()
) -> dict[str, t.Any]:
    """Addresses of host and guests in ``network``, an IPv4 network in CIDR notation.

    ``routes`` are what the host has already, as ``ip -json route`` tells them.
    """
    if not HAS_NETADDR:
        raise AnsibleFilterError(
            "bbot.agent.guest_network needs the Python library netaddr on the control node; "
            "install it with pip"
        )
    try:
        parsed = netaddr.IPNetwork(str(network))
    except (netaddr.AddrFormatError, ValueError) as error:
        raise AnsibleFilterError(
            f"{network!r} is not a network in CIDR notation such as 172.30.254.0/24"
        ) from error
    if parsed.version != 4 or "/" not in str(network):
        raise AnsibleFilterError(
            f"the guests' network must be an IPv4 network with a prefix length, not {network!r}"
        )
    if parsed.ip != parsed.network:
        raise AnsibleFilterError(
            f"{network!r} is an address, not a network; do you mean {parsed.cidr}?"
        )
    if parsed.prefixlen > _LARGEST_PREFIX:
        raise AnsibleFilterError(
            f"network {network!r} has no room for host and guests; "
            f"its prefix length may be {_LARGEST_PREFIX} at most"
        )
    for route in routes:
        _refuse_overlap(parsed, route)
    return {
        "address": str(parsed[1]),
        "prefix": parsed.prefixlen,
        "netmask": str(parsed.netmask),
        "first_guest": str(parsed[2]),
        "last_guest": str(parsed[-2]),
    }


def _refuse_overlap(network: netaddr.IPNetwork, route: t.Mapping[str, t.Any]) -> None:
    """Raise if ``network`` and what ``route`` leads to have addresses in common."""
    if route["dst"] == "default":
        return
    other = netaddr.IPNetwork(str(route["dst"]))
    if network in other or other in network:
        raise AnsibleFilterError(
            f"the guests' network {network} overlaps with {other}, which the host reaches by "
            f"{route.get('dev', 'a route of its own')}; choose another one"
        )


class FilterModule:
    """The filter guest_network."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"guest_network": guest_network}
