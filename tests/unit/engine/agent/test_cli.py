# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of people: all of its commands, and nothing of the agent's loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import cli

WHAT_IT_LOADS = """
import sys
sys.path.insert(0, sys.argv[1])
from bbot_agent.agent import cli
try:
    cli.main(sys.argv[2:], None)
except SystemExit:
    pass
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_people_do_not_wait_for_the_loop_to_be_read(command: str, tmp_path: Path) -> None:
    # As it is installed: whoever imports a collection has a loader of his own.
    (tmp_path / "bbot_agent").symlink_to(Path(cli.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IT_LOADS, str(tmp_path), command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"usage: bbot-agent {command}")
    loaded = done.stderr.splitlines()
    module = command if command in ("run", "web") else "commands"
    assert f"bbot_agent.agent.{module}" in loaded
    heavy = {"bbot_agent.agent.loop", "bbot_agent.agent.duties", "requests", "http.client"}
    assert not heavy & set(loaded)
