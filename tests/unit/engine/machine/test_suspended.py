# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Suspended machines: whose they are, and that a record is never there without its snapshot."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState


class Store:
    """Folders as subvolumes; `meanwhile` is called before each renaming."""

    def __init__(self) -> None:
        self.meanwhile: t.Callable[[], object] = lambda: None

    def info(self, path: str) -> object | None:
        return object() if os.path.exists(path) else None

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        if found:
            os.rmdir(path)
        return found

    def rename(self, old: str, new: str) -> None:
        self.meanwhile()
        os.rename(old, new)


class Lease:
    def __init__(self, number: int) -> None:
        self.id = f"{number}-0"
        self.record: dict[str, t.Any] = {"machine": "debian"}

    def note(self, **facts: t.Any) -> None:
        self.record |= facts


class Machine:
    """A machine that can be saved."""

    def __init__(self, directory: Path, ram: int = 1024) -> None:
        self.hardware = Hardware("debian-x", str(directory), "02:00:00:00:00:01", ram=ram)
        self.accelerator = Accelerator("tcg", "")

    def save(self, path: str) -> SavedState:
        Path(path).write_text("memory")
        return SavedState(path, "k", "q")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def host(tmp_path: Path, lines: list[str]) -> Host:
    return Host(
        run=t.cast("t.Any", None),
        storage=t.cast("t.Any", Store()),
        machines=str(tmp_path / "machines"),
        state=str(tmp_path / "state"),
        report=lines.append,
    )


def park(host: Host, toolchain: str, number: int, most: int = 3, ram: int = 1024) -> Lease:
    folder = Path(host.machines, "default", "debian", f"debian-{toolchain}-{number}-0")
    folder.mkdir(parents=True)
    lease = Lease(number)
    vm = t.cast("t.Any", Machine(folder, ram))
    suspensions = Suspensions(host, most, 86400.0, toolchain)
    suspensions.park(t.cast("t.Any", lease), vm, "task hello", "build timeout", "/l")
    return lease


def test_an_agent_prunes_its_own_machines(host: Host) -> None:
    for number in range(4):
        park(host, "a", number)
    park(host, "b", 9)
    every = Suspensions(host, 9, 86400.0)
    assert [each.toolchain for each in every.all()] == ["a", "a", "a", "b"]
    Suspensions(host, 0, 0.0, "c").prune()
    assert len(every.all()) == 4
    Suspensions(host, 0, 86400.0, "b").prune()
    assert [each.toolchain for each in every.all()] == ["a", "a", "a"]
    Suspensions(host, 1, 86400.0).prune()
    assert len(every.all()) == 1


def test_nobody_prunes_what_is_being_suspended(host: Host) -> None:
    store = t.cast("Store", host.storage)
    other = Suspensions(host, 0, 0.0)
    seen: list[int] = []

    def meanwhile() -> None:
        seen.append(len(other.all()))
        other.prune()

    store.meanwhile = meanwhile
    lease = park(host, "a", 1)
    assert seen == [0]
    suspended = Suspensions(host, 3, 86400.0).all()
    assert len(suspended) == 1
    assert os.path.exists(suspended[0].hardware.directory)
    # The lease has it no more.
    assert (lease.record["snapshot"], lease.record["snapshots"]) == (None, [])


def test_a_renaming_that_fails_leaves_all_as_before(host: Host) -> None:
    store = t.cast("Store", host.storage)

    def fail() -> None:
        raise OSError(28, "No space left on device")

    store.meanwhile = fail
    with pytest.raises(OSError, match="No space left"):
        park(host, "a", 1)
    suspensions = Suspensions(host, 3, 86400.0)
    assert suspensions.all() == []
    assert os.listdir(suspensions.directory) == []
    assert os.listdir(os.path.join(host.machines, "default", "debian")) == ["debian-a-1-0"]


def test_nothing_is_suspended_where_there_is_no_space(host: Host) -> None:
    with pytest.raises(HostError, match=r"its RAM is \d+ MiB, and \d+ MiB are free in"):
        park(host, "a", 1, ram=1 << 42)
    assert Suspensions(host, 3, 86400.0).all() == []


@pytest.mark.parametrize("kind", [OSError, ValueError, RuntimeError, MemoryError, HostError])
def test_one_that_cannot_be_thrown_away_keeps_no_other(
    host: Host, lines: list[str], kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        park(host, "a", number)
    real = host.storage.discard
    stuck = Suspensions(host, 9, 9.0).all()[0].hardware.directory

    def discard(path: str) -> bool:
        if path == stuck:
            raise kind("odd")
        return real(path)

    monkeypatch.setattr(host.storage, "discard", discard)
    lines.clear()
    Suspensions(host, 0, 86400.0, "a").prune()
    assert len(Suspensions(host, 9, 86400.0).all()) == 1
    assert [line.partition(": ")[0] for line in lines] == ["error", "info", "info"]
