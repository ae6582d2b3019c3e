# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles run by ansible-playbook on this host, and images for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]

# How often something changed; in check mode: would have changed.
Play = Callable[..., int]


def player(home: Path) -> Play:
    """What runs a role with some variables, with its playbook in ``home``."""

    def play(role: str, *arguments: str, fails: str = "", **variables: object) -> int:
        playbook = home / "play.yml"
        entry = {"hosts": "localhost", "gather_facts": False, "roles": [f"bbot.agent.{role}"]}
        playbook.write_text(yaml.safe_dump([entry]))
        extra = {**variables, "ansible_python_interpreter": sys.executable}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)]
        done = subprocess.run(
            [*command, "-e", json.dumps(extra), *arguments],
            cwd=ROOT,
            env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        # Ansible wraps what it prints.
        text = re.sub(r"\s+", " ", done.stdout)
        match = re.search(r"changed=(\d+)", text)
        if (done.returncode != 0) != bool(fails) or fails not in text or not match:
            raise AssertionError(done.stdout + done.stderr)
        return int(match[1])

    return play


def make_image(directory: Path, identity: str) -> None:
    """A directory that passes for an image of the machine tiny."""
    directory.mkdir(exist_ok=True)
    text = f": 1\nid: {identity}\nname: tiny\nsummary: A test\ntype: kvm\n"
    (directory / "manifest").write_text(text)
    with (directory / "disk.img").open("wb") as disk:
        disk.truncate(8 << 20)
