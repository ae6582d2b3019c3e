# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The way out of a segment, for guests that have one: by the host's address, behind rules.

A pair of links leads from the segment to the host, which forwards what comes by it. The rules in
the segment are the guest's, and go with it; those of the host (role `host`) are for all. Who is
not root has slirp4netns instead of links, and no rules but those in the segment.
"""

from __future__ import annotations

import dataclasses
import errno
import ipaddress
import os
import socket
import typing as t

from ..linux.capabilities import NET_ADMIN, hand_down
from ..linux.netns import current_network, enter_network
from ..linux.process import CommandError, Runner, check, find_program
from ..linux.rtnetlink import Rtnetlink
from ..linux.tap import make_tap
from .bridge import NetworkError
from .proxy import Proxy
from .slirp import NETWORK, ROUTER, find_slirp, own_addresses

# What is not the world: the host's neighbours, the metadata of clouds, and the like.
REFUSED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
)
# What guests may reach, as options say.
EGRESS = ("none", "nat", "proxy")
# The table of the host's rules, which the role of this name makes.
TABLE = "bbot_egress"
# The links' ends on the host and in the segment. Each pair has two addresses of this network, by
# the number in its name.
_LINK, INNER = "bbv", "up0"
_LINKS = ipaddress.IPv4Network("198.19.0.0/16")
_MOST = 1 << 15

_RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"


def check_network(text: str) -> str:
    """Return `text` if it is a network of IPv4 in CIDR notation. Raises ValueError."""
    return str(ipaddress.IPv4Network(text))


def check_address(text: str) -> str:
    """Return `text` if it is an address of IPv4. Raises ValueError."""
    return str(ipaddress.IPv4Address(text))


@dataclasses.dataclass(frozen=True)
class Egress:
    """Guests' way out: not to the networks `refused`; names are looked up at `resolvers`.

    Without `resolvers` at those of the host. It is `forwarded` by the host, or by slirp4netns.
    """

    refused: t.Sequence[str] = REFUSED
    resolvers: t.Sequence[str] = ()
    forwarded: bool = dataclasses.field(default_factory=lambda: os.geteuid() == 0)

    def check(self, run: Runner) -> Egress:
        """Return this with its resolvers. Raises NetworkError if the host is not ready for it."""
        if not self.forwarded:
            find_slirp()
            _nft()
            # It would connect to the host as a program of the host's.
            refused = [*self.refused, *(each for each in own_addresses() if _is_public(each, self))]
            resolvers = self.resolvers or _resolvers()
            return dataclasses.replace(self, refused=refused, resolvers=resolvers)
        with open(_FORWARDING, encoding="ascii") as file:
            forwarding = file.read().strip() == "1"
        nft = _nft()
        if not forwarding or run([nft, "list", "table", "inet", TABLE])[0] != 0:
            raise NetworkError(
                f"guests cannot be let out: this host does not forward, or has lost the rules in "
                f"table inet {TABLE}; run the role bbot.agent.host with host_egress: nat, or "
                "restart bbot-firewall"
            )
        return dataclasses.replace(self, resolvers=self.resolvers or _resolvers())


def choose_egress(
    kind: str, refused: t.Sequence[str], resolvers: t.Sequence[str], proxy: str | None
) -> Egress | Proxy | None:
    """Return what the options of these names mean; None for no way out. Raises NetworkError."""
    if kind == "proxy":
        try:
            return Proxy.parse(proxy or "")
        except ValueError as error:
            raise NetworkError(f"guests are to reach a proxy (egress-proxy), but {error}") from None
    return Egress(refused or REFUSED, resolvers) if kind == "nat" else None


def _is_public(address: str, egress: Egress) -> bool:
    """Whether it is in none of the networks that are refused, of which sets have each once."""
    networks = map(ipaddress.IPv4Network, egress.refused)
    return not any(ipaddress.IPv4Address(address) in each for each in networks)


def _nft() -> str:
    try:
        return find_program("nft", "nftables")
    except CommandError as error:
        raise NetworkError(str(error)) from error


def _resolvers() -> list[str]:
    """The host's resolvers that others can reach, too."""
    for path in _RESOLVERS:
        found = []
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                words = [line.split() for line in file]
        except OSError:
            continue
        for name in (each[1] for each in words if len(each) > 1 and each[0] == "nameserver"):
            try:
                address = ipaddress.IPv4Address(name)
            except ValueError:
                continue
            if not address.is_loopback:
                found.append(str(address))
        if found:
            return found
    raise NetworkError(
        f"guests cannot look names up: {' and '.join(_RESOLVERS)} name no resolver with an IPv4 "
        "address that others than this host can reach; name one with the option resolver"
    )


