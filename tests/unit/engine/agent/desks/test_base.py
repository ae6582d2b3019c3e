# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is common to the agent's desks: whatever goes wrong at one of them stays there."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import (
    Answer,
    Bootstrapped,
    Delivered,
    Performed,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.state import Accepted
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.priority import Priority

NAMES = ["recovery", "survey", "tasks", "bootstraps", "asking", "outbox"]

OUTCOMES = {
    "tasks": Performed("success", "none", "", 1.0, "/l"),
    "bootstraps": Bootstrapped(None),
    "asking": Answer(),
    "outbox": Delivered("refused"),
}


@pytest.mark.parametrize("name", NAMES)
def test_an_error_at_one_desk_keeps_no_other_from_its_work(
    office: t.Any, broken: t.Any, name: str, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desks = {each: office.desk(each) for each in NAMES}
    bad = broken()
    monkeypatch.setattr(desks[name], "turn", bad)
    turns: dict[str, list[float]] = {each: [] for each in NAMES if each != name}
    for each in turns:
        monkeypatch.setattr(desks[each], "turn", turns[each].append)
    # However often it is called for.
    rounds = office.work(600, *desks.values(), each=lambda: office.state.call(*NAMES))
    assert rounds > 100
    assert bad.calls
    assert apart(bad.calls) >= 0.999
    # 1 + 2 + 4 + … up to 300 s, or to what the desk rests at most.
    rest = desks[name].longest_rest
    assert len(bad.calls) <= (14 if rest == 300 else 6 + 600 / (0.8 * rest))
    assert all(len(calls) >= 400 for calls in turns.values())
    assert all(apart(calls) >= 0.999 for calls in turns.values())
    assert len(office.lines) == 1
    assert office.lines[0].startswith("error: ")
    assert f"; {name} rests for 1 s" in office.lines[0]
    bad.error = None
    office.work(400, *desks.values())
    assert office.lines[1:] == [f"info: {name}: working again"]


def begin(office: t.Any, name: str) -> t.Any:
    """A desk that has a job under way."""
    desk = office.desk(name)
    if name in ("bootstraps", "asking"):
        office.state.machines = [office.machine("missing" if name == "bootstraps" else "current")]
    elif name == "tasks":
        office.state.accepted.append(Accepted(office.entry(), Priority()))
    else:
        office.entry(stored=True)
    desk.visit()
    assert len(desk.jobs()) == 1, office.lines
    return desk


@pytest.mark.parametrize("name", list(OUTCOMES))
@pytest.mark.parametrize("what", ["ended", "result"])
def test_a_job_that_cannot_be_asked(
    office: t.Any, jobs: t.Any, error: Exception, name: str, what: str, apart: t.Any
) -> None:
    desk = begin(office, name)
    job = desk.jobs()[0]
    calls: list[float] = []
    real = getattr(job, what)

    def fail() -> t.Any:
        calls.append(office.clock())
        raise error

    setattr(job, what, fail)
    job.outcome = OUTCOMES[name]
    office.work(300, desk)
    assert calls
    assert apart(calls) >= 0.8
    assert len(office.errors) <= 3
    assert len(jobs.started) <= 12
    if what == "ended":
        setattr(job, what, real)
        office.work(400, desk)
    assert job not in desk.jobs()
    assert not office.state.places or name == "bootstraps"


@pytest.mark.parametrize("name", list(OUTCOMES))
def test_the_end(office: t.Any, error: Exception, name: str) -> None:
    desk = begin(office, name)
    job = desk.jobs()[0]
    assert not desk.idle()
    office.state.mode = "stop"
    desk.stop(office.clock() + 7)
    if name in ("tasks", "bootstraps"):
        assert job.signals == ["terminate"]
    else:
        assert job.deadline == office.clock() + 2

    def fail() -> None:
        raise error

    job.terminate = job.kill = fail
    desk.stop(office.clock() + 7)
    desk.kill()
    assert "killing " in office.lines[-2] + office.lines[-1]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_begun_by_an_agent_that_ends(office: t.Any, jobs: t.Any, name: str) -> None:
    office.state.mode = "drain"
    desk = office.desk(name)
    office.state.machines = [office.machine("missing")]
    office.work(100, desk, each=lambda: office.state.call(*NAMES))
    assert not jobs.started
    office.state.called.clear()
    assert desk.idle()
