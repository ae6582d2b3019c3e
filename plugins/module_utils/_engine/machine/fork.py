# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A machine's own copy for one run, to be thrown away."""

from __future__ import annotations

from ..host.host import Host
from ..storage.protocol import Uses
from ..vm.nspawn.disk import make_disk
from ..vm.protocol import NSPAWN, Hardware
from ..vm.qemu.drives import uses_of
from ..vm.qemu.process import devices


def fork(host: Host, source: str, hardware: Hardware) -> None:
    """Make the directory of `hardware` a copy of the machine in `source`, which is unchanged.

    Raises StorageError, VmError, and HostError without the user that QEMU is to run as.
    """
    if hardware.kind == NSPAWN:
        host.storage.fork(source, hardware.directory, Uses())
        make_disk(hardware)
        return
    uses = uses_of(devices(hardware))
    host.storage.fork(source, hardware.directory, uses, host.account().pw_gid)
