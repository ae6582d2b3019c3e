# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks and leases, between real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import (
    Lease,
    Leases,
    Lock,
    LockError,
    process_start,
)


@contextlib.contextmanager
def child(act: t.Callable[[], object]) -> t.Iterator[int]:
    """A process that has done ``act`` and lives on, with what it holds."""
    ready_out, ready_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = act()
            os.write(ready_in, b"ready")
            signal.pause()
            del kept
        finally:
            os._exit(1)
    os.close(ready_in)
    try:
        with open(ready_out, "rb") as pipe:
            assert pipe.read(5) == b"ready"
        yield pid
    finally:
        kill(pid)


def sole(leases: Leases) -> dict[str, t.Any]:
    """The record of the one lease there is."""
    records = list(leases.records().values())
    assert len(records) == 1
    return records[0]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_who_waits_says_for_whom(tmp_path: Path) -> None:
    path, lines = str(tmp_path / "lock"), []
    with child(lambda: Lock(path, "bootstrap machine x").__enter__()) as pid:
        lock = Lock(path, "be second", 0.8, report=lines.append)
        with pytest.raises(LockError):
            lock.__enter__()
        holder = f"process {pid} is there to bootstrap machine x"
        assert lines == [f"waiting to be second: {holder}"]


def test_a_lock_excludes_other_processes_and_names_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "locks" / "x.lock")
    with child(lambda: Lock(path, "bootstrap machine x").__enter__()) as pid:
        with pytest.raises(LockError) as caught, Lock(path, "look at machine x"):
            pass
        assert str(caught.value) == (
            f"cannot look at machine x: process {pid} is there to bootstrap machine x "
            f"(lock {path}); wait for it to end and try again"
        )
        kill(pid)
        with Lock(path, "look at machine x") as lock:
            assert lock.path == path
            assert (
                Path(path).read_text() == f"process {os.getpid()} is there to look at machine x\n"
            )
    assert not Path(path).exists()


def test_a_lock_excludes_its_own_process_too(tmp_path: Path) -> None:
    path = str(tmp_path / "x.lock")
    with Lock(path, "be first"), pytest.raises(LockError, match="there to be first"):
        Lock(path, "be second").__enter__()
    with Lock(path, "be third"):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "x.lock")
    with child(lambda: Lock(path, "be first").__enter__()) as pid:
        waiter_out, waiter_in = os.pipe()
        waiter = os.fork()
        if waiter == 0:
            try:
                os.write(waiter_in, b"waiting ")
                with Lock(path, "be second", timeout=60):
                    os.write(waiter_in, b"has it")
            finally:
                os._exit(0)
        os.close(waiter_in)
        with open(waiter_out, "rb") as pipe:
            assert pipe.read(8) == b"waiting "
            kill(pid)
            assert pipe.read() == b"has it"
        os.waitpid(waiter, 0)


def test_a_holder_that_has_not_said_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with Lock(str(path), "be first"):
        path.write_text("")
        with pytest.raises(LockError, match="another process holds it"):
            Lock(str(path), "be second").__enter__()


def test_many_processes_never_hold_a_lock_together(tmp_path: Path) -> None:
    path, log = str(tmp_path / "x.lock"), tmp_path / "log"
    pids = []
    for _dummy in range(4):
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(Exception):
                for _dummy in range(5):
                    with Lock(path, "write", timeout=60), log.open("a") as file:
                        file.write("in\n")
                        file.flush()
                        file.write("out\n")
                status = 0
            os._exit(status)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert log.read_text() == "in\nout\n" * 20


def test_a_process_is_named_by_pid_and_start() -> None:
    start = process_start(os.getpid())
    assert start
    assert process_start(os.getpid()) == start
    with child(lambda: None) as pid:
        born = process_start(pid)
        assert born
        assert born >= start
    assert process_start(pid) is None
    # One that has ended but has not been waited for is still there.
    assert process_start(2**22 + 1) is None


