# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking: whoever can be asked is, at his time, whatever happens to the others."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import JobError
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import read_settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import Answer
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.priority import (
    Busy,
    Priority,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.room import Room

URL = "http://127.0.0.1:9/?build-task"


@pytest.fixture
def desk(office: t.Any) -> t.Any:
    office.state.machines = [office.machine()]
    return office.desk("asking")


@pytest.mark.parametrize("name", ["room", "free"])
def test_an_obstacle(
    office: t.Any,
    desk: t.Any,
    jobs: t.Any,
    broken: t.Any,
    apart: t.Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    bad = broken({"room": office.duties.room(), "free": True}[name])
    monkeypatch.setattr(office.duties, name, bad)
    office.work(600, desk, each=lambda: office.state.call("asking", at_once=True))
    assert 3 <= len(bad.calls) <= 14
    assert apart(bad.calls) >= 0.999
    assert len(office.lines) == 1
    bad.error = None
    office.work(400, desk)
    assert len(jobs.started) == 1


@pytest.mark.parametrize("what", ["start", "die", "refuse"])
def test_requests_that_fail(
    office: t.Any, desk: t.Any, jobs: t.Any, error: Exception, what: str, apart: t.Any
) -> None:
    if what == "start":
        jobs.obstacle = error
    elif what == "die":
        jobs.at_once = JobError("task request ended with signal 9")
    else:
        jobs.at_once = Answer(failures=((URL, "HTTP 500"),))
    office.work(3600, desk, each=lambda: office.state.call("asking", at_once=True))
    assert 10 <= len(jobs.attempts) <= 30
    assert apart(jobs.attempts) >= 0.999
    if what == "die":
        assert len(office.lines) == 1
        assert office.lines[0].startswith("error: unable to request a task: task request ended")
    # The hour may end between a job's start and its end.
    assert office.state.asking == bool(desk.sources())


def test_a_task(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    desk.visit()
    assert office.state.asking
    jobs.started[0].outcome = Answer(7, URL, 100)
    desk.visit()
    assert not office.state.asking
    accepted = office.state.accepted
    assert [(each.entry, each.priority.number) for each in accepted] == [(7, 100)]
    # Nobody is asked before that has begun.
    office.work(100, desk, each=lambda: office.state.call("asking", at_once=True))
    assert len(jobs.started) == 1


def test_brakes(office: t.Any, desk: t.Any, jobs: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(questions: t.Any, *_others: t.Any) -> Answer:
        asked.extend(question.machines for question in questions)
        return Answer()

    monkeypatch.setattr(office.duties, "ask", ask)
    office.state.machines = [office.machine(), office.machine(name="m2")]
    office.state.brake.fault("m1", "abnormal")
    desk.visit()
    jobs.started[0].work(None)
    assert asked == [("m2",)]
    jobs.started[0].outcome = Answer()
    office.state.brake.fault(None, "no bridge")
    # The brake lasts for 48 s at least.
    office.work(40, desk)
    assert len(jobs.started) == 1
    office.work(60, desk)
    assert len(jobs.started) == 2


def test_no_machines_are_told_of_once(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    office.state.machines = []
    office.work(100, desk)
    assert office.lines == ["warning: no build machines for toolchain default"]
    assert not jobs.started
    office.state.machines = [office.machine()]
    office.work(30, desk)
    assert len(jobs.started) == 1


@pytest.mark.parametrize(("words", "offered"), [([], ("m1", "m2")), (["--bridge", "br7"], ("m2",))])
def test_a_machine_that_has_a_task_is_offered_but_on_a_bridge(
    office: t.Any,
    desk: t.Any,
    jobs: t.Any,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    offered: tuple[str, ...],
) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(questions: t.Any, *_others: t.Any) -> Answer:
        asked.extend(question.machines for question in questions)
        return Answer()

    monkeypatch.setattr(office.duties, "ask", ask)
    office.duties.settings = read_settings(["--instance-max", "2", *words, URL])
    office.state.machines = [office.machine(), office.machine(name="m2")]
    office.state.working = ["m1"]
    office.state.running = [Busy("m1", Priority())]
    office.state.places = {0}
    desk.visit()
    jobs.started[0].work(None)
    assert asked == [offered]


def test_machines_are_offered_in_order_and_but_once(
    office: t.Any, desk: t.Any, jobs: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(questions: t.Any, headers: t.Any, _others: t.Any) -> Answer:
        asked.extend(question.machines for question in questions)
        assert [header.name for header in headers.values()] == list(asked[0])
        return Answer()

    monkeypatch.setattr(office.duties, "ask", ask)
    office.duties.settings = read_settings(["--machine-order", "m3", "--machine-order", "m?", URL])
    machines = [office.machine(name=name) for name in ("m1", "a1", "m3", "m2")]
    # One of a name that another one has, as the survey leaves it.
    office.state.machines = [*machines, office.machine("broken", "m3")]
    desk.visit()
    jobs.started[0].work(None)
    assert asked == [("m3", "m1", "m2", "a1")]


def test_a_fault_of_the_host_is_no_controllers(
    office: t.Any, desk: t.Any, jobs: t.Any, apart: t.Any
) -> None:
    jobs.at_once = Answer(obstacle="the journal cannot be used: the disk is full")
    office.work(3600, desk)
    assert len(office.errors) == 1
    assert "nobody is asked for tasks until that is mended: the journal" in office.errors[0]
    assert apart(jobs.attempts) >= 12
    # Whenever it is mended, somebody is asked within a minute.
    jobs.at_once = Answer()
    before = len(jobs.attempts)
    office.work(60, desk)
    assert len(jobs.attempts) > before
    assert office.lines[-1] == "info: asking: working again"


def test_a_disk_that_fills_up_is_told_of_once(
    office: t.Any, desk: t.Any, jobs: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = ["less than 1024 MiB are free in /m"]
    monkeypatch.setattr(Room, "disk_objection", property(lambda _room: "".join(full)))
    office.work(3600, desk)
    assert not jobs.attempts
    assert office.errors == [
        "error: nobody is asked for tasks until that is mended: less than 1024 MiB are free in /m"
    ]
    full.clear()
    jobs.at_once = Answer()
    office.work(60, desk)
    assert jobs.attempts
    assert office.lines[-1] == "info: asking: working again"


def test_a_task_has_a_head_start(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    office.duties.settings = read_settings(["--instance-max", "9", URL])
    began = office.clock.now
    office.state.begun = [began - 100, began]
    office.state.places = {0, 1}
    office.state.call("asking", at_once=True)
    office.work(2, desk, each=lambda: office.state.call("asking", at_once=True))
    assert jobs.started == []
    office.work(2, desk)
    assert len(jobs.started) == 1
