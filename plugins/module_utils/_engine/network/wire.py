# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The wire from a segment to a guest that is a container: a pair of links (veth(4))."""

from __future__ import annotations

import contextlib
import os
import socket

from ..linux.netns import current_network, enter_network, unshare_network
from ..linux.rtnetlink import Rtnetlink
from .segment import BRIDGE

# What the guest's end is called.
GUEST_LINK = "eth0"


def lay(port: str, mac: str) -> None:
    """Put this process into a new network that has nothing but the guest's end of a wire.

    The process is in a segment, whose port of this name the guest takes the place of; `mac` is
    the guest's address. Raises OSError.
    """
    segment = current_network()
    try:
        unshare_network()
        guest = current_network()
        try:
            enter_network(segment)
            _connect(port.replace("tap", "wire"), mac, guest)
            enter_network(guest)
        finally:
            os.close(guest)
    finally:
        os.close(segment)


def _connect(name: str, mac: str, guest: int) -> None:
    with Rtnetlink() as links:
        with contextlib.suppress(OSError):
            # Of an attempt before, whose guest is gone.
            links.remove(socket.if_nametoindex(name))
        links.add_veth(name, GUEST_LINK, guest, mac)
        ours = socket.if_nametoindex(name)
        links.join(ours, socket.if_nametoindex(BRIDGE))
        links.set_port(ours, locked=False)
        links.bring_up(ours)
        links.lead_to(ours, mac)
