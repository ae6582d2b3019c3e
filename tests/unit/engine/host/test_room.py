# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for machines: who has it, who waits for it and in which order."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import Interrupted
from ansible_collections.bbot.agent.plugins.module_utils._engine.host import room as _room
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import Lease
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.room import (
    NoRoom,
    Room,
    claim,
    memory,
)

MIB = 1024
FULL = "1 machine of this host has 1100 MiB of the 2048 MiB for all, and it takes 1100 MiB"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Host:
    """A host with 2 GiB for machines."""
    monkeypatch.setattr(_room, "memory", lambda: 2048 * MIB)
    monkeypatch.setattr(_room, "_PAUSE", 0.01)
    nothing: t.Any = None
    return Host(run=nothing, storage=nothing, state=str(tmp_path), report=said.append)


def enter(host: Host, mib: int, patience: float = 0) -> Lease:
    """A lease that has claimed so much."""
    lease = host.leases.take(what="task")
    claim(host, lease, mib * MIB, patience, lambda: True)
    return lease


def test_who_is_alone_has_what_it_wants(host: Host) -> None:
    lease = enter(host, 9000)
    assert lease.record["ram"] == (9000 + 100) * MIB
    assert Room(host).objection(1) == (
        "1 machine of this host has 9100 MiB of the 2048 MiB for all, and it takes 100 MiB"
    )
    lease.end()
    assert Room(host).objection(9000 * MIB) == ""


def test_what_fits_is_let_in_and_what_does_not_is_told_why(host: Host) -> None:
    first, second = enter(host, 900), enter(host, 900)
    with pytest.raises(NoRoom) as caught:
        enter(host, 900)
    assert str(caught.value) == (
        "no room for the machine within 0 s: 2 machines of this host have 2000 MiB of the 2048 MiB "
        "for all, and it takes 1000 MiB; wait longer (lock_timeout), give machines less memory "
        "(ram), or end some"
    )
    first.end()
    enter(host, 900).end()
    second.end()


def test_what_there_is(host: Host) -> None:
    assert Room(host).describe() == {"left": 2048 * MIB, "machines": 0, "waiting": 0}
    lease, queued = enter(host, 1000), host.leases.take(what="task")
    queued.note(line=time.time())
    assert Room(host).describe() == {"left": 948 * MIB, "machines": 1, "waiting": 1}
    lease.end()
    queued.end()


def test_a_claim_is_made_once(host: Host) -> None:
    lease = enter(host, 1000)
    claim(host, lease, 5000 * MIB, 0, lambda: True)
    assert lease.record["ram"] == 1100 * MIB


def test_each_has_the_lowest_place_that_is_free(host: Host) -> None:
    first, second = enter(host, 1), enter(host, 1)
    assert [each.record["place"] for each in (first, second)] == [0, 1]
    first.end()
    third, fourth = enter(host, 1), enter(host, 1)
    assert [each.record["place"] for each in (third, fourth)] == [0, 2]


def test_the_dead_have_nothing(host: Host) -> None:
    enter(host, 2000).abandon()
    waiting = host.leases.take(what="task")
    waiting.note(line=1.0)
    waiting.abandon()
    enter(host, 2000)


def test_who_comes_first_is_served_first(host: Host, said: list[str]) -> None:
    there, order = enter(host, 1000), []

    def come(name: str, mib: int) -> None:
        lease = enter(host, mib, patience=20)
        order.append(name)
        lease.end()

    threads = []
    for name, mib in (("large", 1500), ("small", 500)):
        threads.append(threading.Thread(target=come, args=(name, mib)))
        threads[-1].start()
        deadline = time.monotonic() + 10
        while len(said) < len(threads):
            assert time.monotonic() < deadline
            time.sleep(0.005)
    # There would be room for the small one, but not for both: it must not pass the other for ever.
    assert order == []
    assert "waiting for room: 1 in line before it" in said
    assert {each.get("waits") for each in host.leases.living().values()} == {
        None,
        "1 in line before it",
        "1 machine of this host has 1100 MiB of the 2048 MiB for all, and it takes 1600 MiB",
    }
    assert Room(host).objection(1) == "2 in line before it"
    there.end()
    for thread in threads:
        thread.join(20)
    assert order == ["large", "small"]
    assert host.leases.records() == {}


