# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Templates: machines saved at their first request, which tasks resume instead of booting.

A template lies beside its bootstrapped machine <name>-<toolchain>, under names that
bbot does not look at, in two subvolumes:

    .<name>-<toolchain>.warm   read-only: the disk, the state, and what the template fits
    .<name>-<toolchain>.ram    the RAM, in a file that all clones map

QEMU must be able to open the RAM for writing, though it does not write to it, so
that file is no part of what is read-only; its time stamps tell whether somebody has
touched it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
import typing as t

from ..errors import EngineError
from ..host.attach import network_of
from ..host.host import Host, HostError
from ..host.lease_record import is_time
from ..host.locks import Lease
from ..storage.protocol import StorageError
from ..tftp.server import HeldRequest
from ..vm.accelerator import Accelerator, qemu_program
from ..vm.protocol import Hardware
from ..vm.qemu.migration import SavedState
from ..vm.qemu.process import state_key
from .fork import fork
from .inventory import Machine

STATE = "warm.state"
RAM = "ram"
_FACTS = "warm.json"
# Bytes: it has some KiB.
_LARGEST_FACTS = 1 << 20


class TemplateError(EngineError):
    """A template that is missing or does not fit; the text says why, to follow on "because"."""


@dataclasses.dataclass(frozen=True)
class Clone:
    """A template's machine, cloned: ready to be resumed by who closes ``ram``.

    ``held`` is the request that it waits to have answered.
    """

    hardware: Hardware
    state: SavedState
    ram: int
    held: HeldRequest


@dataclasses.dataclass(frozen=True)
class Template:
    """What is known of a template without a look at its files.

    ``reason`` says why the machine has to boot, empty if it can be resumed;
    ``seconds`` is how long its boot took, ``bytes`` what it takes of the disk.
    """

    path: str
    made: float
    seconds: float
    bytes: int
    reason: str


def places(machine: Machine) -> tuple[str, str]:
    """The template's two subvolumes, which need not be there."""
    directory, name = os.path.split(machine.bootstrapped_path)
    return os.path.join(directory, f".{name}.warm"), os.path.join(directory, f".{name}.ram")


def fit(
    host: Host, machine: Machine, hardware: Hardware, accelerator: Accelerator
) -> dict[str, str]:
    """What a template of ``machine`` has to have been made with, part by part."""
    bootstrapped, program = machine.bootstrapped, qemu_program(hardware.architecture)
    subvolume = host.storage.info(machine.bootstrapped_path)
    if bootstrapped is None or subvolume is None:
        # Somebody has deleted it since we looked.
        raise HostError(f"machine {machine.name} is gone", culprit="machine")
    stat = os.stat(program)
    return {
        "QEMU": f"{program} {stat.st_size} {stat.st_mtime_ns}",
        "accelerator": accelerator.on(hardware.name).name,
        "hardware": state_key(hardware, accelerator),
        "machine": bootstrapped.machine.id,
        "toolchain": bootstrapped.toolchain.id,
        "bootstrap": subvolume.uuid,
        "network": network_of(host),
    }


def wanted(host: Host, machine: Machine, hardware: Hardware, accelerator: Accelerator) -> bool:
    """Whether a template has to be made for ``machine``: there is none, or another one's."""
    try:
        facts = _read(places(machine)[0])
    except TemplateError:
        return True
    return facts.get("fit") != fit(host, machine, hardware, accelerator)


def look(machine: Machine) -> Template | None:
    """The template of ``machine``, fit or not; None if there is none."""
    path, ram = places(machine)
    try:
        facts = _read(path)
        size = 0
        for file in (os.path.join(path, STATE), os.path.join(ram, RAM)):
            with contextlib.suppress(FileNotFoundError):
                size += os.stat(file).st_blocks * 512
        made, seconds = facts["made"], facts["seconds"]
        if not is_time(made) or not is_time(seconds):
            return None
        return Template(path, float(made), float(seconds), size, str(facts["reason"]))
    except (TemplateError, KeyError, OSError):
        return None


