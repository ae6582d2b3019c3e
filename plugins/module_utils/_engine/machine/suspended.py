# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Failed machines, suspended to disk until somebody has looked into them.

bbot keeps such a machine in memory and waits for a person. Here its memory goes to a
file beside a record, and its work snapshot gets a name of its own; nobody waits, no
process is held, and a restart of the host does no harm.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import select
import shutil
import time
import typing as t

from ..errors import sentence
from ..host.attach import attach
from ..host.host import Host, HostError
from ..host.locks import Lease, LockError
from ..tftp.server import Server
from ..vm.accelerator import Accelerator
from ..vm.machines import make_vm
from ..vm.protocol import Hardware, Vm, VmError
from ..vm.qemu.migration import SavedState
from .hold import inspected
from .relay import Relay
from .suspended_record import RecordError, read_suspended
from .sweep import leased

# What is appended to the path of a bootstrapped machine, and then the id.
SUFFIX = "-suspended-"

_ALIVE_INTERVAL = 0.2

# What suspending a machine leaves free of the disk, in bytes, for the journal and others.
_SPACE_LEFT = 256 << 20


@dataclasses.dataclass(frozen=True)
class Suspended:
    """A suspended machine: its ``hardware`` and where its memory is.

    ``what`` was done on it, ``reason`` is why it failed, ``since`` when, in seconds since
    the epoch, ``logs`` are those of what was done. ``accelerator`` is the one it ran under.
    """

    id: str
    machine: str
    what: str
    reason: str
    since: float
    logs: str
    hardware: Hardware
    accelerator: str
    state: SavedState

    @property
    def toolchain(self) -> str:
        """The toolchain it was bootstrapped for, whose names have no dashes."""
        name = os.path.basename(self.hardware.directory)
        return name.removesuffix(f"{SUFFIX}{self.id}").rpartition("-")[2]

    @property
    def bytes(self) -> int:
        """What its memory takes on disk."""
        with contextlib.suppress(OSError):
            return os.stat(self.state.path).st_blocks * 512
        return 0


