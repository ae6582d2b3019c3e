# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Make sure that a machine is bootstrapped, whatever others do to it meanwhile."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t

from ..errors import EngineError
from ..host.host import Host
from ..host.phases import Phases
from ..linux.private import make_private
from ..records.machine import BootstrappedMachine, MachineManifest
from ..storage.flush import flush
from ..storage.protocol import StorageError
from . import template as _template
from . import warm as _warm
from .bootstrap import Running, bootstrap
from .conversation import SoftFailure, Waits
from .inventory import PROTOCOL, Machine, compare, look, read_machine, resolve
from .sweep import leased
from .toolchain import Toolchain

# How often a snapshot of a revision that is replaced meanwhile is tried, a second
# apart (bbot's agent).
_SNAPSHOT_TRIES = 11


@dataclasses.dataclass(frozen=True)
class Ensured:
    """A machine after the attempt to have it current; ``failure`` if that failed softly.

    ``changed`` says whether it was bootstrapped, saved for warm starts or, unlinked,
    deleted; ``unsaved`` is why it could not be saved though that was wanted, else empty.
    """

    machine: Machine
    changed: bool
    failure: SoftFailure | None
    phases: dict[str, float]
    logs: str | None = None
    unsaved: str = ""


def planned(host: Host, machine: Machine) -> t.Literal["bootstrap", "delete", "none"]:
    """What ensure() would do to ``machine``. Raises StorageError.

    Besides, it saves a machine that is to start warm; see _warm.wanted().
    """
    if machine.to_bootstrap:
        return "bootstrap"
    if machine.state == "unlinked" and _remains(host, machine):
        return "delete"
    return "none"


def plan(host: Host, machine: Machine, toolchain: Toolchain, running: Running | None) -> str:
    """What ensure() would do to ``machine``: planned(), or `save` it for warm starts.

    Without ``running`` it is not told whether it would be saved. Raises StorageError.
    """
    action = planned(host, machine)
    if action == "none" and running is not None and _warm.wanted(host, machine, toolchain, running):
        return "save"
    return action


def _remains(host: Host, machine: Machine) -> list[str]:
    """What there is of the bootstrapped ``machine``, in the order of its deletion."""
    places = [*_template.places(machine), machine.bootstrapped_path]
    return [path for path in places if host.storage.info(path) is not None]


def ensure(
    host: Host,
    machine: Machine,
    toolchain: Toolchain,
    running: Running,
    waits: Waits,
    logs: str,
    *,
    fake: bool = False,
    lock_timeout: float = 0,
) -> Ensured:
    """Bootstrap ``machine`` unless that is not needed, and delete what an unlinked one left.

    A machine that is to start warm gets its template, too; where that is not possible it
    is current all the same, and the reason is reported. ``logs`` is a directory that is
    made if there is something to log. Raises LockError while somebody else bootstraps it,
    StorageError, ManifestError, and what bootstrap() raises.
    """
    phases = Phases(host.report)
    name = f"bootstrap-{machine.volume}-{machine.folder}-{toolchain.name}"
    purpose = f"bootstrap machine {machine.name} for toolchain {toolchain.name}"
    with host.lock(name, purpose, lock_timeout):
        # Whoever had the lock before may have done it.
        machine = look(host, machine.volume, machine.folder, toolchain)
        path = machine.bootstrapped_path
        if planned(host, machine) == "delete":
            _delete(host, machine)
            return Ensured(machine, True, None, {})
        if not machine.to_bootstrap:
            if fake or not _warm.wanted(host, machine, toolchain, running):
                return Ensured(machine, False, None, {})
            unsaved = _save(host, machine, toolchain, running, waits, logs, phases)
            return Ensured(machine, not unsaved, None, phases.seconds(), logs, unsaved)

        host.report(f"bootstrapping machine {machine.name}: {'; '.join(machine.reasons)}")
        make_private(logs)
        with leased(host, what="bootstrap", machine=machine.name) as lease:
            work = f"{path}-{lease.id}"
            lease.note(snapshot=work)
            with phases.during("snapshot"):
                _snapshot_current(host, machine, work)
            manifest = read_machine(work)
            old = machine.bootstrapped
            outcome = bootstrap(
                host,
                lease,
                work,
                manifest,
                old.machine.mac if old else None,
                toolchain,
                running,
                waits,
                logs,
                phases,
                fake=fake,
            )
            if not isinstance(outcome, SoftFailure):
                outcome = _fit(manifest, outcome, toolchain)
            if isinstance(outcome, SoftFailure):
                return Ensured(machine, False, outcome, phases.seconds(), logs)
            with phases.during("publish"):
                _write(os.path.join(work, "manifest"), outcome.to_text())
                flush(work)
                host.storage.set_read_only(work, True)
                _publish(host, machine, work)
        machine = look(host, machine.volume, machine.folder, toolchain)
        unsaved = ""
        if not fake and _warm.wanted(host, machine, toolchain, running):
            unsaved = _save(host, machine, toolchain, running, waits, logs, phases)
        return Ensured(machine, True, None, phases.seconds(), logs, unsaved)


