# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that was resumed is another one than those resumed from the same state."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bbot_worker import resume


def test_a_resumed_machine_has_an_id_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "machine-id"
    monkeypatch.setattr(resume, "MACHINE_ID", str(path))
    path.write_text("0123456789abcdef" * 2 + "\nand more\n")
    seen = set()
    for _dummy in range(2):
        resume.renew_machine_id()
        assert re.fullmatch("[0-9a-f]{32}\n", path.read_text())
        seen.add(path.read_text())
    assert len(seen) == 2


def test_a_machine_without_an_id_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "machine-id"
    monkeypatch.setattr(resume, "MACHINE_ID", str(path))
    resume.renew_machine_id()
    assert not path.exists()
