# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Links, addresses and routes by rtnetlink(7), in the namespace in which the socket was made."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import types
import typing as t

# linux/netlink.h
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE = 1, 4, 0x100, 0x200, 0x400
_NLMSG_ERROR = 2
_NLA_F_NESTED = 0x8000
# linux/rtnetlink.h
_RTM_NEWLINK, _RTM_DELLINK, _RTM_SETLINK, _RTM_NEWADDR = 16, 17, 19, 20
_RTM_NEWROUTE, _RTM_NEWNEIGH = 24, 28
_RTA_GATEWAY, _RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 5, 254, 4, 1
# linux/if.h, linux/if_link.h, linux/if_addr.h, linux/ip.h, linux/neighbour.h
_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_PROTINFO, _IFLA_LINKINFO = 1, 3, 10, 12, 18
_IFLA_AF_SPEC, _IFLA_NET_NS_FD = 26, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_INET_CONF, _IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 1, 8, 1
_FORWARDING, _RP_FILTER = 1, 8
_BRPORT_LEARNING, _BRPORT_ISOLATED, _BRPORT_LOCKED = 8, 33, 39
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_NDA_LLADDR, _NUD_REACHABLE, _NUD_NOARP, _NTF_MASTER = 2, 2, 0x40, 4
_AF_BRIDGE = 7

# Seconds that the kernel may take for an answer, which it gives at once.
_PATIENCE = 10.0


def _attribute(kind: int, data: bytes) -> bytes:
    """Return an attribute, which may be one of a nest, padded."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _nest(kind: int, *attributes: bytes) -> bytes:
    return _attribute(kind | _NLA_F_NESTED, b"".join(attributes))


def _link(family: int = 0, index: int = 0, *, up: bool = False) -> bytes:
    flags = _IFF_UP if up else 0
    return struct.pack("=BxHiII", family, 0, index, flags, flags)


def _name(text: str) -> bytes:
    return _attribute(_IFLA_IFNAME, os.fsencode(text) + b"\0")


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


class Rtnetlink:
    """A socket of rtnetlink. Whatever the kernel refuses is an OSError."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sock.settimeout(_PATIENCE)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._sock.close()

    def add_bridge(self, name: str, mac: str) -> None:
        """Make a bridge with this Ethernet address, down."""
        body = _link() + _name(name) + _attribute(_IFLA_ADDRESS, _octets(mac))
        body += _nest(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"bridge"))
        self._ask(_RTM_NEWLINK, body, _NLM_F_CREATE | _NLM_F_EXCL)

    def add_veth(self, name: str, peer: str, namespace: int, mac: str = "") -> None:
        """Make a pair of links, down, whose `peer` is in the network of a descriptor.

        The Ethernet address of the peer is `mac`, or anything.
        """
        where = _attribute(_IFLA_NET_NS_FD, struct.pack("=i", namespace))
        address = _attribute(_IFLA_ADDRESS, _octets(mac)) if mac else b""
        other = _nest(_VETH_INFO_PEER, _link(), _name(peer), where, address)
        kind = _attribute(_IFLA_INFO_KIND, b"veth")
        info = _nest(_IFLA_LINKINFO, kind, _nest(_IFLA_INFO_DATA, other))
        self._ask(_RTM_NEWLINK, _link() + _name(name) + info, _NLM_F_CREATE | _NLM_F_EXCL)

    def remove(self, index: int) -> None:
        """Remove a link, and its peer if it has one."""
        self._ask(_RTM_DELLINK, _link(index=index))

    def bring_up(self, index: int) -> None:
        """Bring a link up."""
        self._ask(_RTM_SETLINK, _link(index=index, up=True))

    def set_router(self, index: int, *, forwarding: bool) -> None:
        """Have a link take only what can come from there, and have no address of IPv6.

        With `forwarding` what comes from there may go on to other networks.
        """
        values = {_RP_FILTER: 1, _FORWARDING: int(forwarding)}
        inner = (_attribute(key, struct.pack("=I", value)) for key, value in values.items())
        specific = _nest(socket.AF_INET, _nest(_IFLA_INET_CONF, *inner))
        if os.path.exists("/proc/net/if_inet6"):
            mode = _attribute(_IFLA_INET6_ADDR_GEN_MODE, struct.pack("=B", _ADDR_GEN_NONE))
            specific += _nest(socket.AF_INET6, mode)
        self._ask(_RTM_SETLINK, _link(index=index) + _nest(_IFLA_AF_SPEC, specific))

    def join(self, index: int, bridge: int) -> None:
        """Make a link a port of a bridge."""
        master = _attribute(_IFLA_MASTER, struct.pack("=I", bridge))
        self._ask(_RTM_SETLINK, _link(index=index) + master)

    def set_port(self, index: int, *, locked: bool) -> None:
        """Have the bridge learn nothing from a port.

        With `locked` it takes only what comes from known addresses there, and lets other
        such ports see nothing of it.
        """
        values = {_BRPORT_LEARNING: 0}
        if locked:
            values |= {_BRPORT_ISOLATED: 1, _BRPORT_LOCKED: 1}
        inner = (_attribute(key, struct.pack("=B", value)) for key, value in values.items())
        self._ask(_RTM_SETLINK, _link(_AF_BRIDGE, index) + _nest(_IFLA_PROTINFO, *inner))

    def lead_to(self, index: int, mac: str) -> None:
        """Have the bridge know for good that `mac` is at a port, wherever it was until now."""
        state = _NUD_NOARP | _NUD_REACHABLE
        entry = struct.pack("=BxxxiHBx", _AF_BRIDGE, index, state, _NTF_MASTER)
        address = _attribute(_NDA_LLADDR, _octets(mac))
        self._ask(_RTM_NEWNEIGH, entry + address, _NLM_F_CREATE | _NLM_F_REPLACE)

    def add_address(self, index: int, address: ipaddress.IPv4Interface) -> None:
        """Give a link an address."""
        network = address.network
        body = struct.pack("=BBBBi", socket.AF_INET, network.prefixlen, 0, 0, index)
        body += _attribute(_IFA_LOCAL, address.packed) + _attribute(_IFA_ADDRESS, address.packed)
        if network.prefixlen < 31:
            body += _attribute(_IFA_BROADCAST, network.broadcast_address.packed)
        self._ask(_RTM_NEWADDR, body, _NLM_F_CREATE | _NLM_F_EXCL)

    def add_default_route(self, gateway: ipaddress.IPv4Address) -> None:
        """Have everything else go by way of `gateway`."""
        body = struct.pack(
            "=BBBBBBBBI",
            *(socket.AF_INET, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, 0, _RTN_UNICAST, 0),
        )
        body += _attribute(_RTA_GATEWAY, gateway.packed)
        self._ask(_RTM_NEWROUTE, body, _NLM_F_CREATE | _NLM_F_EXCL)

    def _ask(self, kind: int, body: bytes, flags: int = 0) -> None:
        flags |= _NLM_F_REQUEST | _NLM_F_ACK
        self._sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        answer = self._sock.recv(8192)
        kind, error = struct.unpack_from("=4xH10xi", answer)
        if kind != _NLMSG_ERROR or error:
            raise OSError(-error, os.strerror(-error))