def test_who_is_not_wanted_any_more_leaves_the_line(host: Host, said: list[str]) -> None:
    there, lease, told = enter(host, 1000), host.leases.take(what="task"), []
    with pytest.raises(Interrupted):
        claim(host, lease, 1000 * MIB, 60, lambda: False, lambda: told.append(1))
    assert (lease.record.get("line"), lease.record.get("waits")) == (None, None)
    assert "ram" not in lease.record
    assert (said, told) == ([f"waiting for room: {FULL}"], [1])
    there.end()
    assert Room(host).objection(1) == ""


def test_what_may_be_written_is_claimed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def shortage(folder: str, _reserve: int, claimed: int = 0) -> str:
        asked.append((folder, claimed))
        return "no room" if claimed > 3000 * MIB else ""

    monkeypatch.setattr(_room, "shortage", shortage)
    first, second = host.leases.take(what="task"), host.leases.take(what="task")
    claim(host, first, 1, 0, lambda: True, writes=9000 * MIB)
    with pytest.raises(NoRoom, match="no room; wait longer"):
        claim(host, second, 1, 0, lambda: True, writes=1)
    first.end()
    claim(host, second, 1, 0, lambda: True, writes=2000 * MIB)
    assert Room(host).objection(1, writes=1000 * MIB) == ""
    assert Room(host).objection(1, writes=1001 * MIB) == "no room"
    # Those without a limit write what is there.
    assert Room(host).objection(1) == ""
    assert {folder for folder, _claimed in asked} == {host.machines, host.tftp, host.state}


@pytest.mark.parametrize("name", ["machines", "tftp", "state"])
def test_nothing_begins_on_a_disk_that_is_full(
    host: Host, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    full = getattr(host, name)
    monkeypatch.setattr(_room, "shortage", lambda folder, *_: "full" if folder == full else "")
    assert Room(host).disk_objection == "full"
    with pytest.raises(NoRoom, match="within 0 s: full; wait longer"):
        enter(host, 1)


@dataclasses.dataclass
class Machine:
    """The files that tell how much memory there is."""

    folder: Path

    def tell(self, total: str, group: str, limits: dict[str, str]) -> None:
        (self.folder / "meminfo").write_text(f"MemFree: 5 kB\n{total}")
        (self.folder / "cgroup").write_text(group)
        for name, text in limits.items():
            place = self.folder / "groups" / name
            place.mkdir(parents=True, exist_ok=True)
            (place / "memory.max").write_text(text)


@pytest.mark.parametrize(
    ("total", "group", "limits", "mib"),
    [
        (16384, "0::/\n", {}, 14746),
        (2048, "0::/\n", {}, 1536),
        (256, "0::/\n", {}, 0),
        (16384, "", {}, 14746),
        (16384, "5:memory:/x\n0::/a/b\n", {"a/b": "max\n"}, 14746),
        (16384, "0::/a/b\n", {"a/b": "max\n", "a": f"{4096 << 20}\n"}, 3584),
        (16384, "0::/a/b\n", {"a/b": f"{1024 << 20}\n", "a": f"{4096 << 20}\n"}, 512),
    ],
)
def test_memory(
    total: int,
    group: str,
    limits: dict[str, str],
    mib: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Machine(tmp_path).tell(f"MemTotal: {total * MIB} kB\n", group, limits)
    for name, place in (("_MEMINFO", "meminfo"), ("_CGROUP", "cgroup"), ("_CGROUPS", "groups")):
        monkeypatch.setattr(_room, name, str(tmp_path / place))
    assert memory() // MIB in (mib - 1, mib)


@pytest.mark.parametrize("text", ["", "MemTotal: much\n"])
def test_memory_that_nobody_tells(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text(text)
    monkeypatch.setattr(_room, "_MEMINFO", str(tmp_path / "meminfo"))
    assert memory() == sys.maxsize
