# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The kinds of machines, by the type in their manifests."""

from __future__ import annotations

import typing as t

from ..host.host import Host
from ..host.locks import Lease
from .accelerator import Accelerator
from .accelerator import objection as _emulation_objection
from .architecture import architecture_of
from .nspawn import disk as _nspawn_disk
from .nspawn import process as _nspawn
from .protocol import KVM, NSPAWN, Hardware, Vm
from .qemu import process as _qemu

_KINDS: dict[str, t.Callable[[Host, Lease, Hardware, Accelerator, str], Vm]] = {
    KVM: _qemu.Vm,
    NSPAWN: _nspawn.Container,
}


def make_vm(
    host: Host, lease: Lease, hardware: Hardware, accelerator: Accelerator, logs: str
) -> Vm:
    """Return a machine of the kind of its ``hardware``, not started yet.

    ``logs`` is an existing directory for the log of its program, ``lease`` the owner's.
    """
    return _KINDS[hardware.kind](host, lease, hardware, accelerator, logs)


def objection(kind: str, name: str, options: t.Sequence[str] | None) -> str:
    """Return why a machine of this ``kind`` and ``name``, with these options, cannot be run.

    It is empty if it can. What a kind takes of the host's programs is found out when a machine
    starts, but for the emulator of another architecture.
    """
    if kind == KVM:
        return _emulation_objection(name)
    architecture = architecture_of(name)
    if not architecture.native:
        return f"a container is of the host's architecture, not of {architecture.name}"
    return _nspawn_disk.objection(options)
