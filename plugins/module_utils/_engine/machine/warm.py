# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Make a machine's template: boot it once more, and save it at its first request."""

from __future__ import annotations

import os
import time

from ..host.host import Host, HostError
from ..host.locks import Lease
from ..host.phases import Phases
from ..linux.private import make_private
from ..machine.locking import task_lock
from ..storage.flush import flush
from ..vm.protocol import Hardware
from . import template as _template
from .bootstrap import Running
from .conversation import Waits, hold_first_request
from .fork import fork
from .inventory import Machine
from .sweep import leased
from .template import RAM, STATE, TemplateError
from .toolchain import Toolchain

# What is compared with zeros at once, to leave holes where a guest has written nothing.
_PIECE = 1 << 16


def wanted(host: Host, machine: Machine, toolchain: Toolchain, running: Running) -> bool:
    """Whether make() is to be called for ``machine``: it is to start warm, and could not yet."""
    if machine.state != "current" or not running.starts_warm(machine.name, machine.kind):
        return False
    hardware = _hardware(machine, toolchain, running, machine.bootstrapped_path)
    return _template.wanted(host, machine, hardware, running.accelerator)


def make(
    host: Host,
    machine: Machine,
    toolchain: Toolchain,
    running: Running,
    waits: Waits,
    logs: str,
    phases: Phases,
) -> str:
    """Make the template of the current ``machine``; why that was not possible, or nothing.

    A machine that cannot be resumed is marked, so that this is not tried again before
    something about it has changed. The caller has the right to bootstrap the machine.
    Raises what converse() does, and StorageError and OSError.
    """
    with (
        task_lock(host, machine, "save it for warm starts", running),
        leased(host, what="template", machine=machine.name, logs=logs) as lease,
    ):
        work = f"{machine.bootstrapped_path}-{lease.id}"
        hardware = _hardware(machine, toolchain, running, work)
        _check_space(machine, hardware)
        lease.note(snapshots=[work, f"{work}.ram"])
        make_private(logs)
        key = _template.fit(host, machine, hardware, running.accelerator)
        began = time.monotonic()
        try:
            phases.begin("template boot")
            fork(host, machine.bootstrapped_path, hardware)
            _save(host, lease, hardware, running, waits, logs, key, phases)
            reason = ""
        except TemplateError as error:
            reason = str(error)
            host.storage.delete(work)
            host.storage.create(work)
            _template.refuse(work, key, time.monotonic() - began, reason)
        phases.begin("template publish")
        _publish(host, machine, work)
        lease.note(snapshots=[])
    phases.end()
    return reason


def _hardware(machine: Machine, toolchain: Toolchain, running: Running, place: str) -> Hardware:
    if machine.bootstrapped is None or machine.bootstrapped.machine.mac is None:
        raise HostError(
            f"machine {machine.name} is not bootstrapped, or has no MAC address", culprit="machine"
        )
    manifest = machine.bootstrapped.machine
    return running.hardware(manifest, toolchain.name, place, machine.bootstrapped.machine.mac)


def _check_space(machine: Machine, hardware: Hardware) -> None:
    """Refuse to fill the disk: a template takes as much as its machine uses of its RAM."""
    stat = os.statvfs(machine.directory)
    free = stat.f_bavail * stat.f_frsize
    if free < hardware.ram << 10:
        raise HostError(
            f"machine {machine.name} cannot be saved: its RAM is {hardware.ram >> 10} MB, and "
            f"{free >> 20} MB are free in {machine.directory}"
        )


def _save(
    host: Host,
    lease: Lease,
    hardware: Hardware,
    running: Running,
    waits: Waits,
    logs: str,
    key: dict[str, str],
    phases: Phases,
) -> None:
    """Boot ``hardware`` and fill its directory, and the subvolume beside it, with a template."""
    work, architecture = hardware.directory, hardware.architecture
    if not architecture.resumes:
        name = architecture.name
        raise TemplateError(f"an emulated {name} does not reliably go on from a saved state")
    # In memory, and to the disk in one piece: a booting guest writes here and there.
    memory = os.memfd_create("ram", os.MFD_CLOEXEC)
    try:
        os.ftruncate(memory, hardware.ram << 10)
        began = time.monotonic()
        with hold_first_request(
            host,
            lease,
            running.accelerator,
            hardware,
            memory,
            logs,
            startup=waits.startup,
            port=running.port,
            alive=running.alive,
        ) as (vm, held):
            seconds = time.monotonic() - began
            phases.begin("template save")
            state = vm.save(os.path.join(work, STATE))
        ram = _write_ram(host, memory, f"{work}.ram")
    finally:
        os.close(memory)
    _template.describe(work, key, seconds, state=state, ram=ram, held=held)
    flush(work)


def _write_ram(host: Host, memory: int, place: str) -> str:
    """Make the subvolume ``place`` with a copy of ``memory``; the path of that."""
    host.storage.create(place)
    os.chmod(place, 0o700)
    path = os.path.join(place, RAM)
    size = os.fstat(memory).st_size
    with open(path, "xb", buffering=0) as file:
        os.ftruncate(file.fileno(), size)
        for start in range(0, size, _PIECE):
            piece = os.pread(memory, _PIECE, start)
            if piece.count(0) != len(piece):
                os.pwrite(file.fileno(), piece, start)
        if os.geteuid() == 0:
            # QEMU opens it anew by its descriptor, to write as well, whatever its place: by their
            # group. Nobody else comes to where it is.
            os.fchown(file.fileno(), 0, host.account().pw_gid)
        os.fchmod(file.fileno(), 0o660)
        os.fsync(file.fileno())
    return path


def _publish(host: Host, machine: Machine, work: str) -> None:
    """Give what was made its names, the RAM first: it means nothing without the rest."""
    _template.remove(host, machine)
    place, ram = _template.places(machine)
    if host.storage.info(f"{work}.ram") is not None:
        host.storage.rename(f"{work}.ram", ram)
    host.storage.set_read_only(work, True)
    host.storage.rename(work, place)
