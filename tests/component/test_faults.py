# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owners that die: their machines die with them, and what they left is cleared away."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import Interrupted
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import leased, sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.process import Vm
from helpers import guest, sources
from helpers.build_host import BuildHost
from helpers.groups import own_groups
from helpers.owner import owner
from helpers.waiting import until


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz"))}


@pytest.mark.parametrize(
    ("stop", "machine_runs"),
    [
        ("phase start", False),
        ("phase first request", True),
        ("phase work", True),
        ("| +update", True),
        ("phase down", True),
        ("phase delete", False),
    ],
)
def test_a_killed_owner(
    ready: BuildHost, files: dict[str, str], stop: str, machine_runs: bool
) -> None:
    with owner(ready, stop, files) as process:
        assert bool(ready.qemus()) is machine_runs
        groups = [each for pid in ready.qemus() for each in own_groups(pid)]
        assert bool(groups) is machine_runs
        before = ready.leftovers()
        # As long as it lives nobody touches what is its own.
        assert sweep(ready.engine()) == []
        assert ready.leftovers() == before
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not ready.qemus(), "the machine has died with its owner", 5)
        until(lambda: not ready.helpers(), "dnsmasq has died with its owner", 5)
    assert any("snapshot" in line for line in ready.leftovers())
    assert sweep(ready.engine()) == [
        f"cleared away the dead task of process {process.pid} on machine tiny"
    ]
    ready.assert_clean()
    assert [group for group in groups if group.exists()] == []
    assert sweep(ready.engine()) == []


def test_the_successor_of_a_killed_owner(ready: BuildHost, files: dict[str, str]) -> None:
    """It neither waits for a sweep nor is harmed by a late one."""
    with owner(ready, "phase work", files) as process:
        assert len(ready.qemus()) == 1
        process.kill()
        process.wait()
    until(lambda: not ready.qemus(), "the machine has died with its owner", 5)

    swept: list[str] = []

    def sweep_at_work(line: str) -> None:
        if line == "| +configure":
            swept.extend(sweep(ready.engine()))

    outcome = ready.perform(files=files, progress=sweep_at_work)
    assert len(swept) == 1
    assert outcome.result.status is Status.SUCCESS


def test_what_cannot_be_cleared_away_is_kept_for_the_next_sweep(host: BuildHost) -> None:
    pid = os.fork()
    own = f"{pid or os.getpid()}-0"
    work, folder = host.volume / "tiny" / f"work-{own}", host.tftp / "build" / f"default-{own}"
    if pid == 0:
        lease = host.engine().leases.take(what="task", machine="tiny")
        lease.note(snapshot=str(work), folders=[str(folder)])
        work.parent.mkdir()
        host.storage.create(str(work))
        host.storage.create(str(work / "inner"))
        folder.mkdir(parents=True)
        os._exit(0)
    os.waitpid(pid, 0)

    assert sweep(host.engine()) == []
    (line,) = host.lines
    assert line == (
        f"error: cannot clear away the dead task of process {pid} on machine tiny: cannot delete "
        f"subvolume {work}: it holds other subvolumes; delete those first"
    )
    assert not folder.exists()
    host.storage.delete(str(work / "inner"))
    assert len(sweep(host.engine())) == 1
    assert not work.exists()


def test_a_living_lease_outlives_sweeps(host: BuildHost) -> None:
    with leased(host.engine(), what="test") as lease:
        folder = host.tftp / "build" / f"default-{lease.id}"
        folder.mkdir(parents=True)
        lease.note(folders=[str(folder)])
        assert sweep(host.engine()) == []
        assert folder.exists()
    assert not folder.exists()


def test_a_lease_without_a_readable_line_is_cleared_away(host: BuildHost) -> None:
    leases = host.state / "leases"
    leases.mkdir(parents=True)
    (leases / "1-0.lease").write_text('{"pid": 1, "what": "ta')
    assert sweep(host.engine()) == ["cleared away the dead work of process ?"]


def test_a_machine_is_thrown_away_when_nobody_waits(host: BuildHost, bootstrapped: Machine) -> None:
    host.install_scripted(bootstrapped, guest.GET_TASK + guest.SLEEP)
    with pytest.raises(Interrupted):
        host.perform(alive=lambda: "phase work" not in host.lines)
    assert not host.reported("phase down")
    assert host.reported("trying to force machine") == 1


