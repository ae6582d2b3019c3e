# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the network of a running guest is to those who run it, whatever it is made of."""

from __future__ import annotations

import typing as t

from ..tftp.server import Server
from .dnsmasq import Dnsmasq


class Attachment(t.Protocol):
    """A guest's network, from its making to close().

    `tap` is the descriptor of the guest's tap, for QEMU to inherit; `namespace` that of the
    network that QEMU itself is to be in, None for ours. `port` is the tap's name there. `dnsmasq`
    tells the guest its address, unless somebody else does.
    """

    @property
    def tap(self) -> int: ...
    @property
    def port(self) -> str: ...
    @property
    def namespace(self) -> int | None: ...
    @property
    def dnsmasq(self) -> Dnsmasq | None: ...

    def serve(self, **options: t.Any) -> Server:
        """Return the server that the guest's TFTP leads to, with these `options` of it.

        It has to be closed before the attachment is. Raises NetworkError and TftpError.
        """

    def check(self) -> None:
        """Raise NetworkError if the guest cannot be reached any more, whatever it does."""

    def close(self) -> None:
        """Take it all away."""
