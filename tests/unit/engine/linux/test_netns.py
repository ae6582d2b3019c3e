# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps users from namespaces, and how that is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import netns as _netns
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.netns import why_not


@pytest.mark.parametrize(
    ("content", "told"), [("0\n", True), ("1\n", False), ("", False), (None, False)]
)
def test_a_switch_that_is_off(
    content: str | None, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "switch"
    if content is not None:
        path.write_text(content)
    there = (str(tmp_path / "none"), "0", "no way out")
    monkeypatch.setattr(_netns, "_SWITCHES", (there, (str(path), "0", "switch it on")))
    assert why_not() == (f"{path} is 0; switch it on" if told else "")
