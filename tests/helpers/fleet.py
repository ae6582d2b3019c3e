# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet of build hosts in folders of this one, whose machines are never booted."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import ensure
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import look
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    load_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage

from .agents import COMMAND, engine
from .build_host import RAM, TCG, USER, run
from .toolchains import install_toolchain

# The machine that each of them has.
MACHINE = "tiny"
_FOLDERS = {
    "machines": "machines",
    "tftp": "tftp",
    "state_dir": "state",
    "runtime_dir": "run",
    "log_dir": "log",
}
# Runs a program once there is a file, which a test makes; it ends in vain when the test is over.
_GATED = """\
#!/bin/sh
n=0
until [ -e {gate} ]; do
  [ -e "$0" ] && [ $n -lt 6000 ] || exit 1
  n=$((n + 1))
  sleep 0.1
done
exec {program} "$@"
"""


class Fleet:
    """So many build hosts in the folder ``root``, reached without a connection."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        self.names = [f"host{number:03}" for number in range(count)]
        first = root / self.names[0]
        _make_host(first)
        for name in self.names[1:]:
            shutil.copytree(first, root / name, symlinks=True)
        for name in self.names:
            options = [f"--{o.replace('_', '-')} {path}" for o, path in self._folders(name).items()]
            (root / name / "places").write_text("\n".join([*options, ""]))
        # While this file is missing, hosts with gated programs are slow.
        self.gate = root / "gate"
        self.command = root / "bbot-agent"
        words = shlex.join([sys.executable, str(COMMAND)])
        folder = engine(root)["BBOT_AGENT_ENGINE"]
        self.command.write_text(f'#!/bin/sh\nBBOT_AGENT_ENGINE={folder} exec {words} "$@"\n')
        self.command.chmod(0o755)

    def told(self, **more: t.Any) -> list[str]:
        """What every play on them is told, and ``more`` variables, as words of a command line."""
        paths = {
            # What goes before the inventory, but is not the same for all of them.
            "ansible_python_interpreter": "{{ python | default(ansible_playbook_python) }}",
            "bbot_command": "{{ command }}",
            "bbot_options_file": "{{ places }}",
        }
        return ["-e", json.dumps({"bbot_hosts": "build_hosts", **paths, **more})]

    def gated(self, program: str) -> str:
        """A program that is ``program`` as soon as the gate is open."""
        path = self.root / f"gated-{Path(program).name}"
        path.write_text(_GATED.format(gate=self.gate, program=shlex.quote(program)))
        path.chmod(0o755)
        return str(path)

    def inventory(self, **more: t.Mapping[str, t.Any]) -> str:
        """The path of an inventory of them, of which some have ``more`` variables."""
        hosts = {name: self._variables(name) | dict(more.get(name, {})) for name in self.names}
        others = more.keys() - hosts.keys()
        hosts |= {name: self._variables(name) | dict(more[name]) for name in others}
        path = self.root / "inventory.json"
        path.write_text(json.dumps({"build_hosts": {"hosts": hosts}}))
        return str(path)

    def _folders(self, name: str) -> dict[str, str]:
        return {option: str(self.root / name / each) for option, each in _FOLDERS.items()}

    def _variables(self, name: str) -> dict[str, t.Any]:
        return {
            "ansible_connection": "local",
            "command": str(self.command),
            "places": str(self.root / name / "places"),
            "bbot_machine_options": {
                **self._folders(name),
                "user": USER,
                "accelerator": "tcg",
                "ram": RAM,
                "storage": "directory",
                "fake": True,
            },
        }


def _make_host(root: Path) -> None:
    """A build host with a machine that counts as bootstrapped."""
    folder = root / "machines" / "default" / MACHINE
    for each in _FOLDERS.values():
        (root / each).mkdir(parents=True)
    folder.mkdir(parents=True)
    host = Host(
        run=run,
        storage=make_storage("directory"),
        machines=str(root / "machines"),
        tftp=str(root / "tftp"),
        state=str(root / "state"),
        runtime=str(root / "run"),
        user=USER,
    )
    revision = folder / f"{MACHINE}-1.0"
    host.storage.create(str(revision))
    text = f": 1\nid: {MACHINE}-1\nname: {MACHINE}\nsummary: A test\ntype: kvm\n"
    (revision / "manifest").write_text(text)
    host.storage.set_read_only(str(revision), True)
    (folder / f"{MACHINE}-1").symlink_to(revision.name)
    install_toolchain(root / "tftp")
    toolchain = load_toolchain(host, "default")
    ensure(
        host,
        look(host, "default", MACHINE, toolchain),
        toolchain,
        Running(TCG, ram=RAM),
        Waits(startup=1, total=1, retries=0, shutdown=0),
        str(root / "log" / "bootstrap"),
        fake=True,
    )