def test_a_soft_failed_machine_is_held_for_a_person(
    host: BuildHost, bootstrapped: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.install_scripted(bootstrapped, guest.GET_TASK + guest.result("status: abnormal"))
    seen: list[str] = []
    suspend = Vm.suspend

    def suspend_and_look(vm: Vm) -> None:
        suspend(vm)
        assert vm._qmp is not None
        seen.append(vm._qmp.execute("query-status")["status"])
        seen.extend(vm.info())

    monkeypatch.setattr(Vm, "suspend", suspend_and_look)
    outcome = host.perform(hold=1)
    assert outcome.failure is not None
    assert outcome.failure.kind == "terminated abnormally"
    assert seen[0] == "paused"
    (place,) = [i for i, line in enumerate(host.lines) if line.startswith("error: ")]
    (work,) = [line.split()[-2] for line in host.lines if line.startswith("error: ")]
    assert work.startswith(f"{host.volume}/tiny/tiny-default-")
    lease = work.removesuffix(",").rpartition("default-")[2]
    assert host.lines[place:-2] == [
        f"error: build terminated abnormally for machine {work} suspending",
        *(f"info: {line}" for line in seen[1:]),
        f"info: for a shell in it: bbot-agent shell {lease}",
        "info: resuming after machine suspension",
    ]
    assert outcome.phases["hold"] >= 1


def fill(ballast: Path, left: int) -> None:
    """Let a file take all of its disk but for some ``left`` bytes."""
    size, piece = 0, 4 << 20
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            os.posix_fallocate(file.fileno(), size, piece)
            size += piece
    os.truncate(ballast, size - left)
    os.sync()


def release(ballast: Path) -> None:
    """Have the room that it took again: a full btrfs may need a moment for that, too."""

    def is_gone() -> bool:
        with contextlib.suppress(OSError):
            if ballast.exists():
                os.truncate(ballast, 0)
            ballast.unlink(missing_ok=True)
        return not ballast.exists()

    until(is_gone, "room on the disk")
    os.sync()


def test_a_task_that_writes_too_much(host: BuildHost, bootstrapped: Machine) -> None:
    script = "dd if=/dev/zero of=/big bs=1M count=40 conv=fsync\n"
    host.install_scripted(bootstrapped, guest.GET_TASK + script + guest.SLEEP)
    parked: list[str] = []
    outcome = host.perform(writes=24 << 10, park=lambda *_: parked.append("kept"))
    assert outcome.failure is not None
    assert outcome.failure.message == (
        "build machine has written more than 24 MiB to its disks (write-limit)"
    )
    assert (outcome.culprit, outcome.result.status) == ("task", Status.ABORT)
    assert parked == []
    assert "work" in outcome.phases


def test_a_machine_that_writes_too_much_before_it_has_a_task(ready: BuildHost) -> None:
    """It is told of as that, and not booted again: that would write as much."""
    parked: list[str] = []
    ready.script("tiny", "dd if=/dev/zero of=/big bs=1M count=40 conv=fsync\n" + guest.SLEEP)
    outcome = ready.perform(writes=24 << 10, park=lambda *_: parked.append("kept"))
    assert outcome.failure is not None
    assert outcome.failure.message == (
        "build machine has written more than 24 MiB to its disks before its first request "
        "(write-limit)"
    )
    assert (outcome.culprit, outcome.result.status) == ("machine", Status.ABORT)
    assert (parked, ready.reported("mis-booted")) == ([], 0)
    assert "work" not in outcome.phases


def test_a_task_waits_for_room_on_the_disk(ready: BuildHost) -> None:
    ballast = ready.site.btrfs / "ballast"
    ready.changes["reserve"] = 1 << 30

    def alive() -> bool:
        if ready.reported("waiting for room: less than "):
            release(ballast)
        return True

    try:
        # Less than is kept, and more than a task takes.
        fill(ballast, 100 << 20)
        with pytest.raises(HostError, match=r"are kept \(disk-reserve\); wait longer"):
            ready.perform()
        outcome = ready.perform(alive=alive, patience=60)
    finally:
        release(ballast)
    assert outcome.failure is None
    assert outcome.phases["wait"] > 0


def test_a_machine_stands_still_while_the_disk_is_full(
    host: BuildHost, bootstrapped: Machine
) -> None:
    ballast = host.site.btrfs / "ballast"
    done = guest.result("status: success")
    script = "dd if=/dev/urandom of=/big bs=1M count=48 conv=fsync\nrm /big\n"
    host.install_scripted(bootstrapped, guest.GET_TASK + script + done + guest.SLEEP)
    filled = False

    def alive() -> bool:
        nonlocal filled
        # A snapshot needs room, too.
        if not filled and host.qemus():
            fill(ballast, 16 << 20)
            filled = True
        elif host.reported("error: no space left in "):
            release(ballast)
        return True

    try:
        outcome = host.perform(alive=alive)
    finally:
        release(ballast)
    assert outcome.result.status is Status.SUCCESS, host.lines
    assert host.reported("stands still") >= 1
    assert host.reported("goes on: there is room") >= 1
    host.assert_clean()
