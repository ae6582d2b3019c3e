# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How a person looks into a running machine: by a shell in it, and by its screen."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import typing as t

from ..host.host import Host, HostError
from ..host.locks import Lease
from ..vm.protocol import Hardware, Vm, VmError
from .relay import Relay

# VNC's own passwords are no longer (RFC 6143, 7.2.2).
LONGEST_PASSWORD = 8


@dataclasses.dataclass(frozen=True)
class LookIn:
    """Beside the sockets in its own folder, a machine's screen is at `address` and `port`.

    That is VNC over TCP, for those who know the `password`; nowhere without an address.
    """

    address: str = ""
    port: int = 0
    password: str = dataclasses.field(default="", repr=False)

    def fit(self, hardware: Hardware) -> Hardware:
        """Return `hardware` with what this takes."""
        return dataclasses.replace(hardware, shell=True, password=bool(self.address))


class Door:
    """Where who wants to see the screen of `vm` knocks. Raises HostError if it cannot be had."""

    def __init__(self, look_in: LookIn, vm: Vm) -> None:
        self._vm = vm
        place = f"{look_in.address}:{look_in.port}"
        try:
            family = socket.AF_INET6 if ":" in look_in.address else socket.AF_INET
            self._sock = socket.create_server((look_in.address, look_in.port), family=family)
        except OSError as error:
            raise HostError(
                f"cannot show screens at {place} (interactive-vnc): {error.strerror or error}"
            ) from error
        self._sock.setblocking(False)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when somebody knocks."""
        return self._sock.fileno()

    def turn(self) -> None:
        """Let in who knocks; QEMU asks for the password."""
        # One who has gone again, and whatever else keeps one from coming in, is his trouble, and
        # not the task's.
        with contextlib.suppress(OSError, VmError):
            client, _address = self._sock.accept()
            with client:
                self._vm.let_in(client)

    def close(self) -> None:
        """Let nobody in any more; who is in stays."""
        self._sock.close()


@contextlib.contextmanager
def looked_into(
    host: Host, lease: Lease, vm: Vm, look_in: LookIn | None
) -> t.Iterator[t.Sequence[Door | Relay]]:
    """Say how to look into the started `vm`, for the length of a with statement.

    Returns the ways in that are to be watched. Raises HostError and VmError.
    """
    with contextlib.ExitStack() as stack:
        ways: list[Door | Relay] = []
        if look_in is not None:
            if vm.talk is not None:
                ways.append(stack.enter_context(passed_on(vm.shell, vm.talk)))
            lease.tell(shell=vm.shell)
            host.report(f"interactive: for a shell: bbot-agent shell {lease.id}")
            if vm.vnc and not look_in.address:
                host.report(f"interactive: for the screen: VNC at unix:{vm.vnc}")
            elif vm.vnc:
                vm.want_password(look_in.password)
                place = f"{look_in.address}:{look_in.port}"
                host.report(f"interactive: for the screen: VNC at {place}")
                ways.append(stack.enter_context(contextlib.closing(Door(look_in, vm))))
        yield ways


def passed_on(
    path: str, stream: socket.socket, entered: t.Callable[[Relay], None] | None = None
) -> t.ContextManager[Relay]:
    """Have people talk to the guest's `stream` at the socket `path`; see Relay.

    Raises HostError.
    """
    try:
        return contextlib.closing(Relay(path, stream, entered))
    except OSError as error:
        raise HostError(f"cannot make the socket {path}: {error.strerror or error}") from error
