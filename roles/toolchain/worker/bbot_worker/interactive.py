# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interactive builds: at a breakpoint a person has a shell in the machine, and the task waits."""

from __future__ import annotations

import contextlib
import os
import select
import time

from .errors import WorkerError, is_worse
from .run import Command

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .run import Runner

PORT = "bbot.shell"
# Breakpoints after an operation that ends so, or worse; bbot's words.
_AFTER = ("error", "warning")
# How often, in seconds, to look whether somebody is at the other end of the port.
_PAUSE = 0.2


class Breakpoint:
    """Where a task stops for a person: *where* is the field ``interactive`` of the task.

    ``error`` and ``warning`` are after an operation that ends so, or worse; the name of an
    operation is before that one. *port* is the device for the shell, instead of the machine's.
    """

    def __init__(self, where: str, port: str | None = None) -> None:
        self._after = where if where in _AFTER else ""
        self._before = "" if self._after else where
        self._port = port

    def check(self, operations: list[str]) -> None:
        """Raise WorkerError for a breakpoint that is none of the *operations*."""
        if self._before and self._before not in operations:
            raise WorkerError(
                f"interactive: no breakpoint {self._before}: there are error, warning and "
                f"{', '.join(operations)}"
            )

    def before(self, operation: str, runner: Runner, directory: str) -> None:
        """Stop if the breakpoint is before *operation*."""
        if operation == self._before:
            self._stop(f"{operation} has not begun yet", runner, directory)

    def after(self, operation: str, status: str, runner: Runner, directory: str) -> None:
        """Stop if the breakpoint is after an operation with this *status*."""
        if self._after and (status == self._after or is_worse(status, self._after)):
            self._stop(f"{operation} has ended with status {status}", runner, directory)

    def _stop(self, why: str, runner: Runner, directory: str) -> None:
        port = self._port or find_port()
        if port is None:
            runner.log.note(f"breakpoint: {why}; this machine has no port for a shell")
            return
        runner.log.note(f"breakpoint: {why}: a shell is there, whose end lets the task go on")
        greeting = f"\r\n{why}. The task goes on when this shell ends (exit).\r\n"
        since = time.monotonic()
        try:
            serve_shell(port, runner, directory, greeting)
        except OSError as error:
            runner.log.note(f"breakpoint: the shell has failed: {error}")
        runner.log.note(f"breakpoint: going on after {time.monotonic() - since:.0f} s")


def find_port(ports: str = "/sys/class/virtio-ports", devices: str = "/dev") -> str | None:
    """Return the device of the port for a shell; None in a machine without one.

    In a container it is the number of a descriptor that was handed over as $BBOT_SHELL.
    """
    if handed := os.environ.get("BBOT_SHELL", ""):
        return handed
    with contextlib.suppress(OSError):
        for port in os.listdir(ports):
            with open(os.path.join(ports, port, "name")) as file:
                if file.read().strip() == PORT:
                    return os.path.join(devices, port)
    return None


def serve_shell(port: str, runner: Runner, directory: str, greeting: str) -> None:
    """Have a shell of the build user at the *port* of find_port(), until it ends.

    Raises OSError.
    """
    import pty

    line = _open(port)
    try:
        terminal, theirs = pty.openpty()
        try:
            try:
                runner.account.own_descriptor(theirs)
                process = runner.open_shell(Command(_shell(), directory), theirs)
            finally:
                os.close(theirs)
            _relay(line, terminal, greeting.encode())
            process.wait()
        finally:
            os.close(terminal)
    finally:
        os.close(line)


def _open(port: str) -> int:
    if not port.isdigit():
        return os.open(port, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    line = os.dup(int(port))
    os.set_blocking(line, False)
    return line


def _shell() -> list[str]:
    return ["/bin/bash", "-i"] if os.path.exists("/bin/bash") else ["/bin/sh", "-i"]


def _relay(line: int, terminal: int, pending: bytes) -> None:
    """Pass bytes between the two until the terminal's shell has ended.

    Nobody need be at the other end of the line: what is said meanwhile waits there.
    """
    poller = select.poll()
    poller.register(terminal, select.POLLIN)
    while True:
        poller.register(line, select.POLLIN | (select.POLLOUT if pending else 0))
        for descriptor, events in poller.poll():
            if descriptor == terminal:
                try:
                    data = os.read(terminal, 4096)
                except OSError:
                    data = b""  # pty(7): the last one has closed the other end.
                if not data:
                    with contextlib.suppress(OSError):
                        os.write(line, pending)
                    return
                # A person reads the last of it; without end it would be of no use.
                pending = (pending + data)[-65536:]
            elif events & select.POLLHUP:
                time.sleep(_PAUSE)
            elif events & select.POLLIN:
                with contextlib.suppress(BlockingIOError):
                    _write_all(terminal, os.read(line, 4096))
            if descriptor == line and pending and not events & select.POLLHUP:
                with contextlib.suppress(BlockingIOError):
                    pending = pending[os.write(line, pending) :]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
