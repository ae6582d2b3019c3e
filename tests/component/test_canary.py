# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canary guest under a real QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import (
    choose,
    qemu_program,
    run_canary,
)
from helpers.build_host import run


@pytest.mark.parametrize(
    ("accelerator", "passes"), [("tcg", True), ("none-of-qemu's", False)], ids=["works", "does not"]
)
def test_the_canary_tells_what_works(tmp_path: Path, accelerator: str, passes: bool) -> None:
    host = Host(run=run, storage=Btrfs(), state=str(tmp_path))
    assert run_canary(host, qemu_program(), accelerator) is passes


def test_whatever_is_chosen_works_here(tmp_path: Path) -> None:
    host = Host(run=run, storage=Btrfs(), state=str(tmp_path))
    chosen = choose(host)
    assert chosen.reason
    assert run_canary(host, qemu_program(), chosen.name)
