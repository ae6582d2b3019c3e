# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Soft rebuilds: controller, agent and worker, each the real one but for the machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from helpers.agents import RunningAgent
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.toolchains import TOOLCHAIN, install_toolchain
from helpers.waiting import until

SCRIPT = "#!/bin/sh\necho doing $1\n"


class Rounds:
    """A package on a controller, and a toolchain with our worker that builds it by hand."""

    def __init__(self, host: BuildHost, root: Path, version: str) -> None:
        install_toolchain(host.tftp)
        self._host = host
        self._root = root
        self.source = root / "source"
        self.source.mkdir()
        self.change_dependency(SCRIPT)
        self.toolchain = root / "toolchain"
        shutil.copytree(TOOLCHAIN / "worker", self.toolchain / "worker")
        self.change_worker("0000  bbot-worker\n")
        self._header = root / "machine.manifest"
        self._header.write_text(": 1\nid: hand-1\nname: hand\nsummary: By hand\n")
        self.controller = Controller(version=version)

    def change_worker(self, sums: str) -> None:
        (self.toolchain / "sha256sums").write_text(sums)

    def change_dependency(self, script: str) -> None:
        (self.source / "bbot-build").write_text(script)
        (self.source / "bbot-build").chmod(0o755)

    def build(self) -> Result:
        """One round; what the controller has accepted."""
        controller = self.controller
        url = str(self.source)
        done = len(controller.arrivals)
        controller.tasks += [make_task(machine="hand", **{"repository-url": url})]
        with RunningAgent(self._host, controller, fake_machine=self._header) as agent:
            port = agent.says("is in .* and at").rpartition(":")[2]
            command = [sys.executable, str(self.toolchain / "worker" / "__main__.py"), "--startup"]
            command += ["--build", str(self._root / f"work{done}")]
            command += ["--tftp-host", f"127.0.0.1:{port}"]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as worker:
                try:
                    until(lambda: len(controller.arrivals) > done, "the result has arrived", 120)
                finally:
                    worker.kill()
        assert controller.refused == []
        return controller.arrivals[-1].result


def test_what_is_unchanged_is_not_built_again(host: BuildHost, tmp_path: Path) -> None:
    rounds = Rounds(host, tmp_path, "today")
    statuses = []
    with rounds.controller:
        for change in ("", "", "", "worker", "", "dependency", ""):
            if change == "worker":
                rounds.change_worker("1111  bbot-worker\n")
            if change == "dependency":
                rounds.change_dependency(SCRIPT + "echo more\n")
            result = rounds.build()
            assert bool(result.operations) is (str(result.status) != "skip")
            statuses.append((change, str(result.status)))
    assert statuses == [
        ("", "success"),
        ("", "skip"),
        ("", "skip"),
        ("worker", "success"),
        ("", "skip"),
        ("dependency", "success"),
        ("", "skip"),
    ]


def test_an_old_controller_is_told_of_no_checksums(host: BuildHost, tmp_path: Path) -> None:
    rounds = Rounds(host, tmp_path, "0.13")
    with rounds.controller:
        for _round in range(2):
            assert str(rounds.build().status) == "success"
    assert all("checksum" not in each.text for each in rounds.controller.arrivals)
