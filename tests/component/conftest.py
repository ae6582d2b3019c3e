# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of roles share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.roles import Play, player


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a role with some variables: the number of changed tasks."""
    return player(tmp_path)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A btrfs volume in a file."""
    file, mounted = tmp_path / "volume.img", tmp_path / "volume"
    with file.open("wb") as stream:
        stream.truncate(256 << 20)
    subprocess.run(["mkfs.btrfs", "--quiet", file], check=True)
    mounted.mkdir()
    subprocess.run(["mount", "-o", "loop", file, mounted], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)
