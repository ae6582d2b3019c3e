# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for something to become true, up to a deadline."""

from __future__ import annotations

import time
import typing as t

T = t.TypeVar("T")

# Seconds. Far more than anything here takes, on a busy machine too.
PATIENCE = 120.0


def until(look: t.Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true value of ``look``; AssertionError, naming ``what``, at the deadline."""
    end = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
