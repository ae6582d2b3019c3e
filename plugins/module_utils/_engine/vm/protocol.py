# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a machine is made of, and what the engine needs of one that runs, whatever its kind."""

from __future__ import annotations

import dataclasses
import socket
import typing as t

from ..errors import EngineError
from ..network.attachment import Attachment
from .accelerator import Accelerator
from .architecture import Architecture, architecture_of
from .qemu.migration import SavedState

KVM, NSPAWN = "kvm", "nspawn"


class VmError(EngineError):
    """A machine that cannot be started or controlled; the text says which and why."""


@dataclasses.dataclass(frozen=True)
class Hardware:
    """What a machine is made of.

    ``directory`` holds what it runs from. ``options`` replace the default devices: of a machine
    of the ``kind`` kvm those are QEMU's for network and disk, with `?` in `ifname=?` and `mac=?`
    standing for the tap and the MAC address (bbot's machine manifest), of one of the kind nspawn
    see nspawn.disk. ``ram`` is in KiB. With ``shell`` a person can talk to a shell in the machine,
    and with ``password`` has to know one to see its screen. With ``inspect`` its owner can ask the
    guest for a shell, by a stream of their own.
    """

    name: str
    directory: str
    mac: str
    options: t.Sequence[str] | None = None
    cpu: int = 1
    ram: int = 1048576
    shell: bool = False
    password: bool = False
    kind: str = KVM
    inspect: bool = False

    @property
    def architecture(self) -> Architecture:
        """What its processor is, which its name begins with."""
        return architecture_of(self.name)


class Vm(t.Protocol):
    """A machine, from start() to close(); see qemu.process and nspawn.process.

    The sockets ``console`` and ``progress`` are non-blocking; whoever runs the machine reads them,
    and calls listen() when ``monitor`` is readable, if there is one. ``out_of_space`` tells
    whether the machine stands still because the host's disk is full. ``log`` is the file with what
    its program on the host says. ``inspection`` is the stream by which a shell is asked for, and
    ``talk`` that of the shell of an interactive build where its owner has to pass it on.
    """

    hardware: Hardware
    accelerator: Accelerator
    console: socket.socket
    progress: socket.socket
    inspection: socket.socket | None
    talk: socket.socket | None
    out_of_space: bool
    pid: int
    exit_status: int | None
    log: str

    @property
    def monitor(self) -> socket.socket | None: ...
    @property
    def vnc(self) -> str: ...
    @property
    def shell(self) -> str: ...
    @property
    def held(self) -> str: ...

    def start(
        self, network: Attachment, *, state: SavedState | None = None, ram: int | None = None
    ) -> None:
        """Start the machine in ``network``, which has to outlive it; see qemu.process.

        Raises VmError, CommandError and HostError; nothing is left running then.
        """

    def fileno(self) -> int:
        """A descriptor that becomes readable when the machine has ended."""

    def running(self) -> bool:
        """Whether the machine is there, suspended or not."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds for the machine to end; whether it has."""

    def listen(self) -> bool:
        """Take in what the monitor says; False if it says no more. Never waits."""

    def power_down(self) -> None:
        """Ask the guest to shut down. Raises VmError."""

    def suspend(self) -> None:
        """Have the guest stand still. Raises VmError."""

    def resume(self) -> None:
        """Undo suspend(). Raises VmError."""

    def go_on(self) -> None:
        """Let a machine go on that stood still for lack of disk. Raises VmError."""

    def save(self, path: str) -> SavedState:
        """Write the machine's state to the new file ``path``. Raises VmError."""

    def written(self) -> int:
        """Return how many bytes the guest has written to its disks. Raises VmError."""

    def tend(self, now: float) -> None:
        """Do what the machine needs now and then; `now` is monotonic. Never waits."""

    def want_password(self, password: str) -> None:
        """Let see the screen who knows ``password``. Raises VmError."""

    def let_in(self, client: socket.socket) -> None:
        """Show the screen to ``client``. Raises VmError."""

    def force_down(self) -> None:
        """End the machine at once, as if by pulling its plug."""

    def info(self) -> list[str]:
        """Lines that help a person to look into the machine."""

    def close(self) -> None:
        """Force the machine down and remove what it used of the host."""
