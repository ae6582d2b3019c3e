# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A suspended machine that goes on: it ends, is suspended again, or fails in any way."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.attach import attach
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    suspended as _suspended,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspended,
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Server
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import (
    Hardware,
    VmError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState


class Store:
    def info(self, path: str) -> object | None:
        return object() if os.path.exists(path) else None

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        if found:
            os.rmdir(path)
        return found


class Network:
    """A guest's network, which has to be there as long as the guest."""

    made: t.ClassVar[list[Network]] = []

    def __init__(self, _host: Host, _lease: t.Any, mac: str) -> None:
        assert mac == "02:00:00:00:00:01"
        self.closed = False
        Network.made.append(self)

    def serve(self, **options: t.Any) -> Server:
        return Server("127.0.0.1", 0, **options)

    def check(self) -> None:
        """It is as it should be."""

    def close(self) -> None:
        assert all(guest.calls[-1] == "close" for guest in Guest.made)
        self.closed = True


class Guest:
    """A machine that runs for `rounds`, and raises `error` at the call `broken`."""

    made: t.ClassVar[list[Guest]] = []
    broken: t.ClassVar[str] = ""
    error: t.ClassVar[BaseException] = VmError("odd")
    rounds: t.ClassVar[int] = 3

    def __init__(self, host: Host, lease: t.Any, hardware: t.Any, how: t.Any, logs: str) -> None:
        self.calls: list[str] = []
        self.left = Guest.rounds
        self.hardware, self.how = hardware, how
        self.console, self.theirs = socket.socketpair()
        self.progress, self.other = socket.socketpair()
        self.inspection = None
        self._pidfd = os.pidfd_open(os.getpid())
        Guest.made.append(self)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == Guest.broken:
            raise Guest.error

    def fileno(self) -> int:
        return self._pidfd

    def start(self, network: Network, *, state: SavedState) -> None:
        assert network is Network.made[-1]
        assert not network.closed
        assert os.path.exists(state.path)
        self._call("start")

    def resume(self) -> None:
        self._call("resume")
        self.theirs.send(b"hello\n")

    def info(self) -> list[str]:
        return ["vnc socket: /run/x/vnc"]

    def running(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def save(self, path: str) -> SavedState:
        self._call("save")
        Path(path).write_text("memory")
        return SavedState(path, "k", "q")

    def close(self) -> None:
        self.calls.append("close")
        os.close(self._pidfd)
        for sock in (self.console, self.theirs, self.progress, self.other):
            sock.close()


class Site:
    def __init__(self, root: Path) -> None:
        self.lines: list[str] = []
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", Store()),
            machines=str(root / "machines"),
            state=str(root / "state"),
            report=self.lines.append,
        )
        self.suspensions = Suspensions(self.host, 9, 86400.0)
        self.disk = root / "machines" / "default" / "m1" / "m1-t-suspended-1"
        self.disk.mkdir(parents=True)
        self.folder = root / "state" / "suspended" / "1"
        self.folder.mkdir(parents=True)
        self.memory = self.folder / "state"
        self.memory.write_text("memory")
        self.suspended = Suspended(
            "1",
            "m1",
            "task hello",
            "build timeout",
            time.time(),
            "/l",
            Hardware("m1-t", str(self.disk), "02:00:00:00:00:01"),
            "kvm",
            SavedState(str(self.memory), "k", "q"),
        )

    def resume(self, alive: t.Callable[[], bool] = lambda: True) -> bool:
        return self.suspensions.resume(self.suspended, alive)

    def assert_closed(self) -> None:
        (guest,) = Guest.made
        assert guest.calls[-1] == "close"
        (network,) = Network.made
        assert network.closed
        assert self.host.leases.records() == {}
        assert not self.host.lock("suspended-1", "look").held()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(_suspended, "make_vm", Guest)
    monkeypatch.setattr(_suspended, "attach", Network)
    monkeypatch.setattr(Network, "made", [])
    monkeypatch.setattr(_suspended, "_ALIVE_INTERVAL", 0.01)
    for name, value in (("made", []), ("broken", ""), ("rounds", 3)):
        monkeypatch.setattr(Guest, name, value)
    return Site(tmp_path)


def test_one_that_ends_is_thrown_away(site: Site) -> None:
    assert site.resume()
    assert not site.disk.exists()
    assert not site.folder.exists()
    assert "info: vnc socket: /run/x/vnc" in site.lines
    (guest,) = Guest.made
    assert guest.how.name == "kvm"
    site.assert_closed()


def test_one_that_nobody_looks_into_any_more_is_suspended_again(site: Site) -> None:
    left = [True, True]
    assert not site.resume(lambda: bool(left) and left.pop())
    assert site.disk.exists()
    assert site.memory.read_text() == "memory"
    site.assert_closed()


def test_one_that_ends_while_nobody_looks_is_not_saved(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guest, "rounds", 0)
    assert site.resume(lambda: False)
    assert not site.disk.exists()


@pytest.mark.parametrize(
    "error",
    [VmError("odd"), NetworkError("odd"), OSError(28, "full"), MemoryError(), KeyboardInterrupt()],
    ids=repr,
)
@pytest.mark.parametrize("call", ["start", "resume", "save"])
def test_whatever_goes_wrong_keeps_the_disk(
    site: Site, call: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guest, "broken", call)
    monkeypatch.setattr(Guest, "error", error)
    with pytest.raises(type(error)):
        site.resume(lambda: False)
    assert site.disk.exists()
    # Its memory is there as long as the disk is the one that belongs to it.
    assert site.memory.exists() is (call == "start")
    site.assert_closed()


def test_one_that_was_killed_meanwhile_has_lost_its_memory(site: Site) -> None:
    site.memory.unlink()
    with pytest.raises(VmError, match="suspended machine 1 has lost its memory"):
        site.resume()
    assert Guest.made == []
    assert site.disk.exists()


def test_one_that_somebody_else_looks_into(site: Site) -> None:
    with (
        site.host.lock("suspended-1", "look into it"),
        pytest.raises(LockError, match="resume suspended machine 1"),
    ):
        site.resume()
    assert Guest.made == []


def test_without_a_bridge(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_suspended, "attach", attach)
    object.__setattr__(site.host, "bridge", "bbnone")
    with pytest.raises(NetworkError, match="no bridge bbnone on this host"):
        site.resume()
    assert Guest.made == []
    assert site.memory.exists()


@pytest.mark.parametrize("gone", [True, False])
def test_what_it_takes_on_disk(site: Site, gone: bool) -> None:
    if gone:
        site.memory.unlink()
    assert (site.suspended.bytes == 0) is gone


def test_an_error_of_the_storage_is_no_reason_to_believe_a_machine_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = dataclasses.asdict(site.suspended)
    (site.folder / "record.json").write_text(json.dumps(record))

    def fail(_path: str) -> t.NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(site.host.storage, "info", fail)
    site.suspensions.prune()
    assert site.memory.exists()
    monkeypatch.undo()
    # A record that is being made, or removed, is left alone.
    (site.folder.parent / "2").mkdir()
    assert [each.id for each in site.suspensions.all()] == ["1"]
    site.disk.rmdir()
    site.suspensions.prune()
    assert not site.folder.exists()
    assert site.lines[-1] == "info: discarded suspended machine 1"
