# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates that were damaged, replaced or touched, or that lie: no machine is resumed of those."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import process as _command
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import template
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Start
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.describe import (
    describe_machine,
    describe_start,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.template import (
    Clone,
    TemplateError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import HeldRequest
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState

MAC = "02:00:00:00:00:01"
TCG = Accelerator("tcg", "")
HELD = HeldRequest(("10.0.0.7", 1234), b"\0\1resumed\0octet\0")


class Store:
    """Folders as subvolumes; `obstacle` is raised by forks."""

    def __init__(self) -> None:
        self.uuid = "u-1"
        self.obstacle: Exception | None = None

    def info(self, path: str) -> object | None:
        return types.SimpleNamespace(uuid=self.uuid) if os.path.exists(path) else None

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        if found:
            shutil.rmtree(path)
        return found

    def fork(self, source: str, path: str, _uses: object, _reader: int | None = None) -> None:
        if self.obstacle is not None:
            raise self.obstacle
        shutil.copytree(source, path)


class Lease:
    def __init__(self) -> None:
        self.record: dict[str, t.Any] = {}

    def note(self, **facts: t.Any) -> None:
        self.record |= facts


class Site:
    """A machine with a template that fits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "qemu-system-x86_64").write_text("#!/bin/sh\n")
        (root / "qemu-system-x86_64").chmod(0o755)
        self.store = Store()
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", self.store),
            state=str(root / "state"),
            bridge="br1",
        )
        (root / "debian-t").mkdir()
        manifest = MachineManifest(id="1", name="debian", summary="s", type="kvm", mac=MAC)
        old = BootstrappedMachine(manifest, ToolchainManifest("t"), BootstrapResult())
        self.machine = Machine(
            "default",
            "debian",
            str(root),
            str(root / "debian-t"),
            "current",
            manifest=manifest,
            bootstrapped=old,
        )
        self.hardware = Hardware("debian-t", str(root / "debian-t-1-0"), MAC, ram=4096)
        self.lease = Lease()
        warm, ram = (Path(path) for path in template.places(self.machine))
        self.warm, self.ram = warm, ram / template.RAM
        self.facts = warm / "warm.json"

    def save(self, reason: str = "") -> None:
        self.warm.mkdir()
        self.ram.parent.mkdir()
        self.ram.write_bytes(b"\0" * 4096)
        state = self.warm / template.STATE
        state.write_bytes(b"state")
        key = template.fit(self.host, self.machine, self.hardware, TCG)
        if reason:
            template.refuse(str(self.warm), key, 2.0, reason)
            return
        saved = SavedState(str(state), "k", "q", ram_apart=True)
        template.describe(str(self.warm), key, 2.0, state=saved, ram=str(self.ram), held=HELD)

    def clone(self, hardware: Hardware | None = None) -> Clone:
        return template.clone(
            self.host, self.machine, hardware or self.hardware, TCG, t.cast("t.Any", self.lease)
        )

    def refuses(self, words: str = "") -> None:
        """No clone is made, and nothing stays open."""
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(TemplateError, match=words):
            self.clone()
        assert len(os.listdir("/proc/self/fd")) == before

    def change(self, **facts: t.Any) -> None:
        self.facts.write_text(json.dumps({**json.loads(self.facts.read_text()), **facts}))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(_command, "SEARCH_PATH", str(tmp_path))
    return Site(tmp_path)


def test_a_clone_has_all_it_takes_to_be_resumed(site: Site) -> None:
    site.save()
    clone = site.clone()
    try:
        assert os.pread(clone.ram, 8192, 0) == b"\0" * 4096
        assert not os.get_inheritable(clone.ram)
    finally:
        os.close(clone.ram)
    assert clone.held == HELD
    # Its own copy of the state, which nobody can replace any more.
    path = os.path.join(site.hardware.directory, template.STATE)
    assert clone.state == SavedState(path, "k", "q", ram_apart=True)
    assert Path(path).read_bytes() == b"state"
    assert site.lease.record == {"snapshot": site.hardware.directory}
    assert not template.wanted(site.host, site.machine, site.hardware, TCG)


def test_there_is_none(site: Site) -> None:
    site.refuses("nothing has been saved for it")
    assert site.lease.record == {}
    assert template.wanted(site.host, site.machine, site.hardware, TCG)
    assert template.look(site.machine) is None
    template.remove(site.host, site.machine)


def test_a_machine_that_has_to_boot_says_why(site: Site) -> None:
    site.save("its worker asks for 'x' first")
    site.refuses("its worker asks for 'x' first")
    # And is not tried again.
    assert not template.wanted(site.host, site.machine, site.hardware, TCG)
    found = template.look(site.machine)
    assert found is not None
    assert found.reason == "its worker asks for 'x' first"


@pytest.mark.parametrize("error", [StorageError("no space left"), StorageError("gone")])
def test_a_snapshot_that_fails_is_a_reason_to_boot(site: Site, error: Exception) -> None:
    site.save()
    site.store.obstacle = error
    site.refuses(str(error))
    # It may be there in part.
    assert site.lease.record == {"snapshot": site.hardware.directory}


def other_qemu(site: Site) -> None:
    (site.root / "qemu-system-x86_64").write_text("#!/bin/sh\n# another\n")


def other_bootstrap(site: Site) -> None:
    site.store.uuid = "u-2"


def other_hardware(site: Site) -> None:
    site.hardware = dataclasses.replace(site.hardware, cpu=2)


def other_machine(site: Site) -> None:
    old = site.machine.bootstrapped
    assert old is not None
    manifest = dataclasses.replace(old.machine, id="2")
    site.machine = dataclasses.replace(
        site.machine, bootstrapped=dataclasses.replace(old, machine=manifest)
    )


def other_toolchain(site: Site) -> None:
    old = site.machine.bootstrapped
    assert old is not None
    site.machine = dataclasses.replace(
        site.machine, bootstrapped=dataclasses.replace(old, toolchain=ToolchainManifest("t-2"))
    )


def other_network(site: Site) -> None:
    object.__setattr__(site.host, "bridge", None)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (other_qemu, "QEMU"),
        (other_bootstrap, "bootstrap"),
        (other_hardware, "hardware"),
        (other_machine, "machine"),
        (other_toolchain, "toolchain"),
        (other_network, "network"),
    ],
)
def test_one_that_was_saved_with_something_else(
    site: Site, change: t.Callable[[Site], None], part: str
) -> None:
    site.save()
    change(site)
    site.refuses(f"it was saved with another {part}")
    assert template.wanted(site.host, site.machine, site.hardware, TCG)


def touched(path: Path) -> None:
    stat = path.stat()
    with path.open("r+b") as file:
        file.write(b"x")
    # Who wants to hide it.
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replaced(path: Path) -> None:
    content = path.read_bytes()
    path.rename(path.with_name("old"))
    path.write_bytes(content)


def shortened(path: Path) -> None:
    os.truncate(path, 100)


@pytest.mark.parametrize("change", [touched, replaced, shortened])
def test_ram_that_is_not_what_was_saved(site: Site, change: t.Callable[[Path], None]) -> None:
    site.save()
    change(site.ram)
    site.refuses("its RAM was touched after it was saved")


def test_ram_that_is_gone(site: Site) -> None:
    site.save()
    site.ram.unlink()
    site.refuses("ram cannot be read")
    found = template.look(site.machine)
    assert found is not None


@pytest.mark.parametrize("content", [b"", b"stat", b"State", b"state\n"])
def test_a_state_that_is_damaged(site: Site, content: bytes) -> None:
    site.save()
    (site.warm / template.STATE).write_bytes(content)
    site.refuses("its state is damaged")


def test_a_state_that_is_gone(site: Site) -> None:
    site.save()
    (site.warm / template.STATE).unlink()
    site.refuses("warm.state cannot be read")


def test_an_address_that_another_machine_has(site: Site) -> None:
    site.save()
    other = site.host.leases.take(what="task", address="10.0.0.7", bridge="br2")
    os.close(site.clone().ram)
    shutil.rmtree(site.hardware.directory)
    other.note(bridge="br1")
    site.refuses("a running machine has its address 10.0.0.7")
    other.end()


def test_an_address_in_a_segment_is_its_own(site: Site) -> None:
    object.__setattr__(site.host, "bridge", None)
    site.save()
    other = site.host.leases.take(what="task", address="10.0.0.7")
    os.close(site.clone().ram)
    other.end()


ODD = [None, True, 7, -1.5, math.inf, math.nan, 10**400, "x", "", [], [1], {}, {"x": 1}, [[]]]
FACTS = ["fit", "made", "seconds", "reason", "state", "digest", "ram", "peer", "request"]


@pytest.mark.parametrize("value", ODD, ids=lambda value: f"{value!r:.20}")
@pytest.mark.parametrize("name", FACTS)
def test_a_description_that_lies_is_a_reason_to_boot_at_most(
    site: Site, name: str, value: t.Any
) -> None:
    site.save()
    site.change(**{name: value})
    try:
        clone = site.clone()
    except TemplateError as error:
        assert str(error)
    else:
        os.close(clone.ram)
        assert name in ("made", "seconds", "reason", "peer", "request", "state")
    # Nor does it keep anybody from seeing the machine, as plain data that others can read.
    template.wanted(site.host, site.machine, site.hardware, TCG)
    json.dumps(describe_machine(site.machine), allow_nan=False)


@pytest.mark.parametrize("name", FACTS)
def test_a_description_that_lacks_something(site: Site, name: str) -> None:
    site.save()
    facts = json.loads(site.facts.read_text())
    del facts[name]
    site.facts.write_text(json.dumps(facts))
    if name not in ("made", "seconds"):
        site.refuses("its description cannot be understood")
    json.dumps(describe_machine(site.machine))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b"null", b"\xff", b"[" * 100_000, b'{"fit": ' + b"9" * 9000]
)
def test_a_description_that_is_none(site: Site, content: bytes) -> None:
    site.save()
    site.facts.write_bytes(content)
    site.refuses("its description is damaged")
    assert template.look(site.machine) is None
    assert template.wanted(site.host, site.machine, site.hardware, TCG)


def test_a_description_that_cannot_be_read(site: Site) -> None:
    site.save()
    site.facts.unlink()
    site.facts.mkdir()
    with pytest.raises(TemplateError, match=r"warm\.json cannot be read \(Is a directory\)"):
        template._read(str(site.warm))


def test_what_is_told_of_one(site: Site) -> None:
    site.save()
    warm = describe_machine(site.machine)["warm"]
    assert (warm["path"], warm["seconds"], warm["reason"]) == (str(site.warm), 2.0, "")
    assert warm["bytes"] > 0
    assert warm["made"].endswith("Z")
    template.remove(site.host, site.machine)
    assert describe_machine(site.machine)["warm"] is None
    assert not site.ram.parent.exists()


def test_what_is_told_of_a_start() -> None:
    assert describe_start(None) is None
    assert describe_start(Start(True, 0.5, "")) == {"how": "warm", "seconds": 0.5, "reason": ""}
    assert describe_start(Start(False, 9.0, "x")) == {"how": "cold", "seconds": 9.0, "reason": "x"}
