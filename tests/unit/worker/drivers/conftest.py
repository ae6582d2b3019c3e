# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers are tried with the tools of this host's distribution."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")


@pytest.fixture
def recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Callable[[], list[list[str]]]]:
    """Put stand-ins for tools in place, which note how they are called and succeed."""

    def put(*tools: str) -> Callable[[], list[list[str]]]:
        calls, folder = tmp_path / "calls", tmp_path / "stand-ins"
        folder.mkdir()
        for tool in tools:
            path = folder / tool
            path.write_text(
                f"#!{sys.executable}\nimport json, sys\n"
                f"with open({str(calls)!r}, 'a') as file:\n"
                f"    file.write(json.dumps([{tool!r}, *sys.argv[1:]]) + '\\n')\n"
            )
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return lambda: [json.loads(line) for line in calls.read_text().splitlines()]

    return put
