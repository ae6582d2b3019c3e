# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Where a machine's guest is attached: in a segment of its own, or on a bridge of the host."""

from __future__ import annotations

import os

from ..network.attachment import Attachment
from ..network.segment import Segment
from .bridge_port import BridgePort
from .host import Host
from .locks import Lease


def attach(host: Host, lease: Lease, mac: str, port: int = 0) -> Attachment:
    """Make a network for the guest with the address `mac`, to be closed after its machine.

    `port` is that of its server where it is on a bridge, 0 is the usual one; `lease` that of
    the machine's owner. Raises NetworkError, TftpError, CommandError and LockError.
    """
    if host.bridge is not None:
        return BridgePort(host, lease, host.bridge, mac, port)
    return Segment(mac, os.path.join(host.runtime, lease.id), host.run, host.egress)


def network_of(host: Host) -> str:
    """Return what guests of `host` know of their network, for those that are resumed in it."""
    return Segment.name if host.bridge is None else f"bridge {host.bridge}"
