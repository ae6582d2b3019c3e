# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A network of its own for one running machine: a namespace that nothing on the host names.

In there are a bridge with the gateway's address and the guest's tap, a dnsmasq, and the socket
of our TFTP server. It is held by descriptors: when its processes and its owner are gone, the
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
from .bridge import NetworkError
from .dnsmasq import Dnsmasq
from .egress import Egress, WayOut

# Where workers ask for TFTP, unless they are told otherwise (bbot-worker(1)).
SERVER, PORT = "196.254.111.222", 69
# The same in each segment. So small that its guests cannot fill the table of neighbours, which
# the kernel has one of for all networks.
GATEWAY = ipaddress.IPv4Interface("172.30.254.1/28")
BRIDGE = "br1"
# A guest that is resumed knows it from the segment it was saved in.
_BRIDGE_MAC = "02:62:62:6f:74:01"
_TAP = "tap0"
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


def _build(egress: Egress | None, run: Runner) -> list[int]:
    """Make a network in this process, which is to have no other purpose.

    Return the descriptors of its namespace, of the tap, and of the server's socket.
    """
    with _step("look at the host's network"):
        way_out = None if egress is None else WayOut(egress, run)
    with _step(_UNSHARE):
        unshare_network()
        namespace = current_network()
    with _step(_TAP_STEP):
        # It goes with its namespace; to take it away by itself would keep us waiting.
        tap = make_tap(_TAP, persistent=True)
    with _step(f"make the guest's network, bridge {BRIDGE}"), Rtnetlink() as links:
        links.add_address(_LOOPBACK, ipaddress.IPv4Interface(SERVER))
        links.bring_up(_LOOPBACK)
        links.add_bridge(BRIDGE, _BRIDGE_MAC)
        bridge, port = (socket.if_nametoindex(name) for name in (BRIDGE, _TAP))
        links.set_router(bridge, forwarding=False)
        links.add_address(bridge, GATEWAY)
        links.join(port, bridge)
        # A guest may send from as many addresses as it likes.
        links.set_port(port, locked=False)
        links.bring_up(port)
        links.bring_up(bridge)
    if way_out is not None:
        with _step("make the guest's way out"):
            way_out.open(BRIDGE)
    with _step(f"have UDP port {PORT} of {SERVER} in the guest's network"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((SERVER, PORT))
    return [namespace, tap, sock.detach()]


class Segment:
    """The network of one guest, whose address is `mac`; see Attachment.

    Its way out is `egress`, None for nowhere; `run` runs programs. `owner` is whom lists of
    processes show with its dnsmasq. `name` stands for what the guest is told of it. Raises
    NetworkError.
    """

    name = f"segment {GATEWAY}, {SERVER}"

    def __init__(self, mac: str, owner: str, run: Runner, egress: Egress | None = None) -> None:
        if egress is not None:
            egress = egress.check(run)
        try:
            build = functools.partial(_build, egress, run)
            self.namespace, self.tap, sock = hand_over(build, _PATIENCE)
        except SpawnError as error:
            raise NetworkError(f"cannot make the guest a network of its own: {error}") from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self.namespace)
            undo.callback(os.close, self.tap)
            self._socket = undo.enter_context(socket.socket(fileno=sock))
            title = f"dnsmasq of {owner}"
            resolvers = egress.resolvers if egress else ()
            self.dnsmasq = Dnsmasq(self.namespace, title, BRIDGE, GATEWAY, mac, resolvers)
            undo.callback(self.dnsmasq.close)
            self._undo = undo.pop_all()

    def serve(self, **options: t.Any) -> Server:
        """Return the server of this guest, who alone can reach it."""
        return Server(SERVER, PORT, bound=self._socket.dup(), **options)

    def check(self) -> None:
        """Raise NetworkError if nobody tells the guest its address any more."""
        self.dnsmasq.check()

    def close(self) -> None:
        """Let go of it, which is the end of it; harmless a second time."""
        self._undo.close()
