# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers for ioctl(2), against those of the C library and the kernel's headers' rule."""

from __future__ import annotations

import termios

from bbot_worker import ioctls


def number(direction: int, shift: int, kind: str, which: int, size: int) -> int:
    """What the kernel's macro _IOC() makes of it (asm-generic/ioctl.h)."""
    return direction << shift | size << 16 | ord(kind) << 8 | which


def test_those_of_this_machine_are_the_library_s() -> None:
    ours = (ioctls.FIONREAD, ioctls.TIOCSCTTY, ioctls.TIOCSWINSZ)
    assert ours == (termios.FIONREAD, termios.TIOCSCTTY, termios.TIOCSWINSZ)


def test_those_of_power_follow_its_rule() -> None:
    # _IOC_NONE is 1 there, _IOC_READ 2 and _IOC_WRITE 4, in the three highest bits.
    assert ioctls.of("ppc64le") == (
        number(2, 29, "f", 127, 4),
        0x540E,
        number(4, 29, "t", 103, 8),
        number(4, 29, "R", 3, 8),
        number(1, 29, "R", 7, 0),
    )


def test_those_of_random_numbers_follow_the_usual_rule() -> None:
    for machine in ("x86_64", "aarch64", "s390x", "riscv64", "armv7l"):
        assert ioctls.of(machine)[3:] == (number(1, 30, "R", 3, 8), number(0, 30, "R", 7, 0))
