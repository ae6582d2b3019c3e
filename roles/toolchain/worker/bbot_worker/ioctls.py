# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers for ioctl(2), of which Linux has others on POWER.

The module termios has some of them, but is slow to import.
"""

from __future__ import annotations

import os

_GENERIC = (0x541B, 0x540E, 0x5414, 0x40085203, 0x5207)
_POWER = (0x4004667F, 0x540E, 0x80087467, 0x80085203, 0x20005207)


def of(machine: str) -> tuple[int, int, int, int, int]:
    """Return the numbers, in the order below, where the kernel calls itself *machine*."""
    return _POWER if machine.startswith("ppc") else _GENERIC


FIONREAD, TIOCSCTTY, TIOCSWINSZ, RNDADDENTROPY, RNDRESEEDCRNG = of(os.uname().machine)
