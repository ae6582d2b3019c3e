# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What controllers are told of auxiliary machines."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ..machine.inventory import Machine
from ..records.machine import MachineHeader
from ..records.task import Task

# brep: of one task.
_MOST = 9


@dataclasses.dataclass(frozen=True)
class Auxiliaries:
    """The `machines` that a controller may choose from, which may have `ram` KiB together.

    Each is there as often as it can be up at once: a controller takes out what it has chosen.
    """

    machines: tuple[MachineHeader, ...] = ()
    ram: int = 0

    def objection(self, task: Task) -> str:
        """Return why `task` cannot have those it wants; empty if it can."""
        wanted = collections.Counter(
            [*task.auxiliary_machines, *task.named_auxiliary_machines.values()]
        )
        offered = collections.Counter(machine.name for machine in self.machines)
        excess = sorted((wanted - offered).elements())
        return f"it wants auxiliary machine {excess[0]}, which was not offered" if excess else ""


def auxiliaries(machines: t.Iterable[Machine], ram: int, usual: int) -> Auxiliaries:
    """Return what of the auxiliary ones among `machines` is offered with `ram` KiB for them all.

    One that says nothing of its memory has `usual` KiB, as others do. brep refuses requests with
    a name that does not begin with an architecture, such as `x86_64-`: these are left out.
    """
    offered = []
    for machine in machines:
        manifest = machine.manifest
        if machine.state != "current" or manifest is None or manifest.role != "auxiliary":
            continue
        least = manifest.ram_minimum or usual
        if not is_offerable(manifest.name) or least > ram:
            continue
        header = MachineHeader(
            id=manifest.id,
            name=manifest.name,
            summary=manifest.summary,
            role="auxiliary",
            ram_minimum=least,
            ram_maximum=manifest.ram_maximum,
        )
        offered += [header] * min(_MOST, ram // least)
    return Auxiliaries(tuple(offered), ram)


def is_offerable(name: str) -> bool:
    """Return whether brep takes `name` for an auxiliary machine."""
    return "-" in name.strip("-")
