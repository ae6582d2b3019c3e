# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits of machines: what is asked of systemd or of the kernel, and where neither listens."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.spawn import SpawnError
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm import limits as _limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm import scope as _scope
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.limits import Limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.scope import Scope

HARDWARE = Hardware("m1", "/m", "02:00:00:00:00:01", cpu=2, ram=262144)


class Lease:
    id = "7-1"

    def __init__(self) -> None:
        self.record: dict[str, t.Any] = {}

    def note(self, **facts: t.Any) -> None:
        self.record |= facts


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hierarchies of the host's, without systemd."""
    monkeypatch.setattr(_limits, "HIERARCHIES", str(tmp_path))
    monkeypatch.setattr(_limits, "_SYSTEMD", str(tmp_path / "none"))
    monkeypatch.setattr(_limits, "_own_groups", lambda: {"memory": "us", "pids": "", "cpu": ""})
    return tmp_path


def make(lease: Lease, **options: t.Any) -> Limits:
    return Limits.make(t.cast("t.Any", lease), HARDWARE, overhead=1024, processes=100, **options)


def test_groups_where_no_systemd_runs(place: Path) -> None:
    for name in ("memory/us", "pids", "cpu"):
        (place / name).mkdir(parents=True)
    lease = Lease()
    limits = make(lease)
    groups = [place / name / "bbot-7-1" for name in ("memory/us", "pids", "cpu")]
    assert lease.record["groups"] == [str(group) for group in groups]
    assert limits.missing == []
    assert limits.prefix == []
    limits.adopt(4711)
    read = {path.name: path.read_text() for group in groups for path in group.iterdir()}
    assert read == {
        "memory.limit_in_bytes": str((262144 + 1024) * 1024),
        "pids.max": "100",
        "cpu.shares": "2048",
        "cpu.cfs_quota_us": "200000",
        "cgroup.procs": "4711",
    }


def test_a_share_without_a_quota(place: Path) -> None:
    (place / "cpu").mkdir()
    make(Lease(), quota=False)
    assert {path.name for path in (place / "cpu" / "bbot-7-1").iterdir()} == {"cpu.shares"}


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], ["memory", "pids", "cpu"]),
        (["pids"], ["memory", "cpu"]),
        (["memory/us", "pids", "cpu/bbot-7-1"], ["cpu"]),
    ],
)
def test_what_is_not_to_be_had(place: Path, there: list[str], missing: list[str]) -> None:
    for name in there:
        (place / name).mkdir(parents=True)
    limits = make(Lease())
    assert limits.missing == missing
    limits.adopt(4711)


def test_a_host_without_the_programs_of_systemd(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_limits, "_SYSTEMD", str(place))
    monkeypatch.setattr(_scope.shutil, "which", lambda _name: None)
    limits = make(Lease())
    assert (limits.prefix, limits.missing) == ([], [])
    limits.adopt(os.getpid())
    limits.end()


def test_a_service_manager_that_does_not_answer(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it."""
    folder = place / "bin"
    folder.mkdir()
    for name in ("systemd-run", "busctl"):
        (folder / name).write_text("#!/bin/sh\necho $$ > $0.pid; exec sleep 60\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(_limits, "_SYSTEMD", str(place))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    limits = make(Lease())
    limits.adopt(os.getpid())
    noted, until = folder / "busctl.pid", time.monotonic() + 30
    while not (noted.exists() and noted.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.01)
    limits.end()
    assert not Path("/proc", noted.read_text().strip()).exists()


@pytest.mark.parametrize("error", [OSError(11, "no more processes"), SpawnError("no busctl")])
def test_that_systemd_cannot_be_asked_is_no_error(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_words: object, **_options: object) -> int:
        raise error

    monkeypatch.setattr(_limits, "_SYSTEMD", str(place))
    monkeypatch.setattr(_scope.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(_limits, "spawn", fail)
    limits = make(Lease())
    limits.adopt(os.getpid())
    limits.end()


@pytest.mark.parametrize(("user", "words"), [(0, []), (1000, ["--user"])])
def test_what_systemd_is_asked(
    monkeypatch: pytest.MonkeyPatch, user: int, words: list[str]
) -> None:
    monkeypatch.setattr(_scope.os, "geteuid", lambda: user)
    monkeypatch.setattr(_scope.shutil, "which", lambda name: f"/usr/bin/{name}")
    scope = Scope("bbot-7-1", 1 << 30, 100, 2)
    command = scope.command()
    assert command[: 1 + len(words)] == ["/usr/bin/systemd-run", *words]
    unit = command[4 + len(words)]
    assert unit.startswith("--unit=bbot-7-1-")
    assert command[5 + len(words) :] == [
        "--property=Slice=bbot.slice",
        "--property=MemoryMax=1073741824",
        "--property=MemorySwapMax=0",
        "--property=TasksMax=100",
        "--property=CPUWeight=200",
        "--property=CPUQuota=200%",
        "--",
    ]
    adoption = scope.adoption(4711)
    bus = "--system" if user == 0 else "--address=unix:path=/run/user/1000/bus"
    assert adoption[:4] == ["/usr/bin/busctl", bus, "--quiet", "call"]
    call = adoption[adoption.index("ssa(sv)a(sa(sv))") + 1 :]
    name, mode, count, *properties = call
    assert (f"--unit={name}", mode, call[-1]) == (unit, "fail", "0")
    assert properties[:4] == ["PIDs", "au", "1", "4711"]
    assert len(properties) == 4 + 3 * (int(count) - 1) + 1
    assert "TasksMax t 100" in " ".join(properties)


def test_scopes_of_one_lease_have_names_of_their_own() -> None:
    names = {Scope("bbot-7-1", 1, 1, 1).adoption(1)[9] for _number in range(3)}
    assert len(names) == 3
