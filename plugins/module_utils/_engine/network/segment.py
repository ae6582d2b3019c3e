# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A network of its own for the machines of one task: a namespace that nothing on the host names.

In there are a bridge with the gateway's address, a tap for each guest, a dnsmasq, and the sockets
of our TFTP servers. It is held by descriptors: when its processes and its owner are gone, the
kernel takes all of it away, and nothing that others do to the host's network reaches it.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import socket
import typing as t

from ..linux.netns import current_network, unshare_network, why_not
from ..linux.process import Runner
from ..linux.rtnetlink import Rtnetlink
from ..linux.spawn import SpawnError, hand_over
from ..linux.tap import make_tap
from ..tftp.server import Server
from ..tftp.sharing import bind_for_each
from . import proxy as _proxy
from .bridge import NetworkError
from .dnsmasq import Dnsmasq
from .egress import INNER, Egress, WayOut
from .proxy import Proxy, Relay
from .slirp import Slirp

# Where workers ask for TFTP, unless they are told otherwise (bbot-worker(1)).
SERVER, PORT = "196.254.111.222", 69
# The same in each segment. So small that its guests cannot fill the table of neighbours, which
# the kernel has one of for all networks.
GATEWAY = ipaddress.IPv4Interface("172.30.254.1/28")
# How many guests there is an address for.
MOST_GUESTS = 12
BRIDGE = "br1"
# A guest that is resumed knows it from the segment it was saved in.
_BRIDGE_MAC = "02:62:62:6f:74:01"
_LOOPBACK = 1

# Seconds for what takes ten milliseconds.
_PATIENCE = 20.0


# What to do about it, by the step that failed.
_UNSHARE, _TAP_STEP = "make a network namespace", "make the guest's tap"
_WAYS_OUT = {
    _UNSHARE: "let the container have CAP_SYS_ADMIN, or its users have user namespaces",
    _TAP_STEP: "load the module tun, let a container have the device /dev/net/tun, and let who is "
    "not root open it (chmod 666 /dev/net/tun)",
}


@contextlib.contextmanager
def _step(name: str) -> t.Iterator[None]:
    """Have an OSError say what could not be done, and the way out if we know one."""
    try:
        yield
    except OSError as error:
        way_out = _WAYS_OUT.get(name, "")
        if os.geteuid() != 0:
            way_out = why_not() or way_out
        words = f"cannot {name}: {error.strerror or error}"
        raise NetworkError(f"{words}; {way_out}" if way_out else words) from error


def _build(macs: t.Sequence[str], egress: Egress | Proxy | None, run: Runner) -> list[int]:
    """Make a network in this process, which is to have no other purpose.

    Return the descriptors of its namespace, of the taps, of the servers' sockets, and of the
    socket of a proxy if there is one.
    """
    with _step("look at the host's network"):
        way_out = WayOut(egress, run) if isinstance(egress, Egress) else None
    with _step(_UNSHARE):
        unshare_network()
        namespace = current_network()
    with _step(_TAP_STEP):
        # They go with their namespace; to take one away by itself would keep us waiting.
        taps = [make_tap(f"tap{number}", persistent=True) for number in range(len(macs))]
    with _step(f"make the guest's network, bridge {BRIDGE}"), Rtnetlink() as links:
        links.add_address(_LOOPBACK, ipaddress.IPv4Interface(SERVER))
        links.bring_up(_LOOPBACK)
        links.add_bridge(BRIDGE, _BRIDGE_MAC)
        bridge = socket.if_nametoindex(BRIDGE)
        links.set_router(bridge, forwarding=False)
        links.add_address(bridge, GATEWAY)
        for number, mac in enumerate(macs):
            port = socket.if_nametoindex(f"tap{number}")
            links.join(port, bridge)
            # A guest may send from as many addresses as it likes.
            links.set_port(port, locked=False)
            links.bring_up(port)
            if len(macs) > 1:
                # Else each guest would get what is for another one, too.
                links.lead_to(port, mac)
        links.bring_up(bridge)
    if way_out is not None:
        with _step("make the guest's way out"):
            way_out.open(BRIDGE)
    with _step(f"have UDP port {PORT} of {SERVER} in the guest's network"):
        clients = [str(guest_address(number)) for number in range(len(macs))]
        sockets = bind_for_each(SERVER, PORT, clients)
    if isinstance(egress, Proxy):
        with _step("have a port for the guests' proxy"):
            sockets.append(_proxy.listen(str(GATEWAY.ip)))
    return [namespace, *taps, *(sock.detach() for sock in sockets)]


