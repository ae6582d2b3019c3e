# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The process of a machine on the host: a child of its owner's, which is watched."""

from __future__ import annotations

import os
import select

STREAMS = ("console", "progress", "monitor", "inspection", "talk")


class Child:
    """A process with the id ``pid``, 0 until watch() was called; its ``exit_status`` at its end.

    The folder ``runtime`` is for its sockets.
    """

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self.pid = 0
        self.exit_status: int | None = None
        self._pidfd = -1

    @property
    def shell(self) -> str:
        """The socket at which a person can talk to a shell, if the hardware has one.

        That of a container is there once its owner passes it on.
        """
        return os.path.join(self._runtime, "shell")

    @property
    def held(self) -> str:
        """The socket at which a person can talk to a shell while the machine is held."""
        return os.path.join(self._runtime, "held")

    def watch(self, pid: int) -> None:
        """Be the child `pid`. Raises OSError."""
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def fileno(self) -> int:
        """A descriptor that becomes readable when it has ended."""
        return self._pidfd

    def running(self) -> bool:
        """Whether it is there, suspended or not."""
        if self.pid and self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = os.waitstatus_to_exitcode(status)
        return bool(self.pid) and self.exit_status is None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds for its end; whether it has ended."""
        if self.running():
            select.select([self._pidfd], [], [], timeout)
        return not self.running()

    def close_streams(self) -> None:
        """Close the sockets that connect it with its owner; harmless a second time."""
        for name in STREAMS:
            sock = getattr(self, name, None)
            if sock is not None:
                sock.close()

    def forget(self) -> None:
        """Watch it no more; harmless a second time."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