class Suspensions:
    """The suspended machines of a host.

    Of those of ``toolchain``, or of all if that is None, at most ``most`` are kept, and none
    longer than ``age`` seconds.
    """

    def __init__(self, host: Host, most: int, age: float, toolchain: str | None = None) -> None:
        self._host = host
        self._toolchain = toolchain
        self._most = most
        self._age = age
        self.directory = os.path.join(host.state, "suspended")

    def park(self, lease: Lease, vm: Vm, what: str, reason: str, logs: str) -> None:
        """Suspend ``vm``, which works in the snapshot of ``lease``, to disk.

        The machine may be forced down afterwards; its snapshot is the lease's no more.
        Raises VmError, StorageError, LockError, HostError and OSError; all is as before then,
        but that the machine is suspended.
        """
        host, hardware = self._host, vm.hardware
        with self._registering(f"suspend machine {hardware.name}", 60):
            self._check_space(hardware)
            number = self._next()
            new, place = (os.path.join(self.directory, n) for n in (f".{number}", number))
            shutil.rmtree(new, ignore_errors=True)
            os.makedirs(new, mode=0o700)
            work = hardware.directory
            path = work.removesuffix(f"-{lease.id}") + f"{SUFFIX}{number}"
            try:
                saved = vm.save(os.path.join(new, "state"))
                suspended = Suspended(
                    id=number,
                    machine=str(lease.record.get("machine", hardware.name)),
                    what=what,
                    reason=reason,
                    since=time.time(),
                    logs=logs,
                    hardware=dataclasses.replace(hardware, directory=path),
                    accelerator=vm.accelerator.name,
                    state=dataclasses.replace(saved, path=os.path.join(place, "state")),
                )
                with open(os.path.join(new, "record.json"), "w", encoding="utf-8") as file:
                    json.dump(dataclasses.asdict(suspended), file)
                # Until there is a record, whoever clears away after us has to know of it.
                lease.note(snapshots=[path])
                host.storage.rename(work, path)
                # Only now: a record without its snapshot is one that has lost its machine.
                os.rename(new, place)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            lease.note(snapshot=None, snapshots=[])
        host.report(f"error: {reason} for machine {path}, suspending")
        host.report(f"info: to look into it: bbot-agent resume {number}")
        self.prune()

    def _registering(self, purpose: str, timeout: float = 0) -> t.ContextManager[object]:
        """Return the right to add suspended machines and to remove them."""
        return self._host.lock("suspended", purpose, timeout)

    def _check_space(self, hardware: Hardware) -> None:
        """Refuse to fill the disk, which the journal needs: memory may take all of the RAM."""
        os.makedirs(self.directory, exist_ok=True)
        stat = os.statvfs(self.directory)
        free = stat.f_bavail * stat.f_frsize
        if free < (hardware.ram << 10) + _SPACE_LEFT:
            raise HostError(
                f"its RAM is {hardware.ram >> 10} MiB, and {free >> 20} MiB are free in "
                f"{self.directory}, of which {_SPACE_LEFT >> 20} MiB have to stay free"
            )

    def _next(self) -> str:
        numbers = [int(name.lstrip(".")) for name in self._names(hidden=True)]
        return str(max(numbers, default=0) + 1)

    def _names(self, *, hidden: bool = False) -> list[str]:
        pattern = r"\.?\d+" if hidden else r"\d+"
        with contextlib.suppress(FileNotFoundError):
            names = [name for name in os.listdir(self.directory) if re.fullmatch(pattern, name)]
            return sorted(names, key=lambda name: int(name.lstrip(".")))
        return []

    def all(self) -> list[Suspended]:
        """The suspended machines, the oldest first."""
        found = []
        for name in self._names():
            folder = os.path.join(self.directory, name)
            try:
                record = read_suspended(folder, self._host.machines, SUFFIX)
                record["hardware"] = Hardware(**record["hardware"])
                record["state"] = SavedState(**record["state"])
                found.append(Suspended(**record))
            except RecordError as error:
                self._set_aside(folder, str(error))
            except TypeError:
                self._set_aside(folder, "it has fields that we do not know")
            except OSError:
                # It is being made, or removed.
                continue
        return found

    def _set_aside(self, folder: str, why: str) -> None:
        """Believe nothing of a record, but keep what is there for people."""
        place = os.path.join(self.directory, f"damaged-{os.path.basename(folder)}-{time.time_ns()}")
        with contextlib.suppress(OSError):
            os.rename(folder, place)
            self._host.report(
                f"error: a suspended machine's record is damaged ({why}); it was set aside "
                f"as {place}"
            )

    def find(self, name: str) -> Suspended:
        """The suspended machine of this id; HostError, with what there is, if there is none."""
        every = self.all()
        for suspended in every:
            if suspended.id == name:
                return suspended
        known = ", ".join(suspended.id for suspended in every) or "none"
        raise HostError(f"no suspended machine {name} on this host; there are: {known}")

    def discard(self, suspended: Suspended) -> None:
        """Throw a suspended machine away. Raises LockError while somebody looks into it."""
        with self._locked(suspended, "discard"):
            self._remove(suspended)

    def _locked(self, suspended: Suspended, verb: str) -> t.ContextManager[object]:
        purpose = f"{verb} suspended machine {suspended.id}"
        return self._host.lock(f"suspended-{suspended.id}", purpose)

    def _remove(self, suspended: Suspended) -> None:
        storage, path = self._host.storage, suspended.hardware.directory
        storage.discard(path)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(os.path.join(self.directory, suspended.id))

    def prune(self) -> None:
        """Throw away what is too old or too much, and records that have lost their machine.

        What cannot be thrown away is reported, and keeps nothing else from being so. Nothing
        happens while a machine is being suspended. Raises OSError if the lock cannot be made.
        """
        with (
            contextlib.suppress(LockError),
            self._registering("look through the suspended machines"),
        ):
            self._prune()

    def _prune(self) -> None:
        kept = []
        for suspended in self.all():
            if self._toolchain not in (None, suspended.toolchain):
                continue
            if self._is_over(suspended):
                self._try_discard(suspended)
            else:
                kept.append(suspended)
        for suspended in kept[: max(0, len(kept) - self._most)]:
            self._try_discard(suspended)

    def _is_over(self, suspended: Suspended) -> bool:
        try:
            gone = self._host.storage.info(suspended.hardware.directory) is None
        except Exception:
            # It will be told when it is to be thrown away.
            gone = False
        return gone or time.time() - suspended.since > self._age

    def _try_discard(self, suspended: Suspended) -> None:
        name = f"suspended machine {suspended.id}"
        try:
            self.discard(suspended)
        except LockError:
            # Somebody looks into it.
            return
        except Exception as error:
            self._host.report(f"error: cannot discard {name}: {sentence(error)}")
        else:
            self._host.report(f"info: discarded {name}")

    def resume(self, suspended: Suspended, alive: t.Callable[[], bool]) -> bool:
        """Let a suspended machine go on until it ends, or until ``alive`` says no.

        True if it has ended; it is thrown away then. Else it is suspended again. Raises
        VmError, LockError and what else starting a machine may raise.
        """
        host, path = self._host, suspended.state.path
        if not os.path.exists(path):
            raise VmError(
                f"suspended machine {suspended.id} has lost its memory: it was resumed, and "
                f"killed; its disk is in {suspended.hardware.directory}"
            )
        accelerator = Accelerator(suspended.accelerator, "as it was suspended")
        with (
            self._locked(suspended, "resume"),
            leased(host, what="resume", machine=suspended.machine) as lease,
            contextlib.closing(attach(host, lease, suspended.hardware.mac)) as network,
            network.serve(get_root=None, put_root=None) as server,
        ):
            vm = make_vm(host, lease, suspended.hardware, accelerator, suspended.logs)
            try:
                vm.start(network, state=suspended.state)
                # From now on the disk is another one than the memory belongs to.
                os.unlink(path)
                vm.resume()
                for line in vm.info():
                    host.report(f"info: {line}")
                with inspected(host, lease, vm, lambda: None) as relay:
                    while alive() and vm.running():
                        _drain(vm, server, relay)
                if vm.running():
                    vm.save(path)
                    return False
            finally:
                vm.close()
            self._remove(suspended)
            return True


def _drain(vm: Vm, server: Server, relay: Relay | None) -> None:
    """Wait a moment, and take what the machine says: else it would wait for a reader."""
    sources: list[t.Any] = [vm, vm.console, vm.progress, server]
    if relay is not None:
        sources.append(relay)
    readable = select.select(sources, [], [], _ALIVE_INTERVAL)[0]
    server.poll()
    if relay is not None:
        relay.turn()
    for sock in (vm.console, vm.progress):
        if sock in readable:
            with contextlib.suppress(OSError):
                sock.recv(65536)
