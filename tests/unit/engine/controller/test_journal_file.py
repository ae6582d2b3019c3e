# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's file: of older and newer releases, damaged, large, and as small as it can be."""

from __future__ import annotations

import os
import random
import sqlite3
import time
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller import (
    journal as _journal,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller import schema
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Journal,
    JournalError,
    settle,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status

TASK = Task(name="hello", version="1.0", repository_url="https://x/", machine="tiny")
RESPONSE = TaskResponse(
    "session/1", TASK, result_url="https://x/?build-result", upload_urls={"bindist": "https://x/u"}
)
RESULT = Result("hello", "1.0", Status.ERROR, (OperationResult("update", Status.ERROR, "no\n"),))

# As the first release made it.
OLD = """
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY AUTOINCREMENT, toolchain TEXT NOT NULL, controller TEXT NOT NULL,
  session TEXT NOT NULL, answer TEXT, result_url TEXT NOT NULL, upload_urls TEXT NOT NULL,
  agent_checksum TEXT, task TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
  machine TEXT NOT NULL, state TEXT NOT NULL, received REAL NOT NULL, expires REAL NOT NULL,
  owner TEXT, finished REAL, status TEXT, culprit TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '', phases TEXT NOT NULL DEFAULT '{}', logs TEXT, result TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, next_try REAL NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '', size_limit INTEGER, delivered REAL
);
CREATE INDEX tasks_state ON tasks (state);
"""


def make_old(path: Path, version: int, log: str = "no\n") -> None:
    result = Result(
        "hello", "1.0", Status.ERROR, (OperationResult("update", Status.ERROR, log),)
    ).to_text()
    with sqlite3.connect(path) as db:
        db.executescript(OLD)
        db.execute(f"PRAGMA user_version = {version}")
        for state, text in (("delivered", result), ("queued", result), ("running", None)):
            db.execute(
                "INSERT INTO tasks (toolchain, controller, session, answer, result_url,"
                " upload_urls, task, name, version, machine, state, received, expires, result,"
                " attempts, status, phases) VALUES ('default', 'https://x/', 's/1', 'AAAA',"
                """ 'https://x/r', '{"bindist": "https://x/u"}', ?, 'hello', '1.0', 'tiny', ?,"""
                """ 100.0, 7300.0, ?, 3, 'error', '{"work": 1.5}')""",
                (TASK.to_text(), state, text),
            )
    db.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "state" / "journal.sqlite"))


def accept(journal: Journal, **more: t.Any) -> int:
    facts = {"toolchain": "default", "controller": "https://x/", "answer": "AAAA", **more}
    return journal.accept(RESPONSE, **facts)


