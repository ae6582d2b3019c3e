# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manual page is that of this very command, and man reads it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.cli import COMMANDS
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import make_parser
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.settings import options
from helpers.agents import ROOT


@pytest.fixture(scope="module")
def manual() -> ModuleType:
    """What writes the page."""
    spec = spec_from_file_location("bbot_manual", ROOT / "scripts" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_would_be_written_now(manual: ModuleType) -> None:
    """If it is not: `.venv/bin/python scripts/manual.py`."""
    blocks = manual.page()
    assert manual.MARKDOWN.read_text() == manual.markdown(blocks)
    assert manual.ROFF.read_text() == manual.roff(blocks)


def test_nothing_is_forgotten(manual: ModuleType) -> None:
    page = manual.MARKDOWN.read_text()
    for name, option in options().items():
        flag = f"--{name.replace('_', '-')}" if option.kind != "words" else option.metavar
        assert f"- **`{flag}" in page
    for command in COMMANDS:
        assert f"### `bbot-agent {command} [OPTION...]" in page
    # Who asks the agent itself for help hears of them, too.
    assert set(make_parser().format_usage().split()[-2].split("|")) == set(COMMANDS)


def test_man_and_mandoc_have_nothing_to_say_of_it(manual: ModuleType) -> None:
    lint = subprocess.run(
        ["mandoc", "-T", "lint", manual.ROFF], capture_output=True, text=True, check=False
    )
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
    shown = subprocess.run(
        ["man", "--warnings", "--local-file", manual.ROFF],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"},
    )
    assert shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert "NAME" in lines
    assert "       bbot-agent - performs build tasks in throw-away machines" in lines
    # Whoever copies an option gets a hyphen that is one.
    assert any(line.startswith("       --auth-key FILE") for line in lines)
    assert len(lines) > 300
