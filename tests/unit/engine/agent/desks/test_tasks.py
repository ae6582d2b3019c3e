# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks: each has a performer, or a result; and the host's faults put the brake on."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import JobError
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import read_settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import Performed
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.state import Accepted
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.priority import Priority
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status


@pytest.fixture
def desk(office: t.Any) -> t.Any:
    return office.desk("tasks")


def accept(office: t.Any, priority: int = 0, **facts: t.Any) -> int:
    number: int = office.entry(**facts)
    office.state.accepted.append(Accepted(number, Priority(priority)))
    office.state.call("tasks", at_once=True)
    return number


def test_one_that_cannot_be_begun_is_settled_at_once(
    office: t.Any, desk: t.Any, jobs: t.Any, error: Exception
) -> None:
    number = accept(office)
    jobs.obstacle = error
    desk.visit()
    entry = office.duties.journal.get(number)
    assert (entry.state, entry.status, entry.culprit) == ("queued", "interrupt", "host")
    assert entry.reason
    assert "cannot be begun: " in office.errors[0]
    assert len(office.errors) == 1
    assert not office.state.places
    assert "outbox" in office.state.called
    assert office.state.brake.holds()
    assert desk.idle()


def test_a_journal_that_cannot_be_used(
    office: t.Any,
    desk: t.Any,
    jobs: t.Any,
    broken: t.Any,
    apart: t.Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = accept(office)
    bad = broken(office.duties.journal.get)
    monkeypatch.setattr(office.duties.journal, "get", bad)
    office.work(600, desk)
    # Once to begin it, then to settle it.
    assert 3 <= len(bad.calls) <= 20
    assert apart(bad.calls[1:]) >= 0.999
    assert len(office.errors) == 2
    bad.error = None
    office.work(100, desk)
    assert not jobs.started
    assert office.duties.journal.get(number).state == "queued"


def test_one_that_died_before_the_job_had_made_it_its_own(office: t.Any, desk: t.Any) -> None:
    number = accept(office)
    desk.visit()
    desk.jobs()[0].outcome = JobError("it ended with signal 9")
    desk.visit()
    entry = office.duties.journal.get(number)
    assert (entry.state, entry.reason) == ("queued", "it ended with signal 9")
    assert "recovery" in office.state.called
    assert office.state.brake.holds()
    # One that had is settled with its lease, which knows of a result that may have arrived.
    office.clock.now += 10
    number = accept(office, version="2.0")
    desk.visit()
    office.duties.journal.own(number, "1-7@3.000", "/l")
    desk.jobs()[0].outcome = JobError("it ended with signal 9")
    desk.visit()
    assert office.duties.journal.get(number).state == "running"


@pytest.mark.parametrize(
    ("culprit", "host", "machine"),
    [
        ("none", False, False),
        ("task", False, False),
        ("machine", False, True),
        ("host", True, False),
    ],
)
def test_brakes(office: t.Any, desk: t.Any, culprit: t.Any, host: bool, machine: bool) -> None:
    accept(office)
    desk.visit()
    assert office.state.working == ["m1"]
    assert office.state.titles == ["task hello/1.0 on machine m1"]
    assert office.state.places == {0}
    desk.jobs()[0].outcome = Performed("abort", culprit, "why", 1.0, "/l")
    desk.visit()
    brake = office.state.brake
    assert (brake.holds(), brake.holds("m1"), brake.holds("m2")) == (host, machine, False)
    # One alarm, whoever is to blame.
    assert len(office.errors) == (1 if host or machine else 0)
    assert office.state.called["asking"]
    office.clock.now += 73
    assert not brake.holds()
    assert not brake.holds("m1")


@pytest.mark.parametrize("culprit", ["task", "machine"])
def test_what_a_task_can_bring_about_is_the_machines_fault_only_in_a_row(
    office: t.Any, desk: t.Any, culprit: t.Any
) -> None:
    def perform(*, at_will: bool) -> bool:
        office.clock.now += 10
        accept(office, version=f"{office.clock.now:.0f}")
        desk.visit()
        desk.jobs()[0].outcome = Performed(
            "abort", culprit if at_will else "none", "why", 1.0, "/l", at_will=at_will
        )
        desk.visit()
        return bool(office.state.brake.holds("m1"))

    outcomes = [perform(at_will=at_will) for at_will in (True, True, False, True, True)]
    assert outcomes == [False] * 5
    assert office.errors == []
    assert len([line for line in office.lines if line.startswith("warning: ")]) == 4
    assert perform(at_will=True)
    assert len(office.errors) == 1
    assert not office.state.brake.holds()
    # From now on each is one, with longer and longer pauses.
    office.clock.now += 80
    assert perform(at_will=True)


def test_a_brake_doubles_and_is_let_go_of(office: t.Any) -> None:
    brake, pauses = office.state.brake, []
    for _dummy in range(9):
        brake.fault(None, "why")
        # Another one of what was running then.
        brake.fault(None, "why")
        began = office.clock.now
        while brake.holds():
            office.clock.now += 1
        pauses.append(office.clock.now - began)
    for number, pause in enumerate(pauses):
        assert min(0.8 * 60 * 2**number, 0.8 * 3600) <= pause <= min(73 * 2**number, 3601)
    assert len(office.lines) == 9
    assert all(
        line.startswith("warning: no task is asked for in the next") for line in office.lines
    )
    brake.released("m1", office.clock.now)
    brake.fault(None, "why")
    office.clock.now += 73
    assert not brake.holds()


def test_the_higher_interrupts_the_lower(office: t.Any, desk: t.Any) -> None:
    low = accept(office)
    desk.visit()
    accept(office, 100, version="2.0")
    desk.visit()
    first, second = desk.jobs()
    assert first.signals == ["terminate"]
    assert second.signals == []
    entry = office.duties.journal.get(low)
    assert (entry.state, entry.status) == ("queued", str(Status.INTERRUPT))
    first.outcome = Performed("abort", "none", "interrupted", 0.0, "/l")
    desk.visit()
    assert office.state.places == {1}
    assert not office.errors


@pytest.mark.parametrize(("words", "interrupted"), [([], []), (["--bridge", "br7"], ["terminate"])])
def test_a_machine_is_for_several_tasks_but_on_a_bridge(
    office: t.Any, desk: t.Any, words: list[str], interrupted: list[str]
) -> None:
    office.duties.settings = read_settings(["--instance-max", "2", *words, "http://h/"])
    accept(office)
    desk.visit()
    accept(office, 100, version="2.0")
    desk.visit()
    first, second = desk.jobs()
    assert (first.signals, second.signals) == (interrupted, [])
    assert office.state.working == ["m1", "m1"]


def test_one_that_comes_when_the_agent_ends(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    office.state.mode = "stop"
    number = accept(office)
    assert not desk.idle()
    desk.visit()
    assert office.duties.journal.get(number).state == "queued"
    assert not jobs.started
    assert not office.state.brake.holds()
    assert desk.idle()
