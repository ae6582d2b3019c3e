# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A machine that QEMU has stopped because its disk cannot be written for lack of room."""

from __future__ import annotations

import contextlib
import os

from ..host.host import Host
from ..vm.protocol import Vm, VmError

# Bytes that must be free before the machine goes on: else it would stop again at once.
_ROOM = 64 << 20
# Seconds, in all, that a machine may stand still.
_PATIENCE = 600.0
_INTERVAL = 1.0
# So often it is told that a machine stands still: it may come and go.
_TOLD = 3


class Stall:
    """Sees to it that a machine which QEMU stopped for lack of disk goes on when there is room."""

    def __init__(self, host: Host, vm: Vm) -> None:
        self._host = host
        self._vm = vm
        self._looked: float | None = None
        self._stood = 0.0
        self._told = 0

    def look(self, now: float) -> float:
        """Return the seconds since the last call in which the machine stood still for that.

        Tells when it stands still and when it goes on; `now` is monotonic. Raises VmError,
        a fault of the host, if it has stood still for ten minutes.
        """
        if not self._vm.out_of_space:
            return 0.0
        if self._looked is None:
            self._looked = now
            self._told += 1
            self._tell(f"error: no space left in {self._place}: machine {self._name} stands still")
            return 0.0
        if now - self._looked < _INTERVAL:
            return 0.0
        stood, self._looked = now - self._looked, now
        self._stood += stood
        if self._room() >= _ROOM:
            self._looked = None
            self._vm.go_on()
            self._tell(f"info: machine {self._name} goes on: there is room in {self._place}")
        elif self._stood >= _PATIENCE:
            raise VmError(
                f"no space left in {self._place} for machine {self._name}, and nobody made "
                f"room for {_PATIENCE:g} s"
            )
        return stood

    def _tell(self, line: str) -> None:
        if self._told <= _TOLD:
            self._host.report(line)

    @property
    def _name(self) -> str:
        return self._vm.hardware.name

    @property
    def _place(self) -> str:
        return os.path.dirname(self._vm.hardware.directory)

    def _room(self) -> int:
        with contextlib.suppress(OSError):
            stat = os.statvfs(self._vm.hardware.directory)
            return stat.f_bavail * stat.f_frsize
        return 0
