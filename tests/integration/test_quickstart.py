# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each command of README and quickstart, done as it stands there, in a clone, one after another.

The host of the examples is a container with a real systemd, their AWX is ours.
"""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
from helpers import sources
from helpers.awx import FOREIGN
from helpers.awx_api import Awx
from helpers.fresh_hosts import fresh_host
from helpers.images import ROOT

pytestmark = pytest.mark.long

HOST, NUMBER = "q1", 96
TEXTS = ("README.md", "docs/quickstart.md")
# Of what is not in the texts: how the container is reached, and what it can install.
SSH = """\
Host build1.example.org
  HostName 198.18.{number}.2
  User root
  IdentityFile {key}
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
"""
GROUP = "machine_image_variant: tiny\n"


def blocks(text: str, language: str) -> list[str]:
    """The blocks of this language in a text of Markdown, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Reader:
    """Somebody who does what the texts say, with a ``home`` and a clone of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clone = home / "bbot.agent"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.clone)], check=True)
        for folder in (home, self.clone):
            sources.make_source(folder / "hello")
        # As somebody who runs AWX has it.
        collections = home / ".ansible" / "collections" / "ansible_collections"
        collections.mkdir(parents=True)
        (collections / "awx").symlink_to(FOREIGN / "ansible_collections" / "awx")
        self.environment = {**os.environ, "HOME": str(home), "NO_COLOR": "1"}
        for name in [name for name in self.environment if name.startswith("ANSIBLE_")]:
            del self.environment[name]

    def reach(self, key: str) -> None:
        """Have the host of the examples be the container."""
        config = self.home / "ssh_config"
        config.write_text(SSH.format(number=NUMBER, key=key))
        self.environment["ANSIBLE_SSH_ARGS"] = f"-F {config}"
        (self.clone / "group_vars").mkdir()
        (self.clone / "group_vars" / "build_hosts.yml").write_text(GROUP)

    def write(self, text: str) -> None:
        """Keep the example files of a text under the names that they have there."""
        for block in blocks(text, "yaml"):
            if found := re.match(r"# (\w+\.yml)\n", block):
                (self.clone / found[1]).write_text(block)

    def do(self, block: str) -> str:
        """The output of a block that goes well."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1800,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-8000:]}"
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> t.Iterator[Reader]:
    assert not Path("/build").exists(), "this machine is a build host already"
    made = Reader(tmp_path)
    try:
        with fresh_host(HOST, NUMBER) as host:
            made.reach(host.key)
            yield made
    finally:
        subprocess.run([str(made.clone / "scripts" / "demo.sh"), "clean"], check=False)
    assert not Path("/build").exists()


def test_each_command_does_what_its_text_says(reader: Reader) -> None:
    texts = {name: (ROOT / name).read_text() for name in TEXTS}
    reader.write(texts["docs/quickstart.md"])
    commands = [block for text in texts.values() for block in blocks(text, "sh")]
    assert len(commands) >= 10
    said: dict[str, str] = {}
    with Awx() as awx:
        for block in commands:
            if "CONTROLLER_HOST=" in block or "awx_configure" in block:
                # The one thing that is not as it stands there: where AWX is.
                block = re.sub(r"^export CONTROLLER_HOST=.*\n", "", block, flags=re.MULTILINE)
                reader.environment |= {"CONTROLLER_HOST": awx.url, "CONTROLLER_OAUTH_TOKEN": "x"}
            # As README says before its commands.
            reader.environment["PATH"] = f"{reader.clone}/.venv/bin:{os.environ['PATH']}"
            said[block] = reader.do(block)
        made = {each["name"] for each in awx.objects["job_templates"].values()}
    assert {"bbot provision", "bbot run task"} <= made

    def told(words: str) -> list[str]:
        found = [output for block, output in said.items() if words in block]
        assert found, words
        return found

    both = told("source=~/hello\n")
    assert len(both) == 2
    assert all("hello 0.0.1 on " in output for output in both)
    assert all("success" in output for output in [*both, *told("cd ~/hello")])
    assert all("build1.example.org" in output for output in told("playbooks/status.yml"))