def queued(journal: Journal, result: Result = RESULT, **more: t.Any) -> int:
    number = accept(journal, **more)
    journal.store(number, result)
    return number


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_of_the_first_release_goes_on(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.sqlite"
    make_old(path, version)
    journal = Journal(str(path))
    (row,) = journal.queue()
    assert (row.id, row.attempts, row.lifetime, row.uptime) == (2, 3, 7200, 0)
    assert row.phases == {"work": 1.5}
    entry = journal.get(2)
    assert entry is not None
    assert journal.request(entry).result.to_mapping() == RESULT.to_mapping()
    assert [row.state for row in journal.latest(9)] == ["running", "queued", "delivered"]
    assert journal.result(1) is None
    settle(journal, 3)
    # Its controller is too old for an interrupted one.
    assert [row.id for row in journal.queue()] == [2]
    assert queued(journal) == 4


def test_an_old_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    make_old(path, 1, "a line of a log\n" * 200_000)
    before = path.stat().st_size
    Journal(str(path)).check()
    assert path.stat().st_size < before * 0.6
    Journal(str(path)).delivered(2)
    assert path.stat().st_size < 100_000


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.sqlite"
    make_old(path, 1)
    before = path.read_bytes()
    broken = (*schema._MIGRATIONS, "CREATE TABLE more (id INTEGER);\nnonsense;\n")
    monkeypatch.setattr(schema, "_MIGRATIONS", broken)
    monkeypatch.setattr(schema, "VERSION", 3)
    with pytest.raises(JournalError, match="syntax error"):
        Journal(str(path)).queue()
    assert path.read_bytes() == before


def test_a_newer_file_is_refused(journal: Journal) -> None:
    number = queued(journal)
    with sqlite3.connect(journal.path) as db:
        db.execute("PRAGMA user_version = 4711")
    db.close()
    for act in (journal.queue, journal.check, lambda: journal.delivered(number)):
        with pytest.raises(JournalError, match=r"newer bbot-agent .*: upgrade bbot-agent$") as e:
            act()
        assert not e.value.temporary


def test_what_was_delivered_leaves_the_file(journal: Journal) -> None:
    log = "".join(f"a line of a log, number {n}\n" for n in range(100_000))
    large = Result("hello", "1.0", Status.ERROR, (OperationResult("update", Status.ERROR, log),))
    numbers = [queued(journal, large) for _dummy in range(4)]
    assert os.path.getsize(journal.path) > 4 * len(log)
    for number in numbers:
        journal.delivered(number)
    assert os.path.getsize(journal.path) < 100_000


def test_few_of_the_expired_results_keep_their_texts(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "_EXPIRED_TEXTS", 2)
    numbers = [queued(journal, timeout=0) for _dummy in range(4)]
    assert [row.id for row in journal.expire()] == numbers
    assert [journal.result(number) is not None for number in numbers] == [False, False, True, True]


class Clocks:
    """The clocks of this process, as a test wants them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        # Whole seconds: sums of others depend on how long this machine has been up.
        self.wall, self.up = float(int(time.time())), float(int(time.monotonic()))
        patch.setattr(time, "time", lambda: self.wall)
        patch.setattr(time, "monotonic", lambda: self.up)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.mark.parametrize("step", [3 * 3600 + 60, -5 * 3600, 365 * 86400, -365 * 86400])
def test_no_step_of_the_clock_expires_a_result_or_delays_it(
    journal: Journal, clocks: Clocks, step: int
) -> None:
    number = queued(journal)
    journal.failed(number, "connection refused", 5)
    clocks.wall += step
    assert journal.expire() == []
    (row,) = journal.queue()
    assert row.wait == 0
    assert row.left == pytest.approx(_journal.RESULT_TIMEOUT)


def test_a_result_expires_by_the_time_an_agent_was_up(journal: Journal, clocks: Clocks) -> None:
    queued(journal, timeout=600)
    for _dummy in range(9):
        clocks.up += 60
        assert journal.expire() == []
    # Nobody was up for a day, and then the host was booted.
    clocks.up += 86400
    assert journal.queue()[0].left == pytest.approx(60)
    clocks.up = 3.0
    assert journal.expire() == []
    clocks.up += 30
    # Another toolchain's agent says nothing about ours.
    clocks.up += 30
    assert journal.expire("other") == []
    assert [row.title for row in journal.expire("default")] == ["hello/1.0"]


def test_two_agents_do_not_count_twice(journal: Journal, clocks: Clocks) -> None:
    queued(journal)
    for _dummy in range(10):
        clocks.up += 10
        journal.expire()
        journal.expire()
    assert journal.queue()[0].uptime == pytest.approx(100)


def test_a_task_without_an_owner_gets_its_grace_by_no_clock_of_the_wall(
    journal: Journal, clocks: Clocks
) -> None:
    number = accept(journal)
    clocks.wall += 86400
    assert journal.orphans([], 3600) == []
    clocks.up += 3601
    assert [row.id for row in journal.orphans([], 3600)] == [number]
    clocks.up = 1.0
    # Whoever asked for it did not live through the boot.
    assert [row.id for row in journal.orphans([], 3600)] == [number]


def test_a_task_that_no_controller_gave(journal: Journal) -> None:
    number = journal.note(TASK, toolchain="default", owner="1-0@5.000", logs="/logs/hello")
    assert [row.id for row in journal.orphans([], 0)] == [number]
    assert journal.store(number, RESULT, culprit="task", reason="update error")
    assert not journal.store(number, RESULT)
    assert journal.queue() == journal.expire() == []
    (row,) = journal.latest(5)
    assert (row.state, row.status, row.controller, row.logs) == (
        *("done", "error", "", "/logs/hello"),
    )
    assert journal.result(number) is None
    dead = journal.note(TASK, toolchain="default")
    settle(journal, dead)
    assert (journal.latest(1)[0].state, journal.latest(1)[0].status) == ("done", "abort")


def test_the_last_task_of_a_name(journal: Journal) -> None:
    first, second = accept(journal), accept(journal)
    for version, number in ((None, second), ("1.0", second), ("2.0", None)):
        found = journal.find("hello", version)
        assert (found.id if found else None) == number
    assert journal.find("hell") is None
    assert first < second


def test_a_result_that_is_postponed(journal: Journal) -> None:
    number = queued(journal)
    journal.failed(number, "no", 300)
    journal.postpone(number, 5)
    (row,) = journal.queue()
    assert row.attempts == 1
    assert row.wait > 250
    journal.failed(number, "no", 1e9)
    assert journal.queue()[0].wait <= _journal.LONGEST_PAUSE


ODD: tuple[tuple[str, t.Any], ...] = (
    ("phases", ""),
    ("phases", "[" * 100_000),
    ("phases", '{"work": "x"}'),
    ("upload_urls", "[]"),
    ("upload_urls", '{"bindist": null}'),
    ("received", "yesterday"),
    ("lifetime", float("inf")),
    ("uptime", b"\0\1"),
    ("next_try", "soon"),
    ("attempts", 1.5),
    ("size_limit", "all"),
    ("session", b"\xff\xfe"),
    ("task", b"\xff"),
    ("name", b"\x80"),
    ("owner", b"\xc3"),
    ("state", "lost"),
    ("state", b"\xff"),
)


@pytest.mark.parametrize(("column", "value"), ODD)
def test_an_odd_value_sets_its_entry_aside(journal: Journal, column: str, value: t.Any) -> None:
    good, bad = queued(journal), queued(journal)
    with sqlite3.connect(journal.path) as db:
        # As a text that is none, not as a blob.
        cast = "CAST(? AS TEXT)" if isinstance(value, bytes) and value != b"\0\1" else "?"
        db.execute(f"UPDATE tasks SET {column} = {cast} WHERE id = ?", (value, bad))
    db.close()
    with pytest.raises(JournalError, match=f"task {bad} .* is damaged: odd values of {column}"):
        journal.get(bad)
    shown = {row.id: row.state for row in journal.latest(9)}
    assert shown[good] == "queued"
    (line,) = journal.set_aside_damaged()
    assert line.startswith(f"task {bad} in the journal")
    assert line.endswith(f": odd values of {column}")
    assert journal.set_aside_damaged() == []
    assert [row.id for row in journal.queue()] == [good]
    assert journal.latest(1)[0].state == "damaged"
    settle(journal, bad)
    journal.delivered(good)


@pytest.mark.parametrize("value", ["garbage", b"\xff\xff", "", ": 1\nname: x\n"])
def test_a_result_that_cannot_be_read(journal: Journal, value: t.Any) -> None:
    number = queued(journal)
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE results SET text = CAST(? AS TEXT)", (value,))
    db.close()
    entry = journal.get(number)
    assert entry is not None
    with pytest.raises(JournalError) as caught:
        journal.request(entry)
    assert not caught.value.temporary


def test_a_signature_that_cannot_be_read(journal: Journal) -> None:
    entry = journal.get(queued(journal, answer="====") or accept(journal))
    assert entry is not None
    with pytest.raises(JournalError, match="invalid input"):
        journal.request(entry)


def test_a_task_that_cannot_be_read_is_set_aside_when_it_is_settled(journal: Journal) -> None:
    number = accept(journal)
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE tasks SET task = 'nonsense'")
    db.close()
    settle(journal, number)
    assert journal.latest(1)[0].state == "damaged"
    assert "':' expected" in journal.latest(1)[0].reason


def use(journal: Journal) -> None:
    """Do all that an agent and its commands do."""
    steps: list[t.Callable[[], t.Any]] = [
        journal.check,
        journal.set_aside_damaged,
        journal.expire,
        lambda: [settle(journal, row.id) for row in journal.orphans([], 0)],
        lambda: [journal.get(row.id) for row in journal.latest(20)],
        lambda: [journal.request(e) for r in journal.queue() if (e := journal.get(r.id))],
        lambda: [journal.failed(row.id, "no", 5) for row in journal.queue()],
        lambda: [row.wait + row.left + row.age for row in journal.latest(20)],
        lambda: [journal.delivered(row.id) for row in journal.queue()],
        lambda: journal.find("hello"),
        lambda: accept(journal),
    ]
    for step in steps:
        try:
            step()
        except EngineError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "count", [pytest.param(100, id="some"), pytest.param(10_000, id="all", marks=pytest.mark.long)]
)
def test_damaged_files_end_in_our_error_or_none(tmp_path: Path, count: int) -> None:
    """Nothing but our error comes out of a damaged file, of the old form as of the new."""
    pick = random.Random(11)
    old = tmp_path / "old.sqlite"
    make_old(old, 1)
    new = Journal(str(tmp_path / "new.sqlite"))
    for _dummy in range(3):
        queued(new)
        accept(new)
    bases = [old.read_bytes(), Path(new.path).read_bytes()]
    for number in range(count):
        data = bytearray(pick.choice(bases))
        for _dummy in range(pick.randint(1, 8)):
            # Most of a file is empty: aim at what is not.
            at = pick.randrange(len(data))
            while data[at] == 0 and pick.random() < 0.95:
                at = pick.randrange(len(data))
            data[at] = pick.choice([pick.randrange(256), 0, 0xFF, data[at] ^ 1])
        if number % 10 == 0:
            del data[pick.randrange(len(data)) :]
        path = tmp_path / "mutated.sqlite"
        path.write_bytes(data)
        use(Journal(str(path)))
        for each in tmp_path.glob("mutated.sqlite*"):
            each.unlink()


def test_lists_take_no_memory_for_texts(journal: Journal) -> None:
    """Neither a long history nor large results matter to what a status reads."""
    log = "".join(f"a line of a log, number {n}\n" for n in range(100_000))
    large = Result("hello", "1.0", Status.ERROR, (OperationResult("update", Status.ERROR, log),))
    for _dummy in range(4):
        queued(journal, large)
    tracemalloc.start()
    try:
        assert len(journal.queue()) == len(journal.latest(20)) == 4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_no_list_reads_the_whole_history(journal: Journal) -> None:
    """What a status and an agent's round ask is answered by indices, for any history."""
    queued(journal)
    asked: list[str] = []
    with sqlite3.connect(journal.path) as db:
        for condition in (
            "state = 'queued' ORDER BY id",
            "state = 'queued' AND toolchain = 'x' ORDER BY id",
            "state = 'running' ORDER BY id",
            "1 ORDER BY id DESC LIMIT 20",
            "name = 'x' ORDER BY id DESC LIMIT 1",
            "name = 'x' AND version = 'y' ORDER BY id DESC LIMIT 1",
        ):
            plan = db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM tasks WHERE {condition}")
            asked += [row[3] for row in plan]
    db.close()
    assert not [step for step in asked if "TEMP B-TREE" in step]
    assert [step for step in asked if step.startswith("SCAN")] == ["SCAN tasks"]


def test_another_process_makes_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see a new file, and the one waits for the other's transaction."""
    path = str(tmp_path / "journal.sqlite")
    real = schema.transaction
    made: list[int] = []

    def beaten(db: sqlite3.Connection) -> t.Any:
        monkeypatch.setattr(schema, "transaction", real)
        made.append(Journal(path).note(TASK, toolchain="default"))
        return real(db)

    monkeypatch.setattr(schema, "transaction", beaten)
    made.append(Journal(path).note(TASK, toolchain="default"))
    assert [row.id for row in Journal(path).latest(10)] == made[::-1] == [2, 1]
