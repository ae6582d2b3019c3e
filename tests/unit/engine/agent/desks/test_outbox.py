# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outbox: each result at its time, whatever its job, the journal or the clock does."""

from __future__ import annotations

import sqlite3
import time
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import duties as _duties
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import JobError
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import Delivered
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError


@pytest.mark.parametrize("what", ["expire", "queue"])
def test_a_journal_that_cannot_be_used(
    office: t.Any, broken: t.Any, what: str, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("outbox")
    office.entry(stored=True)
    bad = broken(getattr(office.duties.journal, what))
    monkeypatch.setattr(office.duties.journal, what, bad)
    office.work(600, desk, each=lambda: office.state.call("outbox", at_once=True))
    assert 3 <= len(bad.calls) <= 14
    assert apart(bad.calls) >= 0.999
    assert len(office.lines) == 1
    bad.error = None
    office.work(400, desk)
    assert len(desk.jobs()) == 1


@pytest.mark.parametrize(
    "outcome",
    [
        JobError("it ended with signal 9"),
        Delivered("the disk is full", noted=False),
        # Somebody else has the lock of the upload: the entry stays where it is.
        Delivered(None),
    ],
    ids=["died", "not noted", "locked"],
)
def test_an_attempt_that_leaves_nothing_in_the_journal(
    office: t.Any, jobs: t.Any, outcome: t.Any, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("outbox")
    office.entry(stored=True)
    jobs.at_once = outcome
    monkeypatch.setattr(office.duties.journal, "failed", lambda *_arguments: None)
    office.work(1200, desk, each=lambda: office.state.call("outbox"))
    # 5 + 10 + … + 320 s, and then 600 s each.
    assert 7 <= len(jobs.attempts) <= 11
    assert apart(jobs.attempts) >= 4
    assert len(office.lines) <= 1


def test_a_job_that_cannot_be_started(
    office: t.Any,
    jobs: t.Any,
    error: Exception,
    apart: t.Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + office.clock())
    desk = office.desk("outbox")
    first, second = office.entry(stored=True), office.entry(version="2.0", stored=True)
    jobs.obstacle = error
    office.work(600, desk)
    assert apart(jobs.attempts[::2]) >= 4
    assert len(jobs.attempts) <= 20
    # It counts as a failed attempt.
    for number in (first, second):
        entry = office.duties.journal.get(number)
        assert entry.attempts >= 4
        assert entry.last_error
    assert len(office.errors) == 2
    jobs.obstacle = None
    office.duties.journal.failed = lambda *_arguments: None
    office.work(700, desk)
    assert len(jobs.started) == 2


def test_a_failure_in_the_journal_is_not_tried_again_at_once(
    office: t.Any, jobs: t.Any, apart: t.Any
) -> None:
    # As where the controller said that the result is too large, for ever.
    desk = office.desk("outbox")
    office.entry(stored=True)
    jobs.at_once = Delivered("HTTP 413")
    rounds = office.work(60, desk, each=lambda: office.state.call("outbox", at_once=True))
    assert rounds > 60
    assert len(jobs.attempts) <= 60
    assert apart(jobs.attempts) >= 0.999


@pytest.mark.parametrize("step", [3 * 3600, -5 * 3600, -1e9, 1e9])
def test_steps_of_the_wall_clock(
    office: t.Any, jobs: t.Any, step: float, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("outbox")
    number = office.entry(stored=True)
    office.duties.journal.failed(number, "refused", 5.0)
    real = time.time
    monkeypatch.setattr(office.duties.journal, "expire", lambda _toolchain: [])
    monkeypatch.setattr(time, "time", lambda: real() + step)
    jobs.at_once = Delivered("refused")
    office.work(30, desk)
    # What is further away than the longest pause is due, but no more than once a second.
    assert 1 <= len(jobs.attempts) <= 31
    assert apart(jobs.attempts) >= 0.999


@pytest.mark.parametrize("next_try", [0, -1e300, 1e300])
def test_a_time_that_cannot_be(office: t.Any, jobs: t.Any, next_try: float) -> None:
    desk = office.desk("outbox")
    number = office.entry(stored=True)
    with sqlite3.connect(office.duties.journal.path) as db:
        db.execute("UPDATE tasks SET next_try = ? WHERE id = ?", (next_try, number))
    office.work(10, desk)
    assert len(jobs.started) == 1


@pytest.mark.parametrize("next_try", ["soon", b"\0", float("inf")])
def test_a_time_that_is_none(office: t.Any, jobs: t.Any, next_try: t.Any) -> None:
    outbox, recovery = office.desk("outbox"), office.desk("recovery")
    number = office.entry(stored=True)
    with sqlite3.connect(office.duties.journal.path) as db:
        db.execute("UPDATE tasks SET next_try = ? WHERE id = ?", (next_try, number))
    office.work(100, recovery, outbox)
    # The journal sets the entry aside: it is not known what else is wrong with it.
    assert not jobs.started
    assert len(office.errors) == 1
    assert [row.state for row in office.duties.journal.latest(1)] == ["damaged"]


def test_no_more_than_four_at_once(office: t.Any, jobs: t.Any) -> None:
    desk = office.desk("outbox")
    for number in range(7):
        office.entry(version=f"{number}.0", stored=True)
    office.work(10, desk)
    assert len(desk.jobs()) == 4
    jobs.started[0].outcome = Delivered("refused")
    office.work(0.5, desk)
    assert len(jobs.started) == 5


def test_each_result_has_its_chance_before_the_end(office: t.Any, jobs: t.Any) -> None:
    desk = office.desk("outbox")
    for number in range(6):
        office.entry(version=f"{number}.0", stored=True)
    office.state.mode = "drain"
    assert not desk.idle()
    desk.visit()
    for count in range(6):
        assert not desk.idle()
        jobs.started[count].outcome = JobError("it ended with signal 9")
        desk.visit()
    assert len(jobs.started) == 6
    # But nobody waits for what is to be tried again later.
    assert desk.idle()


def test_an_entry_that_is_expired_is_told_of(
    office: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("outbox")
    entry = office.duties.journal.get(office.entry(stored=True))
    monkeypatch.setattr(office.duties.journal, "expire", lambda _toolchain: [entry])
    desk.visit()
    assert "the result of task hello/1.0 from" in office.errors[0]


def test_words_of_any_error(office: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = office.entry(stored=True)
    for failure in (OSError(28, "full"), KeyError("x"), EngineError("why")):

        def fail(*_arguments: t.Any, failure: Exception = failure) -> None:
            raise failure

        monkeypatch.setattr(_duties, "deliver", fail)
        result = office.duties.deliver(number)
        assert result.error
        assert not result.noted
