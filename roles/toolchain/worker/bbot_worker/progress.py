# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live progress for the one who watches."""

from __future__ import annotations

import os
import time

from .errors import say


class Progress:
    """Lines for the one who watches, over a virtio-serial port, or a socket that a container is
    handed as the descriptor $BBOT_PROGRESS; never waits for a reader.

    ``+<operation>`` begins one, ``-<operation> <status> <seconds>`` ends it, a line of its output
    has a space before it. Without such a port, or with nobody at its other end, it does nothing.
    """

    PORT = "bbot.progress"
    LINE = 500
    LINES_PER_SECOND = 200
    BACKLOG = 64 * 1024

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = descriptor
        self.pending = b""
        self.second = 0
        self.lines = 0
        self.missed = 0

    @classmethod
    def open(cls, ports: str = "/sys/class/virtio-ports", devices: str = "/dev") -> Progress:
        try:
            if handed := os.environ.pop("BBOT_PROGRESS", ""):
                os.set_inheritable(int(handed), False)
                os.set_blocking(int(handed), False)
                return cls(int(handed))
            for port in os.listdir(ports):
                with open(os.path.join(ports, port, "name")) as file:
                    if file.read().strip() == cls.PORT:
                        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
                        return cls(os.open(os.path.join(devices, port), flags))
        except (OSError, ValueError) as error:
            say(f"no live progress: {error}")
        return cls()

    def begin(self, operation: str) -> None:
        self._mark(f"+{operation}")

    def end(self, operation: str, status: str, seconds: float) -> None:
        self._mark(f"-{operation} {status} {seconds:.2f}")

    def show(self, text: str) -> None:
        """Lines of cleaned output."""
        if self.descriptor is None:
            return
        lines = text.split("\n")
        now = int(time.monotonic())
        if now != self.second:
            self.second, self.lines = now, 0
        room = self.LINES_PER_SECOND - self.lines if len(self.pending) < self.BACKLOG else 0
        shown = lines[: max(room, 0)]
        if shown:
            self._own_up()
            self.lines += len(shown)
            self._write("".join(f" {_cut(line, self.LINE)}\n" for line in shown))
        self.missed += len(lines) - len(shown)

    def _mark(self, line: str) -> None:
        self._own_up()
        self._write(f"{line}\n")

    def _own_up(self) -> None:
        if self.missed:
            self._write(f" … {self.missed} lines not shown\n")
            self.missed = 0

    def _write(self, text: str) -> None:
        if self.descriptor is None:
            return
        self.pending += text.encode()
        try:
            while self.pending:
                self.pending = self.pending[os.write(self.descriptor, self.pending) :]
        except BlockingIOError:
            pass
        except OSError as error:
            say(f"live progress ends: {error}")
            self.descriptor = None


def _cut(line: str, size: int) -> str:
    """At most *size* bytes of *line*."""
    if len(line) * 4 <= size:
        return line
    data = line.encode()
    if len(data) <= size:
        return line
    return data[: size - 3].decode("utf-8", "ignore") + "…"
