# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rehearsal does what a task does, fails as it does, and leaves nothing, whatever happens."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.process import CommandError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    rehearsal as _rehearsal,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.rehearsal import rehearse
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError

TOOLCHAIN = Toolchain("t", "t-1", BootstrapResult(), "/nowhere")
RUNNING = Running(Accelerator("tcg", "for tests"))
MAC = "02:00:00:00:00:01"


class Store:
    """Storage of folders."""

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        shutil.rmtree(path, ignore_errors=True)
        return found


class Site:
    """A host of which `broken` is what fails, and how."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broken: dict[str, Exception] = {}
        self.steps: list[str] = []
        self.forked = ""
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", Store()),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
        )
        (root / "machines" / "default" / "m1").mkdir(parents=True)

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self.broken:
            raise self.broken[name]

    def fork(self, _host: Host, source: str, hardware: t.Any) -> None:
        self.forked = os.path.basename(source)
        os.mkdir(hardware.directory)
        self.step("fork")

    def attach(self, _host: Host, _lease: t.Any, mac: str, port: int) -> t.Any:
        assert (len(mac), port) == (17, 0)
        self.step("attach")
        return Network(self)

    def vm(self, _host: Host, _lease: t.Any, hardware: t.Any, how: t.Any, logs: str) -> t.Any:
        assert os.path.isdir(hardware.directory)
        assert os.path.isdir(logs)
        return Guest(self)

    def machine(self, *, bootstrapped: bool = True, mac: str | None = MAC) -> Machine:
        manifest = MachineManifest(id="m1-1", name="m1", summary="x", type="kvm", mac=mac)
        place = str(self.root / "machines" / "default" / "m1")
        old = BootstrappedMachine(manifest, ToolchainManifest("t-1"), BootstrapResult())
        return Machine(
            "default",
            "m1",
            place,
            f"{place}/m1-t",
            "current" if bootstrapped else "missing",
            revision=f"{place}/m1-1.1",
            manifest=manifest,
            bootstrapped=old if bootstrapped else None,
        )

    def rehearse(self, machine: Machine | None = None) -> None:
        logs = str(self.root / "log")
        rehearse(self.host, machine or self.machine(), TOOLCHAIN, RUNNING, logs)

    def files(self) -> list[str]:
        return [str(path) for path in self.root.rglob("*") if path.is_file()]

    def assert_clean(self) -> None:
        assert self.files() == []
        assert self.host.leases.records() == {}
        assert os.listdir(self.root / "machines" / "default" / "m1") == []
        assert not any((self.root / "tftp").rglob("t-*"))


class Network:
    def __init__(self, site: Site) -> None:
        self.site = site

    def serve(self, **_roots: str) -> Network:
        self.site.step("serve")
        return self

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.site.steps.append("end serving")

    def close(self) -> None:
        self.site.steps.append("detach")


class Guest:
    def __init__(self, site: Site) -> None:
        self.site = site

    def start(self, _network: Network) -> None:
        self.site.step("start")

    def close(self) -> None:
        self.site.steps.append("end")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(_rehearsal, "fork", made.fork)
    monkeypatch.setattr(_rehearsal, "attach", made.attach)
    monkeypatch.setattr(_rehearsal, "make_vm", made.vm)
    return made


def test_all_that_a_task_needs_is_tried_and_taken_back(site: Site) -> None:
    site.rehearse()
    assert site.steps == [
        *("fork", "attach", "serve", "start", "end", "end serving", "detach"),
    ]
    assert site.forked == "m1-t"
    site.assert_clean()


@pytest.mark.parametrize("mac", [None, MAC])
def test_one_that_is_not_bootstrapped_yet_will_do(site: Site, mac: str | None) -> None:
    site.rehearse(site.machine(bootstrapped=False, mac=mac))
    assert site.forked == "m1-1.1"
    site.assert_clean()


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("fork", StorageError("cannot make snapshot: No space left on device")),
        ("attach", NetworkError("no bridge br1 on this host")),
        ("serve", NetworkError("no program nft")),
        ("start", CommandError("no program qemu-system-x86_64")),
        ("start", VmError("machine m1-t did not start: failed to initialize kvm")),
        ("start", OSError(28, "No space left on device")),
    ],
)
def test_what_fails_is_what_is_told_and_nothing_is_left(
    site: Site, step: str, error: Exception
) -> None:
    site.broken[step] = error
    with pytest.raises(type(error)) as caught:
        site.rehearse()
    assert caught.value is error
    assert site.steps.count("attach") == site.steps.count("detach") + (step == "attach")
    site.assert_clean()


@pytest.mark.parametrize("place", ["tftp", "machines", "log"])
def test_a_disk_that_is_full_for_what_a_task_writes(
    site: Site, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def write(number: int) -> None:
        path = os.readlink(f"/proc/self/fd/{number}")
        if path.startswith(str(site.root / place)):
            raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(_rehearsal.os, "fsync", write)
    with pytest.raises(OSError, match="No space left"):
        site.rehearse()
    assert "attach" not in site.steps
    site.assert_clean()


def test_a_machine_of_which_there_is_nothing(site: Site) -> None:
    machine = Machine("default", "m1", "/x/m1", "/x/m1/m1-t", "unlinked")
    with pytest.raises(HostError) as caught:
        site.rehearse(machine)
    assert isinstance(caught.value, EngineError)
    assert caught.value.culprit == "machine"
