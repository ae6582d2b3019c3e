# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a template: a guest that cannot be resumed, and every way in which that may fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import Interrupted
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.phases import Phases
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import process as _command
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import template, warm
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.locking import task_lock
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.template import (
    TemplateError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
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
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState

RAM = 1 << 20
HELD = HeldRequest(("10.0.0.7", 1234), b"\0\1resumed\0octet\0")


class Store:
    """Folders as subvolumes; `broken` is the operation that raises `error`."""

    def __init__(self) -> None:
        self.broken = ""
        self.error: BaseException = StorageError("no space left")
        self.done: list[str] = []

    def _do(self, what: str, path: str) -> None:
        self.done.append(f"{what} {os.path.basename(path)}")
        if self.broken == what:
            raise self.error

    def info(self, path: str) -> object | None:
        return types.SimpleNamespace(uuid="u") if os.path.exists(path) else None

    def create(self, path: str) -> None:
        self._do("create", path)
        os.mkdir(path)

    def delete(self, path: str) -> None:
        shutil.rmtree(path)

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        if found:
            shutil.rmtree(path)
        return found

    def fork(self, source: str, path: str, _uses: object, _reader: int | None = None) -> None:
        self._do("fork", path)
        shutil.copytree(source, path)

    def rename(self, old: str, new: str) -> None:
        self._do("rename", new)
        os.rename(old, new)

    def set_read_only(self, path: str, read_only: bool) -> None:
        self._do("read-only", path)


class Guest:
    """A guest that uses some of its RAM and asks for its first file; `error` is what it ends in."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.error_of_save: BaseException | None = None
        self.hardware: t.Any = None

    @contextlib.contextmanager
    def hold(
        self, _host: t.Any, lease: t.Any, _how: t.Any, hardware: t.Any, ram: int, *_rest: t.Any,
        **_more: t.Any,
    ) -> t.Iterator[t.Any]:  # fmt: skip
        self.hardware = hardware
        # What is to be removed is named before it is made.
        assert lease.record["snapshots"] == [hardware.directory, f"{hardware.directory}.ram"]
        os.pwrite(ram, b"used", 5 * 65536 + 100)
        if self.error is not None:
            raise self.error
        yield self, HELD

    def save(self, path: str) -> SavedState:
        if self.error_of_save is not None:
            raise self.error_of_save
        Path(path).write_bytes(b"state")
        return SavedState(path, "k", "q", ram_apart=True)


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "qemu-system-x86_64").write_text("#!/bin/sh\n")
        (root / "qemu-system-x86_64").chmod(0o755)
        self.store = Store()
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", self.store),
            machines=str(root / "machines"),
            state=str(root / "state"),
            runtime=str(root / "run"),
            bridge="br1",
        )
        self.place = root / "machines" / "default" / "m1"
        (self.place / "m1-t").mkdir(parents=True)
        (self.place / "m1-t" / "disk.img").write_text("disk")
        manifest = MachineManifest(
            id="1", name="m1", summary="s", type="kvm", mac="02:00:00:00:00:01"
        )
        old = BootstrappedMachine(manifest, ToolchainManifest("t"), BootstrapResult())
        self.machine = Machine(
            "default",
            "m1",
            str(self.place),
            str(self.place / "m1-t"),
            "current",
            manifest=manifest,
            bootstrapped=old,
        )
        self.toolchain = Toolchain("t", "t", BootstrapResult(), "/t")
        self.running = Running(Accelerator("tcg", ""), ram=RAM >> 10, warm=("m*",))

    def make(self) -> str:
        before = len(os.listdir("/proc/self/fd"))
        try:
            return warm.make(
                self.host,
                self.machine,
                self.toolchain,
                self.running,
                Waits(1, 1),
                str(self.root / "logs"),
                Phases(lambda _line: None),
            )
        finally:
            assert len(os.listdir("/proc/self/fd")) == before
            assert self.host.leases.records() == {}

    def names(self) -> list[str]:
        return sorted(path.name for path in self.place.iterdir())

    def wanted(self) -> bool:
        return warm.wanted(self.host, self.machine, self.toolchain, self.running)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(_command, "SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr(warm, "flush", lambda _path: None)
    return Site(tmp_path)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    made = Guest()
    monkeypatch.setattr(warm, "hold_first_request", made.hold)
    return made


def test_a_template_is_there_when_all_of_it_is(site: Site, guest: Guest) -> None:
    assert site.wanted()
    assert site.make() == ""
    assert site.names() == [".m1-t.ram", ".m1-t.warm", "m1-t"]
    assert not site.wanted()
    ram = site.place / ".m1-t.ram" / template.RAM
    content = ram.read_bytes()
    assert len(content) == RAM
    assert content.strip(b"\0") == b"used"
    # A guest that has written nothing there takes no disk.
    assert ram.stat().st_blocks * 512 < len(content)
    assert ram.stat().st_mode & 0o777 == 0o660
    assert ram.parent.stat().st_mode & 0o777 == 0o700
    facts = json.loads((site.place / ".m1-t.warm" / "warm.json").read_text())
    assert (facts["reason"], facts["peer"]) == ("", ["10.0.0.7", 1234])
    # The RAM first: it means nothing without the rest, which does not do without it.
    assert site.store.done[-3:] == [
        "rename .m1-t.ram",
        f"read-only {os.path.basename(guest.hardware.directory)}",
        "rename .m1-t.warm",
    ]


def test_a_new_one_takes_the_place_of_an_old_one(site: Site, guest: Guest) -> None:
    site.make()
    (site.place / ".m1-t.warm" / "old").write_text("x")
    assert site.make() == ""
    assert not (site.place / ".m1-t.warm" / "old").exists()


def test_a_guest_that_would_not_notice_is_not_tried_again(site: Site, guest: Guest) -> None:
    guest.error = TemplateError("its worker asks for 'x' first")
    assert site.make() == "its worker asks for 'x' first"
    assert site.names() == [".m1-t.warm", "m1-t"]
    assert not site.wanted()
    found = template.look(site.machine)
    assert found is not None
    assert found.reason == "its worker asks for 'x' first"
    # Nothing else of it is kept.
    assert [path.name for path in (site.place / ".m1-t.warm").iterdir()] == ["warm.json"]


ERRORS = [
    VmError("it sent no request within 9 s"),
    OSError(28, "No space left on device"),
    Interrupted(),
    MemoryError(),
    RuntimeError("defect"),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("when", ["boot", "save", "create", "fork", "rename", "read-only"])
def test_whatever_goes_wrong_leaves_the_machine_as_it_is(
    site: Site, guest: Guest, when: str, error: BaseException
) -> None:
    if when == "boot":
        guest.error = error
    elif when == "save":
        guest.error_of_save = error
    else:
        site.store.broken, site.store.error = when, error
    with pytest.raises(type(error)):
        site.make()
    # The RAM may have its name already, which is none of a template without the rest.
    assert set(site.names()) <= {"m1-t", ".m1-t.ram"}
    assert (site.place / "m1-t" / "disk.img").read_text() == "disk"
    assert template.look(site.machine) is None
    # And it can be made as soon as that is over.
    guest.error = guest.error_of_save = None
    site.store.broken = ""
    assert site.wanted()
    assert site.make() == ""


def test_the_disk_is_not_filled(site: Site, guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    full = types.SimpleNamespace(f_bavail=1, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(HostError, match="machine m1 cannot be saved: its RAM is 1 MB, and 0 MB"):
        site.make()
    assert guest.hardware is None
    assert site.names() == ["m1-t"]


def test_a_machine_that_somebody_uses_is_not_saved(site: Site, guest: Guest) -> None:
    with (
        task_lock(site.host, site.machine, "perform a task", site.running),
        pytest.raises(LockError, match="save it for warm starts"),
    ):
        site.make()
    assert guest.hardware is None


@pytest.mark.parametrize(
    ("state", "patterns", "wanted"),
    [
        ("current", ("m*",), True),
        ("current", ("x", "m1"), True),
        ("current", ("M1",), False),
        ("current", (), False),
        ("obsolete", ("m*",), False),
        ("newer", ("*",), False),
    ],
)
def test_which_machines_are_saved(
    site: Site, state: str, patterns: tuple[str, ...], wanted: bool
) -> None:
    site.machine = dataclasses.replace(site.machine, state=t.cast("t.Any", state))
    site.running = dataclasses.replace(site.running, warm=patterns)
    assert site.wanted() is wanted
