# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The service manager's notification protocol (sd_notify(3)), a datagram of a few words."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class ServiceManager:
    """systemd, if it has started us; else nobody, who is told all the same."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._status = ""
        self.watchdog_interval = self._interval()

    @staticmethod
    def _interval() -> float | None:
        """After how many seconds at the latest to say that we are alive; None: never."""
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return None
        with contextlib.suppress(ValueError):
            return int(os.environ.get("WATCHDOG_USEC", "")) / 2e6
        return None

    def ready(self) -> None:
        """The agent is up, or up again after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The agent is about to read its options again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The agent is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The agent's loop goes round."""
        if self.watchdog_interval is not None:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """What `systemctl status` shows."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = f"\0{address[1:]}"
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(1)
            sock.sendto(message.encode(), address)
