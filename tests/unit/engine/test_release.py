# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version stands in several places, and is the same everywhere."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.release import VERSION

ROOT = Path(__file__).parents[3]


def test_versions_agree() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "galaxy.yml").read_text()
    worker = (ROOT / "roles/toolchain/worker/bbot_worker/__init__.py").read_text()
    assert f'\nVERSION = "{VERSION}"\n' in worker
