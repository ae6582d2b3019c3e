# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is mounted, by a list that may have gaps."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import mounts as _mounts


def test_the_options_of_a_file_system() -> None:
    options = [words[-1] for words in _mounts.mounts("self") if words[4] == "/proc"][-1]
    assert _mounts.mount_options("/proc") == options.split(",")
    assert _mounts.mount_options("/proc/self") == options.split(",")


@pytest.mark.parametrize(("gaps", "found"), [(0, True), (1, True), (9, True), (10, False)])
def test_a_list_with_gaps_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gaps: int, found: bool
) -> None:
    """The kernel's list misses mounts while others come and go."""
    whole, left = _mounts.mounts, [gaps]

    def mounts(pid: t.Any) -> list[list[str]]:
        left[0] -= 1
        return [] if left[0] >= 0 else whole(pid)

    monkeypatch.setattr(_mounts, "mounts", mounts)
    assert bool(_mounts.mount_options(str(tmp_path))) is found
