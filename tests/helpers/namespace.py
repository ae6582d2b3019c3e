# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network namespace, so that bridges, taps and nftables are never the machine's own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import typing as t

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _current() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Namespace:
    """A network namespace with its loopback up; it ends with close() and its last process."""

    def __init__(self) -> None:
        outside = _current()
        try:
            _check(_libc.unshare(_CLONE_NEWNET), "cannot make a network namespace")
            try:
                subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
                self._fd = _current()
            finally:
                _check(_libc.setns(outside, _CLONE_NEWNET), "cannot return to the network")
        finally:
            os.close(outside)

    @contextlib.contextmanager
    def entered(self) -> t.Iterator[None]:
        """Be in the namespace, with this thread and the processes it starts."""
        outside = _current()
        try:
            _check(_libc.setns(self._fd, _CLONE_NEWNET), "cannot enter the namespace")
            try:
                yield
            finally:
                _check(_libc.setns(outside, _CLONE_NEWNET), "cannot return to the network")
        finally:
            os.close(outside)

    def close(self) -> None:
        """Let go of the namespace."""
        os.close(self._fd)
