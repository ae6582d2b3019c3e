# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is kept free on disks, and what machines may write beside it."""

from __future__ import annotations

import os
import types

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.disk import shortage

MIB = 1024
KEPT = "less than 1024 MiB are free in /m, which are kept (disk-reserve)"
SMALL = "less than 200 MiB are free in /m, which are kept (disk-reserve)"
CLAIMED = (
    "in /m there is no room for the 3000 MiB that machines may write (write-limit) beside the "
    "1024 MiB that are kept (disk-reserve)"
)


@pytest.mark.parametrize(
    ("total", "free", "reserve", "claimed", "words"),
    [
        (100_000, 1024, 1024, 0, ""),
        (100_000, 1023, 1024, 0, KEPT),
        (100_000, 0, 0, 0, ""),
        # A small file system.
        (4000, 200, 1024, 0, ""),
        (4000, 199, 1024, 0, SMALL),
        (100_000, 4024, 1024, 3000, ""),
        (100_000, 4023, 1024, 3000, CLAIMED),
        (100_000, 1000, 1024, 3000, KEPT),
    ],
)
def test_shortage(
    total: int,
    free: int,
    reserve: int,
    claimed: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stat = types.SimpleNamespace(f_frsize=4096, f_blocks=total * 256, f_bavail=free * 256)
    monkeypatch.setattr(os, "statvfs", {"/m": stat}.__getitem__)
    assert shortage("/m", reserve * MIB, claimed * MIB) == words


def test_a_folder_that_is_not_there_is_short_of_nothing() -> None:
    assert shortage("/nowhere/at/all", 1 << 60) == ""
