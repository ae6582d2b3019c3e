# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Bootstrap one machine for a toolchain: boot it, let it fetch and install, shut it down."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import typing as t

from ..errors import EngineError
from ..formats.manifest.parser import ParseLimits, parse
from ..host.host import Host
from ..host.locks import Lease
from ..host.phases import Phases
from ..linux.private import make_private
from ..network.bridge import check_mac, random_mac
from ..records.environment import LIMIT, read_environment
from ..records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ..records.names import ANY, BOOTSTRAPPED, arrived_in
from ..tftp.server import Limits
from ..vm.accelerator import Accelerator
from ..vm.protocol import NSPAWN, Hardware, Vm
from .conversation import SoftFailure, Talk, Waits, converse
from .look_in import LookIn
from .toolchain import Toolchain

# The MAC address of machines that were bootstrapped without a machine (bbot's agent).
FAKE_MAC = "de:ad:be:ef:de:ad"

# What the guest uploads: a manifest of a few lines.
_LIMITS = Limits(upload_bytes=1 << 20, total_upload_bytes=16 << 20, files=100)

# Seconds that bbot waits for a bootstrap's first request; five minutes are plenty for
# hardware, but not for a large guest under emulation.
STARTUP = {"kvm": 300.0, "tcg": 900.0}


class Park(t.Protocol):
    """Suspends to disk a machine that failed; see Suspensions.park()."""

    def __call__(self, lease: Lease, vm: Vm, what: str, reason: str, logs: str) -> None: ...


@dataclasses.dataclass(frozen=True)
class Running:
    """How machines are run: what they get, and who is told and asked meanwhile.

    ``ram`` is in KiB, ``hold`` in seconds; see Talk for ``alive``, ``progress``
    and ``port``. ``patience`` is for how many seconds to wait for room, or on a bridge for a
    machine on which somebody else performs a task. ``park`` suspends machines that failed softly.
    ``look_in`` is how a person looks into the machine of an interactive task.
    ``writes`` is what the machines of a task may write to their disks, in KiB, None for no limit.
    ``auxiliary_ram`` is what auxiliary machines of a task may have together, in KiB, None for
    what each has by itself.
    ``trusts_containers`` says whether machines of the type nspawn take tasks of controllers.
    ``warm`` are the machines, by name or pattern, that tasks resume from a saved state
    instead of booting them.
    """

    accelerator: Accelerator
    cpu: int = 1
    ram: int = 1048576
    port: int = 0
    hold: float = 0
    patience: float = 0
    park: Park | None = None
    alive: t.Callable[[], bool] = lambda: True
    progress: t.Callable[[str], None] = lambda _line: None
    warm: t.Sequence[str] = ()
    writes: int | None = None
    auxiliary_ram: int | None = None
    trusts_containers: bool = False
    look_in: LookIn = dataclasses.field(default_factory=LookIn)

    def starts_warm(self, name: str, kind: str | None) -> bool:
        """Whether tasks resume the machine ``name``, which one of the ``kind`` nspawn cannot."""
        return kind != NSPAWN and any(fnmatch.fnmatchcase(name, each) for each in self.warm)

    def parking(
        self, host: Host, lease: Lease, what: str, logs: str
    ) -> t.Callable[[Vm, SoftFailure], None] | None:
        """How to keep the machine that failed softly at ``what``; None not to."""
        park = self.park
        if park is None:
            return None

        def keep(vm: Vm, failure: SoftFailure) -> None:
            try:
                park(lease, vm, what, failure.message, logs)
            except (EngineError, OSError) as error:
                host.report(f"warning: machine {vm.hardware.name} is not kept suspended: {error}")

        return keep

    def hardware(self, manifest: MachineManifest, toolchain: str, path: str, mac: str) -> Hardware:
        """The hardware of the machine ``manifest`` in ``path``, within its own RAM bounds."""
        return Hardware(
            name=f"{manifest.name}-{toolchain}",
            directory=path,
            mac=mac,
            options=manifest.option_words if manifest.options is not None else None,
            cpu=self.cpu,
            ram=self.ram_of(manifest),
            kind=manifest.type,
            inspect=True,
        )

    def ram_of(self, manifest: MachineManifest) -> int:
        """What the machine ``manifest`` has, in KiB, within its own bounds."""
        return manifest.ram_within(self.ram)


def bootstrap(
    host: Host,
    lease: Lease,
    directory: str,
    manifest: MachineManifest,
    old_mac: str | None,
    toolchain: Toolchain,
    running: Running,
    waits: Waits,
    logs: str,
    phases: Phases,
    *,
    fake: bool = False,
) -> BootstrappedMachine | SoftFailure:
    """Bootstrap the writable machine in ``directory``, described by ``manifest``.

    ``old_mac`` is the address of an earlier bootstrap, which is kept. The lease
    is to clear away what is left on the way out. ``fake`` does without a machine.
    Raises what converse() does, and ManifestError if the guest's report is bad.
    """

    def bootstrapped(mac: str, result: BootstrapResult) -> BootstrappedMachine:
        return BootstrappedMachine(
            machine=dataclasses.replace(manifest, mac=mac),
            toolchain=ToolchainManifest(id=toolchain.id),
            bootstrap=result,
        )

    if fake:
        return bootstrapped(FAKE_MAC, toolchain.expected)

    mac = check_mac(manifest.mac or old_mac or random_mac())
    put = os.path.join(host.tftp, "bootstrap", f"{toolchain.name}-{lease.id}")
    lease.note(folders=[put])
    make_private(put)
    found: list[BootstrapResult] = []

    auxiliary = manifest.role == "auxiliary"
    awaited = ANY if auxiliary else BOOTSTRAPPED

    def judge() -> SoftFailure | None:
        report = arrived_in(put, awaited)
        if report is None:
            raise AssertionError("nothing has arrived")
        with open(report, "rb") as file:
            if auxiliary:
                # What is in there is of this boot only.
                read_environment(file.read(LIMIT + 1), manifest.name)
                found.append(BootstrapResult())
                return None
            name = f"{manifest.name}:{os.path.basename(report)}"
            found.append(BootstrapResult.parse(parse(file.read(), name, ParseLimits()), name))
        return None

    talk = Talk(
        what="bootstrap",
        prepare=lambda _attempt: running.hardware(manifest, toolchain.name, directory, mac),
        get_root=toolchain.directory,
        put_root=put,
        awaited=awaited,
        waits=waits,
        limits=_LIMITS,
        logs=logs,
        judge=judge,
        clean=True,
        port=running.port,
        hold=running.hold,
        park=running.parking(host, lease, f"bootstrap of {manifest.name}", logs),
        alive=running.alive,
        progress=running.progress,
        ram=running.ram_of(manifest),
        patience=running.patience,
    )
    failure = converse(host, lease, running.accelerator, talk, phases)
    return failure if failure is not None else bootstrapped(mac, found[0])
