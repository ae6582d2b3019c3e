# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How much the machines of a task write to their disks, and whether that is too much."""

from __future__ import annotations

import typing as t

from ..vm.protocol import Vm

# Seconds from one look to the next.
_INTERVAL = 2.0


class Writes:
    """Watches what ``machines`` write, all together, against ``limit`` in KiB; None for none."""

    def __init__(self, limit: int | None, machines: t.Sequence[Vm]) -> None:
        self._limit = limit
        self._machines = machines
        self._looked: float | None = None

    def too_many(self, now: float) -> bool:
        """Whether more than the limit has been written; asks QEMU every two seconds.

        What is written twice counts twice. `now` is monotonic. Raises VmError.
        """
        if self._limit is None or (self._looked is not None and now < self._looked + _INTERVAL):
            return False
        self._looked = now
        return sum(each.written() for each in self._machines) > self._limit << 10