def rules(egress: Egress, bridge: str) -> str:
    """Return the rules of a segment whose guests are on `bridge`, for nft."""
    refused, resolvers = ", ".join(egress.refused), ", ".join(egress.resolvers)
    no = "reject with icmp type admin-prohibited"
    refusal = f"ip daddr {{ {refused} }} {no}" if refused else ""
    return f"""
table inet bbot_segment {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname != "{bridge}" drop
    meta nfproto != ipv4 drop
    {refusal}
    meta l4proto {{ tcp, udp }} th dport 53 {no}
    ct state new limit rate over 200/second burst 1000 packets drop
    accept
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname != "{INNER}" accept
    ct state established,related accept
    drop
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname != "{INNER}" accept
    ip daddr {{ {resolvers} }} meta l4proto {{ tcp, udp }} th dport 53 accept
    drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{INNER}" masquerade
  }}
}}
"""


class WayOut:
    """What it takes to lead a segment that is being made out, taken along from the host's network.

    `run` runs nft. Raises OSError.
    """

    def __init__(self, egress: Egress, run: Runner) -> None:
        self._egress, self._run = egress, run
        self._home, self._links = current_network(), Rtnetlink()

    def open(self, bridge: str) -> None:
        """Lead the guests on `bridge` of this segment out. Raises NetworkError and OSError."""
        if not self._egress.forwarded:
            # The program is nobody special in the user namespace, unless we say so.
            hand_down([NET_ADMIN])
        try:
            # Before there is a way.
            check(self._run, [_nft(), "-f", "-"], data=rules(self._egress, bridge))
        except CommandError as error:
            raise NetworkError(f"cannot make the rules of the guest's network: {error}") from error
        if not self._egress.forwarded:
            # It goes with its namespace; slirp4netns finds it there.
            os.close(make_tap(INNER, persistent=True))
            self._lead(bridge, NETWORK, ROUTER)
            return
        here = current_network()
        number = _add_link(self._links, here)
        first = int(_LINKS.network_address) + 2 * number
        theirs, ours = (ipaddress.IPv4Interface((first + end, 31)) for end in (0, 1))
        enter_network(self._home)
        index = socket.if_nametoindex(f"{_LINK}{number}")
        self._links.set_router(index, forwarding=True)
        self._links.add_address(index, theirs)
        self._links.bring_up(index)
        enter_network(here)
        self._lead(bridge, ours, theirs.ip)

    def _lead(
        self, bridge: str, ours: ipaddress.IPv4Interface, router: ipaddress.IPv4Address
    ) -> None:
        """Have this segment forward what comes from `bridge` to the `router`."""
        with Rtnetlink() as inside:
            for name in (bridge, INNER):
                inside.set_router(socket.if_nametoindex(name), forwarding=True)
            index = socket.if_nametoindex(INNER)
            inside.add_address(index, ours)
            inside.bring_up(index)
            inside.add_default_route(router)


def _add_link(outside: Rtnetlink, namespace: int) -> int:
    """Make the pair of links with the lowest number that is free, and return that."""
    for number in range(_MOST):
        try:
            outside.add_veth(f"{_LINK}{number}", INNER, namespace)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        else:
            return number
    raise NetworkError(f"all {_MOST} links of segments are in use")
