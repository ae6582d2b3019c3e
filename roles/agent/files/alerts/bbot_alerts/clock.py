# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time, as alerts need it: how much has passed, and what people read."""

from __future__ import annotations

import dataclasses
import time

_BOOT = "/proc/sys/kernel/random/boot_id"


@dataclasses.dataclass(frozen=True)
class Moment:
    """A moment: which boot it is in, the seconds since then, and the time of the wall clock.

    Only the seconds are reckoned with, so that a step of the wall clock makes no difference.
    """

    boot: str
    up: float
    wall: float


def now() -> Moment:
    """Return this moment."""
    with open(_BOOT, encoding="ascii") as file:
        boot = file.read().strip()
    return Moment(boot, time.clock_gettime(time.CLOCK_BOOTTIME), time.time())