def clone(
    host: Host,
    machine: Machine,
    hardware: Hardware,
    accelerator: Accelerator,
    lease: Lease,
) -> Clone:
    """Make ``hardware``'s directory a clone of the template; TemplateError if that is of no use.

    The lease is told of the directory, which may be there in any case.
    """
    path, ram_path = places(machine)
    if host.storage.info(path) is None:
        raise TemplateError("nothing has been saved for it")
    lease.note(snapshot=hardware.directory)
    try:
        fork(host, path, hardware)
    except StorageError as error:
        raise TemplateError(str(error)) from error
    # From here on what others do to the template is of no concern: it is the clone that counts.
    facts = _read(hardware.directory)
    try:
        for part, value in fit(host, machine, hardware, accelerator).items():
            if facts["fit"][part] != value:
                raise TemplateError(f"it was saved with another {part}")
        if facts["reason"]:
            raise TemplateError(facts["reason"])
        state = SavedState(**{**facts["state"], "path": os.path.join(hardware.directory, STATE)})
        held = HeldRequest((facts["peer"][0], facts["peer"][1]), bytes.fromhex(facts["request"]))
        if _digest(state.path) != facts["digest"]:
            raise TemplateError("its state is damaged")
        _check_address(host, held.peer[0])
        return Clone(hardware, state, _open_ram(os.path.join(ram_path, RAM), facts["ram"]), held)
    except (LookupError, TypeError, ValueError) as error:
        raise TemplateError(f"its description cannot be understood ({error!r})") from error
    except OSError as error:
        raise TemplateError(f"{error.filename} cannot be read ({error.strerror})") from error


def _check_address(host: Host, address: str) -> None:
    """A clone has the address it was saved with: it must not meanwhile be another machine's."""
    if host.bridge is None:
        # Nobody else is in its segment.
        return
    for record in host.leases.records().values():
        if record.get("address") == address and record.get("bridge") == host.bridge:
            raise TemplateError(f"a running machine has its address {address}")


def _open_ram(path: str, stamp: list[int]) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if _stamp(fd) != stamp:
        os.close(fd)
        raise TemplateError("its RAM was touched after it was saved")
    return fd


def _stamp(fd: int) -> list[int]:
    """What changes with the content of a file. The last one can be set by nobody."""
    stat = os.fstat(fd)
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _read(directory: str) -> dict[str, t.Any]:
    path = os.path.join(directory, _FACTS)
    try:
        with open(path, "rb") as file:
            facts = json.loads(file.read(_LARGEST_FACTS).decode())
    except FileNotFoundError as error:
        raise TemplateError("nothing has been saved for it") from error
    except OSError as error:
        raise TemplateError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise TemplateError("its description is damaged") from error
    if not isinstance(facts, dict):
        raise TemplateError("its description is damaged")
    return facts


def describe(
    directory: str,
    key: t.Mapping[str, str],
    seconds: float,
    *,
    state: SavedState,
    ram: str,
    held: HeldRequest,
) -> None:
    """Write down in ``directory`` what the template in it fits, and what else a clone needs."""
    with open(ram, "rb") as file:
        stamp = _stamp(file.fileno())
    facts = {
        "state": dataclasses.asdict(state),
        "digest": _digest(state.path),
        "ram": stamp,
        "peer": list(held.peer),
        "request": held.datagram.hex(),
    }
    _write(directory, key, seconds, "", facts)


def refuse(directory: str, key: t.Mapping[str, str], seconds: float, reason: str) -> None:
    """Write down in ``directory`` that the machine has to boot, so that nobody tries in vain."""
    _write(directory, key, seconds, reason, {})


def _write(
    directory: str, key: t.Mapping[str, str], seconds: float, reason: str, facts: dict[str, t.Any]
) -> None:
    common = {"fit": dict(key), "made": time.time(), "seconds": seconds, "reason": reason}
    with open(os.path.join(directory, _FACTS), "w", encoding="utf-8") as file:
        json.dump({**common, **facts}, file)
        file.flush()
        os.fsync(file.fileno())


def remove(host: Host, machine: Machine) -> None:
    """Delete the template of ``machine``, if there is one."""
    for path in places(machine):
        host.storage.discard(path)
