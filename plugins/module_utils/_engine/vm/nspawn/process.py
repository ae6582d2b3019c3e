# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""One container: a systemd-nspawn process, in the network of its guest, with its logs.

It is the first process of a namespace of processes: when it ends, the kernel ends all of the
guest's. It dies with its owner, by way of the program that made the namespace; what it has mounted
goes with it. What else it uses is noted in the owner's lease.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import typing as t

from ...host.host import Host
from ...host.locks import Lease, process_start
from ...linux.private import make_private
from ...linux.process import find_program
from ...linux.spawn import SpawnError, spawn
from ...network.attachment import Attachment
from ..accelerator import Accelerator
from ..child import Child
from ..limits import Limits
from ..protocol import Hardware, VmError
from ..qemu.migration import SavedState
from . import disk as _disk
from .arguments import ENVIRONMENT, PROCESSES, nspawn_arguments, streams
from .memory import Strain, badness
from .stage import Stage, first_id

# For what the container's own programs take, in KiB.
_OVERHEAD = 65536
# Seconds in which the first process of a namespace ends all others and goes.
_END = 10.0
# So often it is told that a process was ended: there may always be another one.
_TOLD = 3


class Container(Child):
    """A machine of the kind nspawn; see protocol.Vm.

    ``logs`` is an existing directory for `nspawn.log`. ``lease`` is the owner's.
    """

    def __init__(
        self,
        host: Host,
        lease: Lease,
        hardware: Hardware,
        accelerator: Accelerator,
        logs: str,
    ) -> None:
        super().__init__(os.path.join(host.runtime, lease.id))
        self.hardware = hardware
        self.accelerator = accelerator
        self.console: socket.socket
        self.progress: socket.socket
        self.monitor: socket.socket | None = None
        self.inspection: socket.socket | None = None
        self.talk: socket.socket | None = None
        # Its disk is set aside before it starts.
        self.out_of_space = False
        self.log = os.path.join(logs, "nspawn.log")
        self._host = host
        self._lease = lease
        self._limits: Limits | None = None
        self._strain: Strain | None = None
        self._ended = 0
        # Bytes that the device of its disk had been given when it was seen first.
        self._before: int | None = None

    def start(
        self,
        network: Attachment,
        *,
        state: SavedState | None = None,
        ram: int | None = None,
    ) -> None:
        """Start the container in ``network``, which has to outlive it.

        Raises VmError, CommandError and HostError; nothing is left running then, and close()
        clears the rest away.
        """
        hardware = self.hardware
        if state is not None or ram is not None:
            raise self._cannot("be saved or resumed: it is booted for each task")
        if network.namespace is None:
            raise self._cannot("be on a bridge of the host (bridge): its network is its own")
        if reason := _disk.objection(hardware.options):
            raise VmError(f"machine {hardware.name} cannot be run: {reason}")
        program = find_program("systemd-nspawn", "systemd-container")
        unshare = find_program("unshare", "util-linux")
        make_private(hardware.directory)
        self._lease.note(runtime=self._runtime)
        make_private(self._host.runtime, 0o711)
        os.mkdir(self._runtime, mode=0o700)
        first = first_id(int(self._lease.record.get("place") or 0))
        self._limits = Limits.make(self._lease, hardware, overhead=_OVERHEAD, processes=PROCESSES)
        if self._limits.missing:
            self._host.report(
                f"warning: nothing but its own limits bounds the {', '.join(self._limits.missing)} "
                f"of machine {hardware.name}: this host has no control groups for that"
            )
        stage = Stage(hardware.directory, first, network.port, hardware.mac)

        def prepare() -> None:
            try:
                limits.enter()
                stage.set()
            except OSError as error:
                reason = f"{error.strerror or error}{f': {error.filename}' * bool(error.filename)}"
                raise VmError(f"cannot make what it stands on: {reason}") from error

        limits = self._limits
        with contextlib.ExitStack() as theirs:
            self.console, said = socket.socketpair()
            theirs.callback(said.close)
            handed = {}
            for name in streams(hardware):
                ours, other = socket.socketpair()
                setattr(self, name, ours)
                ours.setblocking(False)
                handed[name] = theirs.enter_context(other).fileno()
            wrapped = [*limits.prefix, unshare, "--pid", "--fork", "--kill-child", "--mount-proc"]
            command = [*wrapped, "--", program, *nspawn_arguments(hardware, first)]
            try:
                pid = spawn(
                    command[0],
                    command[1:],
                    directory=hardware.directory,
                    output=said.fileno(),
                    namespace=network.namespace,
                    listen=list(handed.values()),
                    prepare=prepare,
                    environment=ENVIRONMENT,
                )
            except SpawnError as error:
                raise VmError(f"machine {hardware.name} did not start: {error}") from error
        self.watch(pid)
        self._strain = Strain(pid)
        self._before = _disk.seen(hardware.directory, pid)
        self._lease.note(qemu=self.pid, qemu_start=process_start(self.pid))
        self.console.setblocking(False)

    def _cannot(self, what: str) -> VmError:
        return VmError(
            f"machine {self.hardware.name} is of type nspawn, which cannot {what}", temporary=False
        )

    @property
    def vnc(self) -> str:
        """Nowhere: there is no screen."""
        return ""

    def want_password(self, password: str) -> None:
        """Raise VmError: there is no screen."""
        raise self._cannot("be looked into: it has no screen")

    def let_in(self, client: socket.socket) -> None:
        """Raise VmError: there is no screen."""
        raise self._cannot("be looked into: it has no screen")

    def listen(self) -> bool:
        """There is nothing to listen to."""
        return False

    def power_down(self) -> None:
        """Ask the guest's init to end it."""
        self._signal(signal.SIGTERM, _children(self.pid))

    def suspend(self) -> None:
        """Stop the guest's processes; those that start meanwhile as well."""
        stopped: set[int] = set()
        while new := set(_descendants(self.pid)) - stopped:
            self._signal(signal.SIGSTOP, new)
            stopped |= new

    def resume(self) -> None:
        """Undo suspend()."""
        self._signal(signal.SIGCONT, _descendants(self.pid))

    def go_on(self) -> None:
        """Undo suspend(): it never stands still by itself."""
        self.resume()

    def save(self, path: str) -> SavedState:
        """Raise VmError: processes of the host cannot be written to a file."""
        raise self._cannot("be suspended to disk: its processes and files are gone (see hold)")

    def tend(self, now: float) -> None:
        """End its largest process if all memory is used up, where the kernel does not."""
        if self._strain is None or not self._strain.look(now):
            return
        largest = max(_descendants(self.pid), key=badness, default=None)
        if largest is None:
            return
        self._signal(signal.SIGKILL, [largest])
        self._ended += 1
        if self._ended <= _TOLD:
            self._host.report(
                f"warning: machine {self.hardware.name} had used up its memory and got on no more: "
                "its largest process was ended"
            )

    def written(self) -> int:
        """Return how many bytes have come to its disk.

        That is what the device has seen, or what is in use, whichever is more: some of it may be
        in memory yet.
        """
        directory, most = self.hardware.directory, 0
        for pid in _children(self.pid):
            found = _disk.seen(directory, pid)
            if found is None:
                continue
            # The kernel's list of mounts has gaps while it changes, as when a container starts.
            if self._before is None:
                self._before = found
            most = max(most, found - self._before, _disk.in_use(directory, pid))
        return most

    def force_down(self) -> None:
        """End the container and all of its processes at once."""
        if not self.running():
            return
        # The program around it waits until the last one is gone.
        self._signal(signal.SIGKILL, _children(self.pid))
        if not self.wait(_END):
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def _signal(self, number: int, pids: t.Iterable[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def info(self) -> list[str]:
        """Lines that help a person to look into the container."""
        inner = next(iter(_children(next(iter(_children(self.pid)), 0))), 0)
        return [
            f"container's first process: {inner}",
            f"to look into it as root: nsenter --all --target {inner} /bin/sh",
        ]

    def close(self) -> None:
        """Force the container down and remove what it used of the host."""
        self.force_down()
        self.close_streams()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._runtime)
        self.forget()
        if self._limits is not None:
            self._limits.end()
        self._lease.note(qemu=None, runtime=None)


def _children(pid: int) -> list[int]:
    """The children of a process, of whichever thread of it."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    return found


def _descendants(pid: int) -> t.Iterator[int]:
    """The processes below the one that waits for the container, without it."""
    waiting = _children(pid)
    while waiting:
        each = waiting.pop()
        yield each
        waiting += _children(each)
