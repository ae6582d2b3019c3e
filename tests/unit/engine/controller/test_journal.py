# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: nothing that a controller gave is forgotten, nothing is told twice."""

from __future__ import annotations

import dataclasses
import os
import stat
import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller import (
    journal as _journal,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Journal,
    JournalError,
    settle,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.schema import changing
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


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "state" / "journal.sqlite"))


# Of a brep that knows interrupted tasks.
NEWER = dataclasses.replace(RESPONSE, session="t/hello/1.0/linux/default//public/0.17.0/1")


def accept(journal: Journal, response: TaskResponse = RESPONSE, **more: object) -> int:
    facts = {"toolchain": "default", "controller": "https://x/", "answer": "AAAA", **more}
    return journal.accept(response, **facts)  # type: ignore[arg-type]


def test_an_older_controller_is_told_nothing_of_an_interrupted_task(journal: Journal) -> None:
    number = accept(journal)
    settle(journal, number)
    assert journal.queue() == []
    (row,) = journal.latest(1)
    assert (row.state, row.status, row.reason) == (
        *("done", "interrupt", "the agent was interrupted"),
    )


def test_the_life_of_a_task(journal: Journal) -> None:
    assert journal.latest(5) == []
    assert journal.queue() == []
    assert not os.path.exists(journal.path)
    number = accept(journal, agent_checksum="1")
    entry = journal.get(number)
    assert entry is not None
    assert (entry.state, entry.title, entry.machine) == ("running", "hello/1.0", "tiny")
    assert entry.task == TASK.to_text()
    assert entry.upload_urls == {"bindist": "https://x/u"}
    assert (entry.lifetime, entry.uptime) == (_journal.RESULT_TIMEOUT, 0)
    assert stat.S_IMODE(os.stat(journal.path).st_mode) == 0o600

    journal.own(number, "1-0@5.000", "/logs")
    assert journal.store(number, RESULT, culprit="task", reason="update error")
    # The first one counts.
    assert not journal.store(number, Result.for_task(TASK))
    journal.describe(number, culprit="task", reason="update error", phases={"work": 1.5})
    (entry,) = journal.queue("default")
    assert journal.queue("other") == []
    assert (entry.state, entry.status, entry.phases) == ("queued", "error", {"work": 1.5})
    queued = journal.get(number)
    assert queued is not None
    request = journal.request(queued)
    assert (request.session, request.challenge, request.agent_checksum) == (
        *("session/1", b"\0\0\0", "1"),
    )
    assert request.result.to_mapping() == RESULT.to_mapping()

    journal.failed(number, "refused", 100)
    journal.limit(number, 5000)
    journal.failed(number, "refused again", 200)
    (entry,) = journal.queue()
    assert (entry.attempts, entry.last_error, entry.size_limit) == (2, "refused again", 5000)
    assert entry.next_try == pytest.approx(time.time() + 200, abs=5)
    journal.delivered(number)
    assert journal.queue() == []
    delivered = journal.get(number)
    assert delivered is not None
    # The signature is nobody's business any more, and the text is in the logs.
    assert (delivered.state, delivered.answer, delivered.last_error) == ("delivered", None, "")
    assert journal.result(number) is None
    journal.failed(number, "late", 1)
    journal.postpone(number, 1)
    assert journal.get(number) == delivered


def test_an_expired_result_is_kept_for_reading(journal: Journal) -> None:
    number = accept(journal, timeout=-1)
    assert journal.expire() == []
    journal.store(number, RESULT)
    (entry,) = journal.expire()
    assert entry.id == number
    assert journal.expire() == []
    assert journal.queue() == []
    kept = journal.get(number)
    assert kept is not None
    assert (kept.state, journal.result(number)) == ("expired", RESULT.to_text())


def test_orphans(journal: Journal) -> None:
    mine, dead = accept(journal, owner="1-0@5.000"), accept(journal, owner="1-0@4.000")
    fresh, done = accept(journal), accept(journal)
    journal.store(done, RESULT)
    found = {entry.id for entry in journal.orphans(["1-0@5.000"], grace=60)}
    assert found == {dead}
    assert {entry.id for entry in journal.orphans([], grace=-1)} == {mine, dead, fresh}


@pytest.mark.parametrize(
    ("delivered", "status"),
    [
        (None, Status.INTERRUPT),
        ("", Status.INTERRUPT),
        (": 1\nname: hello\nversion: 1.0\nstatus: success\n", Status.SUCCESS),
        (": 1\nname: unknown\nversion: 0\nstatus: abnormal\n", Status.ABNORMAL),
        (": 1\nname: other\nversion: 1.0\nstatus: success\n", Status.INTERRUPT),
        ("garbage", Status.INTERRUPT),
    ],
)
def test_settling_the_task_of_the_dead(
    journal: Journal, tmp_path: Path, delivered: str | None, status: Status
) -> None:
    number = accept(journal, response=NEWER)
    place = tmp_path / "manifest"
    if delivered is not None:
        place.write_text(delivered)
    settle(journal, number, str(place))
    (entry,) = journal.queue()
    assert entry.status == str(status)
    found = journal.get(number)
    assert found is not None
    assert journal.request(found).result.name == "hello"
    settle(journal, number)
    assert journal.queue() == [entry]
    settle(journal, 4711)


def test_the_history_is_limited(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "_HISTORY", 3)
    for _dummy in range(4):
        number = accept(journal)
        journal.store(number, RESULT)
        journal.delivered(number)
    waiting = accept(journal)
    journal.store(waiting, RESULT)
    for _dummy in range(6):
        accept(journal)
    # What was delivered goes, what was not never does.
    assert [entry.id for entry in journal.latest(99) if entry.state == "delivered"] == []
    assert [entry.id for entry in journal.queue()] == [waiting]


def test_a_journal_that_cannot_be_used(tmp_path: Path) -> None:
    broken = tmp_path / "journal.sqlite"
    broken.write_bytes(b"no database at all" * 100)
    for act in (Journal(str(broken)).check, Journal(str(broken)).queue):
        with pytest.raises(
            JournalError, match=r"journal\.sqlite cannot be used: file is not a database"
        ):
            act()
    with pytest.raises(JournalError, match="cannot be used"):
        Journal("/proc/none/journal.sqlite").check()


def test_an_entry_is_a_value(journal: Journal) -> None:
    number = accept(journal)
    entry = journal.get(number)
    assert entry is not None
    assert dataclasses.replace(entry) == entry
    assert journal.get(number + 1) is None


def test_what_has_become_of_tasks_lately(tmp_path: Path) -> None:
    assert Journal(str(tmp_path / "none")).tally(60.0) == (
        0,
        {str(status): 0 for status in Status},
    )
    journal = Journal(str(tmp_path / "journal"))
    now = time.time()
    ended = [("success", -30), ("success", -50), ("error", -70), ("abort", 40), ("odd", -1)]
    for status, ago in [*ended, (b"\xff", -1), (None, -1), ("error", "x")]:
        number = journal.note(TASK, toolchain="default")
        finished = now + ago if isinstance(ago, int) else ago
        with changing(journal.path) as db:
            values = (status, finished, number)
            db.execute("UPDATE tasks SET status = ?, finished = ? WHERE id = ?", values)
    total, lately = journal.tally(60.0)
    assert total == 8
    assert {status: count for status, count in lately.items() if count} == {"success": 2}
    assert journal.tally(80.0)[1]["error"] == 1
