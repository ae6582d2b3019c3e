# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery: each chore by itself; what cannot be cleared away stops nothing."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.desks import (
    recovery as _recovery,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import Suspended
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState

CHORES = ("sweep", "settle_orphans", "remove_leftovers", "remove_old_logs")


def suspend(office: t.Any, number: int, toolchain: str = "default", age: float = 0) -> Path:
    """Leave a suspended machine. Returns its snapshot."""
    snapshot = Path(office.machine().directory) / f"m1-{toolchain}-suspended-{number}"
    snapshot.mkdir()
    folder = office.root / "state" / "suspended" / str(number)
    folder.mkdir(parents=True)
    record = Suspended(
        str(number),
        "m1",
        "task hello",
        "build timeout",
        time.time() - age,
        "/l",
        Hardware(f"m1-{toolchain}", str(snapshot), "02:00:00:00:00:01"),
        "tcg",
        SavedState(str(folder / "state"), "k", "q"),
    )
    (folder / "record.json").write_text(json.dumps(dataclasses.asdict(record)))
    return snapshot


@pytest.mark.parametrize("chore", [*CHORES, "suspended"])
def test_a_chore_that_fails_keeps_no_other_from_being_done(
    office: t.Any, broken: t.Any, chore: str, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, list[float]] = {}
    bad = broken()
    for name in CHORES:

        def perform(*_arguments: t.Any, name: str = name) -> None:
            calls.setdefault(name, []).append(office.clock())

        monkeypatch.setattr(_recovery, name, bad if name == chore else perform)
    if chore == "suspended":
        suspensions = SimpleNamespace(prune=bad, all=list)
        monkeypatch.setattr(office.duties, "suspensions_of", lambda _host: suspensions)
    desk = office.desk("recovery")
    office.work(3700, desk)
    assert apart(bad.calls) >= 40
    assert len(bad.calls) >= 5
    assert len(office.errors) == 1
    expected = {"sweep": 61, "settle_orphans": 61, "remove_leftovers": 1, "remove_old_logs": 2}
    for name in set(CHORES) - {chore}:
        assert len(calls[name]) >= expected[name]


def test_what_the_dead_have_left_is_cleared_away_when_it_is_called_for(
    office: t.Any, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps: list[float] = []
    rest: list[float] = []
    monkeypatch.setattr(_recovery, "sweep", lambda _host: sweeps.append(office.clock()))
    monkeypatch.setattr(
        _recovery, "remove_old_logs", lambda *_arguments: rest.append(office.clock())
    )
    desk = office.desk("recovery")
    office.work(30, desk, each=lambda: office.state.call("recovery"))
    assert 25 <= len(sweeps) <= 31
    assert apart(sweeps) >= 0.999
    assert len(rest) == 1


def test_one_undeletable_leftover(office: t.Any, jobs: t.Any) -> None:
    stuck, other = suspend(office, 1, age=90000), suspend(office, 2, age=90000)
    office.store.stuck = [str(stuck)]
    desk, asking = office.desk("recovery"), office.desk("asking")
    office.state.machines = [office.machine()]
    rounds = office.work(600, desk, asking)
    assert rounds < 200
    # The other one is gone, the controllers are asked, and one line tells of it.
    assert stuck.exists()
    assert not other.exists()
    assert len(jobs.started) == 1
    assert len(office.errors) == 1
    assert "cannot discard suspended machine 1: " in office.errors[0]
    assert "it holds other subvolumes" in office.errors[0]
    office.store.stuck = []
    office.work(3700, desk, asking)
    assert not stuck.exists()


def test_only_suspended_machines_of_the_own_toolchain(office: t.Any) -> None:
    own = [suspend(office, number) for number in (1, 2)]
    others = [suspend(office, number, "stage", age=1e6) for number in (3, 4)]
    office.work(100, office.desk("recovery"))
    # --suspend-max 1
    assert [path.exists() for path in own] == [False, True]
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("name", ["m1-default-20261128-1", "m1-default-7-0", "m1-default-7-0.ram"])
def test_leftovers(office: t.Any, name: str) -> None:
    folder = Path(office.machine().directory)
    # A number that no process has.
    name = name.replace("-7-", f"-{(1 << 22) - 1}-")
    (folder / name).mkdir()
    (folder / "m1-default").mkdir()
    office.work(10, office.desk("recovery"))
    # What a former version bootstrapped for toolchain `default-20261128-1` is no leaving.
    assert (folder / name).exists() is ("2026" in name)
    assert (folder / "m1-default").exists()


def test_folders_that_are_missing(office: t.Any) -> None:
    for name in ("log", "run"):
        (office.root / name).rmdir()
    office.work(100, office.desk("recovery"))
    assert not office.errors


def test_a_record_that_cannot_be_read_is_set_aside(office: t.Any) -> None:
    suspend(office, 1)
    (office.root / "state" / "suspended" / "1" / "record.json").write_text("[")
    office.work(4000, office.desk("recovery"))
    assert len(office.errors) == 1
    assert "it was set aside as" in office.errors[0]
