# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things are: root's places, and those of users."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.scope import (
    SYSTEM,
    Scope,
    scope_of,
)

NAMES = ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


def test_root_has_the_systems_whatever_the_environment() -> None:
    assert scope_of(0, dict.fromkeys(NAMES, "/elsewhere"), "/root") == SYSTEM


def test_a_user_has_folders_of_its_own(tmp_path: Path) -> None:
    found = scope_of(1234567, {}, "/home/jo")
    assert found == Scope(
        machines="/home/jo/.local/share/bbot/machines",
        tftp="/home/jo/.local/share/bbot/tftp",
        state="/home/jo/.local/state/bbot-agent",
        runtime="/home/jo/.local/state/bbot-agent/run",
        logs="/home/jo/.local/state/bbot-agent/log",
        user="",
    )


def test_the_environment_names_others(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    environment = dict(zip(NAMES, ("/d", "/s", str(tmp_path / "run")), strict=True))
    found = scope_of(1234567, environment, "/home/jo")
    assert found.machines == "/d/bbot/machines"
    assert found.logs == "/s/bbot-agent/log"
    assert found.runtime == str(tmp_path / "run" / "bbot-agent")


@pytest.mark.parametrize("value", ["", "data", "./data"])
def test_folders_that_are_not_absolute_are_none(value: str) -> None:
    found = scope_of(1234567, dict.fromkeys(NAMES, value), "/home/jo")
    assert found == scope_of(1234567, {}, "/home/jo")
