# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates of machines that somebody deletes while they are looked at."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import process as _command
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import template, warm
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware


class Store:
    def info(self, _path: str) -> None:
        """Nothing is there any more."""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    program = tmp_path / "qemu-system-x86_64"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(_command, "SEARCH_PATH", str(tmp_path))
    return Host(
        run=t.cast("t.Any", None), storage=t.cast("t.Any", Store()), state=str(tmp_path / "state")
    )


def machine(folder: Path, *, mac: str | None, bootstrapped: bool = True) -> Machine:
    manifest = MachineManifest(id="1", name="debian", summary="s", type="kvm", mac=mac)
    old = BootstrappedMachine(manifest, ToolchainManifest("t"), BootstrapResult())
    return Machine(
        "default",
        "debian",
        str(folder),
        str(folder / "debian-t"),
        "current",
        manifest=manifest,
        bootstrapped=old if bootstrapped else None,
    )


def test_one_that_was_deleted_meanwhile(host: Host, tmp_path: Path) -> None:
    (tmp_path / ".debian-t.warm").mkdir()
    (tmp_path / ".debian-t.warm" / "warm.json").write_text(json.dumps({"fit": {}}))
    there = machine(tmp_path, mac="02:00:00:00:00:01")
    hardware = Hardware("x", str(tmp_path), "02:00:00:00:00:01")
    with pytest.raises(EngineError, match="machine debian is gone") as caught:
        template.wanted(host, there, hardware, Accelerator("tcg", ""))
    assert caught.value.culprit == "machine"


@pytest.mark.parametrize("bootstrapped", [True, False])
def test_one_that_cannot_be_run(host: Host, tmp_path: Path, bootstrapped: bool) -> None:
    there = machine(tmp_path, mac=None, bootstrapped=bootstrapped)
    running = Running(Accelerator("tcg", ""), warm=("*",))
    toolchain = Toolchain("t", "t", BootstrapResult(), "/t")
    with pytest.raises(EngineError, match="debian is not bootstrapped, or has no MAC address"):
        warm.wanted(host, there, toolchain, running)
