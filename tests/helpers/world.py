# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host and the world beside it, for guests that are let out: two namespaces and who answers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import typing as t

from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.netns import (
    current_network,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    segment as _segment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.segment import (
    GATEWAY,
    Segment,
)

from .frames import FrameGuest
from .links import ip
from .namespace import Namespace
from .waiting import until

MAC, FIRST = "02:00:00:00:00:20", "172.30.254.2"
# The host's addresses and the world's, in networks that are public, as far as we know, and private.
HOST, WORLD = "203.0.113.1", "203.0.113.2"
LAN_HOST, LAN = "10.77.0.1", "10.77.0.2"
_QUERY = bytes.fromhex("471101000001000000000000076578616d706c65036f72670000010001")


class World:
    """What is beyond the host: sockets that answer what they get, and note it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, str]] = []
        self.sockets: list[socket.socket] = []

    def listen(self, address: str, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((address, port))
        self.sockets.append(sock)

    def pump(self) -> None:
        for sock in self.sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, peer = sock.recvfrom(2000)
                    self.heard.append((*sock.getsockname(), peer[0]))
                    sock.sendto(data, peer)


@contextlib.contextmanager
def beside(prepare: t.Callable[[], object] = lambda: None) -> t.Iterator[World]:
    """A host, which this process is on, made ready by ``prepare``, and the world beside it."""
    made = World()
    with contextlib.closing(Namespace()) as host, contextlib.closing(Namespace()) as beyond:
        with beyond.entered():
            held = current_network()
        try:
            with host.entered():
                prepare()
                ip("link", "add", "out0", "type", "veth", "peer", "name", "in0")
                ip("address", "add", f"{HOST}/24", "dev", "out0")
                ip("address", "add", f"{LAN_HOST}/24", "dev", "out0")
                move = ["ip", "link", "set", "in0", "netns", f"/proc/self/fd/{held}"]
                subprocess.run(move, pass_fds=[held], check=True)
                ip("link", "set", "out0", "up")
                ip("link", "set", "lo", "up")
                for address in (HOST, "127.0.0.1"):
                    made.listen(address, 7001)
                with beyond.entered():
                    ip("address", "add", f"{WORLD}/24", "dev", "in0")
                    ip("address", "add", f"{LAN}/24", "dev", "in0")
                    ip("link", "set", "in0", "up")
                    for address, port in ((WORLD, 7000), (WORLD, 53), (LAN, 7000)):
                        made.listen(address, port)
                yield made
        finally:
            os.close(held)
            for sock in made.sockets:
                sock.close()


def guest_in(segment: Segment) -> FrameGuest:
    """The guest of ``segment``."""
    return FrameGuest(segment.tap, MAC, FIRST, _segment._BRIDGE_MAC)


def reaches(segment: Segment, world: World, address: str, port: int) -> bool:
    """Whether the guest gets an answer from there."""
    guest = guest_in(segment)
    for _dummy in range(5):
        guest.send_udp((address, port), 4000, b"hello")
        for _other in range(4):
            world.pump()
            got = guest.receive(4000, 0.05)
            if got is not None and got.source == (address, port):
                return True
    return False


def looks_up(segment: Segment, world: World) -> None:
    """Have the guest ask what a name stands for, and see that the world's resolver is asked."""
    guest = guest_in(segment)
    assert guest.discover() == FIRST
    guest.send_udp((str(GATEWAY.ip), 53), 5000, _QUERY)

    def asked() -> bool:
        world.pump()
        list(guest.frames(0.05))
        return (WORLD, 53, HOST) in world.heard

    until(asked, "the resolver is asked", 10)