def test_a_lease_lives_as_long_as_its_owner(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path / "leases"))

    def take() -> Lease:
        lease = Leases(leases.directory).take(what="task", machine="x")
        lease.note(snapshot="/x/y")
        return lease

    with child(take) as pid:
        record = sole(leases)
        assert (record["pid"], record["what"], record["snapshot"]) == (pid, "task", "/x/y")
        assert list(leases.stale()) == []
        kill(pid)
        (lease,) = leases.stale()
    assert lease.id == f"{pid}-0"
    assert lease.record["machine"] == "x"
    lease.end()
    assert leases.records() == {}


def test_a_lease_that_is_abandoned_is_found_again(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    leases.take(what="x").abandon()
    for _dummy in range(2):
        (lease,) = leases.stale()
        lease.abandon()
    assert list(leases.records()) == [f"{os.getpid()}-0"]


def test_facts_add_up_and_the_last_word_counts(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    lease = leases.take(what="x")
    lease.note(snapshot="/a", mac="m")
    lease.note(snapshot=None)
    record = sole(leases)
    assert (record["what"], record["snapshot"], record["mac"]) == ("x", None, "m")
    assert record == lease.record
    lease.end()


@pytest.mark.parametrize("cut", [b'{"snapshot": "/b', b"\xff\xfe", b"", b"nonsense\n"])
def test_a_line_cut_short_costs_that_line_only(tmp_path: Path, cut: bytes) -> None:
    whole = json.dumps({"pid": 1, "snapshot": "/a"}).encode() + b"\n"
    (tmp_path / "1-0.lease").write_bytes(whole + cut)
    (lease,) = Leases(str(tmp_path)).stale()
    assert lease.record == {"pid": 1, "snapshot": "/a"}
    lease.end()


def test_a_lease_does_not_grow_for_ever(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    lease = leases.take(what="agent", toolchain="default")
    largest = 0
    for number in range(10_000):
        lease.note(troubles={"host": f"{number} " + "x" * 200})
        largest = max(largest, os.stat(lease.path).st_size)
        if number % 97 == 0:
            assert leases.records() == {lease.id: lease.record}
    assert 1 << 16 < largest <= 1 << 17
    record = leases.records()[lease.id]
    assert record == lease.record
    assert (record["pid"], record["what"]) == (os.getpid(), "agent")
    assert record["troubles"]["host"].startswith("9999 ")
    # It is added to again: others may have a line of their own to say.
    lease.note(waits="room")
    assert leases.records()[lease.id]["waits"] == "room"
    lease.end()


def test_a_lease_full_of_facts_is_left_as_it_is(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path))
    lease = leases.take(what="agent", toolchain="default")
    lease.note(folders=["x" * 200_000])
    lease.note(phase="work")
    record = leases.records()[lease.id]
    assert (len(record["folders"][0]), record["phase"]) == (200_000, "work")
    lease.end()


def test_ids_count_and_pass_by_those_of_the_dead(tmp_path: Path) -> None:
    # A former process of this number left two.
    for counter in (0, 2):
        (tmp_path / f"{os.getpid()}-{counter}.lease").write_text('{"pid": 1}\n')
    leases = Leases(str(tmp_path))
    mine = [leases.take(), leases.take()]
    assert [lease.id for lease in mine] == [f"{os.getpid()}-1", f"{os.getpid()}-3"]
    assert {lease.id for lease in leases.stale()} == {f"{os.getpid()}-0", f"{os.getpid()}-2"}
    for lease in mine:
        lease.end()


def test_no_folder_is_no_lease(tmp_path: Path) -> None:
    leases = Leases(str(tmp_path / "none"))
    assert leases.records() == {}
    assert list(leases.stale()) == []


def test_looking_refuses_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "x.lock")

    def look() -> None:
        while True:
            Lock(path, "look at it").held()
            Lock(path, "remove it").drop_dead()

    pid = os.fork()
    if pid == 0:
        try:
            look()
        finally:
            os._exit(1)
    try:
        for _dummy in range(1000):
            with Lock(path, "perform hello"):
                pass
    finally:
        kill(pid)


def test_looking_at_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock = Lock(str(path), "look")
    assert not lock.held()
    assert not path.exists()
    with Lock(str(path), "have it"):
        assert lock.held()
        lock.drop_dead()
        assert lock.held()
    path.write_text("process 4194305 is dead\n")
    assert not lock.held()
    assert path.exists()
    lock.drop_dead()
    assert not path.exists()


CONTENTS = [
    b"",
    b"\xff\xfe\x00",
    b"process",
    b"process x",
    b"process 4194305 is dead",
    b"\n" * 10**7,
]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_lock_file_may_hold_anything(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.lock"
    with Lock(str(path), "be first"):
        path.write_bytes(content)
        with pytest.raises(LockError, match="cannot be second: ") as caught:
            Lock(str(path), "be second").__enter__()
        assert len(str(caught.value)) < 700
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_what_is_no_file_is_no_lock(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.lock"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    lock = Lock(str(path), "have it")
    assert not lock.held()
    if kind != "fifo":
        with pytest.raises(OSError, match=r"Is a directory|symbolic"):
            lock.__enter__()
    assert not (tmp_path / "elsewhere").exists()


def test_locks_and_leases_are_of_no_use_to_others(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir(mode=0o755)
    leases = Leases(str(tmp_path / "leases"))
    old = os.umask(0)
    try:
        with Lock(str(tmp_path / "locks" / "x.lock"), "x"):
            leases.take(what="x").abandon()
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    finally:
        os.umask(old)
    lease = f"{os.getpid()}-0.lease"
    assert modes == {"locks": 0o700, "leases": 0o700, "x.lock": 0o600, lease: 0o600}


def test_a_short_write_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Leases(str(tmp_path)).take(what="x")
    whole = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: whole(fd, data[:7]))
        with pytest.raises(OSError, match="No space left"):
            lease.note(snapshot="/a")
        lease.tell(phase="x")
    lease.note(mac="m")
    record = sole(Leases(str(tmp_path)))
    assert record == lease.record
    assert ("snapshot" in record, "phase" in record, record["mac"]) == (False, False, "m")
    lease.end()


DAMAGED = {
    "no object": b"5\n",
    "a path of numbers": b'{"runtime": 5}\n',
    "folders of numbers": b'{"folders": [5]}\n',
    "an unhashable snapshot": b'{"snapshot": ["a"]}\n',
    "a NUL": b'{"snapshot": "/a\\u0000b"}\n',
    "a newline": b'{"machine": "m\\nerror: x"}\n',
    "no number": b'{"since": "x"}\n',
    "no finite number": b'{"since": NaN}\n',
    "no time": b'{"since": null}\n',
    "too large": b'{"what": "' + b"x" * (2 << 20) + b'"}\n',
    "no pair": b'{"journal": "x"}\n',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_lease_is_set_aside(tmp_path: Path, name: str) -> None:
    (tmp_path / "1-0.lease").write_bytes(DAMAGED[name])
    told: list[str] = []
    leases = Leases(str(tmp_path), told.append)
    for number in range(2):
        leases.records()
        assert list(leases.stale()) == []
        assert len(told) == number + 1
        assert told[number].startswith("error: a lease is damaged (")
        assert told[number].isprintable()
        (tmp_path / "1-0.lease").write_bytes(DAMAGED[name])
    assert (tmp_path / "1-0.lease.damaged").read_bytes() == DAMAGED[name]


def test_what_is_cut_short_or_nested_is_no_damage(tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"[" * 100_000, b'{"a', b"nonsense\n", b"9" * 5000]):
        (tmp_path / f"{number}-0.lease").write_bytes(content)
    leases = Leases(str(tmp_path))
    assert set(map(str, leases.records().values())) == {"{}"}
    for lease in leases.stale():
        assert lease.name == f"{lease.id}@0.000"
        lease.end()
    assert os.listdir(tmp_path) == []


def test_what_is_no_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "1-0.lease").mkdir()
    (tmp_path / "2-0.lease").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "3-0.lease")
    told: list[str] = []
    leases = Leases(str(tmp_path), told.append)
    leases.records()
    assert list(leases.stale()) == []
    assert len(told) == 3
    assert {name.partition(".lease.")[2] for name in os.listdir(tmp_path)} == {"damaged"}