def _delete(host: Host, machine: Machine) -> None:
    """Delete what there is of the bootstrapped ``machine``, its template first."""
    for path in _remains(host, machine):
        host.storage.delete(path)


def _publish(host: Host, machine: Machine, work: str) -> None:
    """Have ``work`` be the bootstrapped ``machine``, which is there at each instant if it was.

    The former one is at ``work`` then, which goes with its lease, whoever ends that.
    """
    path = machine.bootstrapped_path
    # Another one's. Until there is a new one tasks boot.
    _template.remove(host, machine)
    if host.storage.info(path) is None:
        host.storage.rename(work, path)
    else:
        host.storage.exchange(work, path)


def _save(
    host: Host,
    machine: Machine,
    toolchain: Toolchain,
    running: Running,
    waits: Waits,
    logs: str,
    phases: Phases,
) -> str:
    """Make the template of ``machine``; why that was not possible, else nothing."""
    host.report(f"saving machine {machine.name} for warm starts")
    place = os.path.join(logs, "template")
    try:
        reason = _warm.make(host, machine, toolchain, running, waits, place, phases)
    except (EngineError, OSError) as error:
        phases.end()
        reason = str(error)
    if reason:
        host.report(f"warning: machine {machine.name} has no warm starts: {reason}")
    return reason


def _fit(
    manifest: MachineManifest, bootstrapped: BootstrappedMachine, toolchain: Toolchain
) -> BootstrappedMachine | SoftFailure:
    """``bootstrapped``, unless it would have to be bootstrapped anew at once, and for ever."""
    state, *reasons = compare(manifest, bootstrapped, toolchain)
    if state != "obsolete":
        return bootstrapped
    return SoftFailure("wrong versions", f"bootstrap of no use: {'; '.join(reasons)}")


def _snapshot_current(host: Host, machine: Machine, work: str) -> None:
    """Make ``work`` a snapshot of the revision that is current *after* it was made."""
    link = os.path.join(machine.directory, f"{machine.folder}-{PROTOCOL}")
    for attempt in range(_SNAPSHOT_TRIES):
        if attempt:
            time.sleep(1)
        revision = resolve(link)
        try:
            host.storage.snapshot(revision, work)
        except StorageError:
            # Somebody may have replaced the revision under our hands.
            if attempt + 1 == _SNAPSHOT_TRIES or resolve(link) == revision:
                raise
            continue
        if resolve(link) == revision:
            return
        host.storage.delete(work)
    raise StorageError(f"unable to snapshot subvolume {link}: it is replaced all the time")


def _write(path: str, text: str) -> None:
    """Replace the file ``path``, on disk when this returns."""
    with open(f"{path}.new", "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