def guest_address(number: int) -> ipaddress.IPv4Address:
    """Return the address that dnsmasq tells the guest of this `number`, from 0 on."""
    return GATEWAY.ip + 1 + number


class Seat:
    """The place of one guest in a segment, which has to outlast it; see Attachment."""

    def __init__(
        self,
        namespace: int,
        tap: int,
        sock: socket.socket,
        dnsmasq: Dnsmasq,
        router: Slirp | Relay | None = None,
        port: str = "tap0",
    ) -> None:
        self.namespace = namespace
        self.tap = tap
        self.port = port
        self.dnsmasq = dnsmasq
        self.socket = sock
        self.router = router

    def serve(self, **options: t.Any) -> Server:
        """Return the server of this guest, whom alone it hears."""
        return Server(SERVER, PORT, bound=self.socket.dup(), **options)

    def check(self) -> None:
        """Raise NetworkError if nobody tells the guest its address, or lets it out, any more."""
        self.dnsmasq.check()
        if self.router is not None:
            self.router.check()

    def close(self) -> None:
        """Leave the place, which stays for another attempt."""


class SharedSegment:
    """The network of the guests whose addresses are `macs`, each of which has one of the `seats`.

    The way out is `egress`, None for nowhere; `run` runs programs. `owner` is whom lists of
    processes show with its dnsmasq. Raises NetworkError.
    """

    def __init__(
        self, macs: t.Sequence[str], owner: str, run: Runner, egress: Egress | Proxy | None = None
    ) -> None:
        if len(macs) > MOST_GUESTS:
            raise NetworkError(
                f"there is no network for {len(macs)} machines of a task, but for {MOST_GUESTS}"
            )
        if isinstance(egress, Egress):
            egress = egress.check(run)
        try:
            build = functools.partial(_build, macs, egress, run)
            opened = hand_over(build, _PATIENCE)
        except SpawnError as error:
            raise NetworkError(f"cannot make the guest a network of its own: {error}") from error
        namespace, taps, sockets = opened[0], opened[1 : 1 + len(macs)], opened[1 + len(macs) :]
        with contextlib.ExitStack() as undo:
            for fd in (namespace, *taps):
                undo.callback(os.close, fd)
            servers = [undo.enter_context(socket.socket(fileno=fd)) for fd in sockets]
            door = servers.pop() if isinstance(egress, Proxy) else None
            title = f"dnsmasq of {owner}"
            hosts = {mac: guest_address(number) for number, mac in enumerate(macs)}
            resolvers: t.Sequence[str] = ()
            router: Slirp | Relay | None = None
            if isinstance(egress, Egress):
                resolvers = egress.resolvers
                if not egress.forwarded:
                    router = Slirp(namespace, INNER, f"slirp4netns of {owner}")
            elif door is not None and egress is not None:
                router = Relay(door.fileno(), egress, f"proxy of {owner}")
            if router is not None:
                undo.callback(router.close)
            dnsmasq = Dnsmasq(namespace, title, BRIDGE, GATEWAY, hosts, resolvers)
            undo.callback(dnsmasq.close)
            self.seats = [
                Seat(namespace, tap, server, dnsmasq, router, f"tap{number}")
                for number, (tap, server) in enumerate(zip(taps, servers, strict=True))
            ]
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Let go of it, which is the end of it; harmless a second time."""
        self._undo.close()


class Segment(Seat):
    """A segment with a single guest, whose address is `mac`; it ends with the guest's place.

    `name` stands for what guests are told of any segment.
    """

    name = f"segment {GATEWAY}, {SERVER}"

    def __init__(
        self, mac: str, owner: str, run: Runner, egress: Egress | Proxy | None = None
    ) -> None:
        self._segment = SharedSegment([mac], owner, run, egress)
        (seat,) = self._segment.seats
        super().__init__(seat.namespace, seat.tap, seat.socket, seat.dnsmasq, seat.router)

    def close(self) -> None:
        """Let go of it, which is the end of it; harmless a second time."""
        self._segment.close()
