# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rehearsals: a broken host takes one task, and goes on within a minute of being mended."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import duties as _duties
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import JobError
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import (
    Answer,
    Bootstrapped,
    Rehearsed,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError

FULL = OSError(28, "No space left on device", "/x")


@pytest.fixture
def desk(office: t.Any) -> t.Any:
    office.state.machines = [office.machine()]
    return office.desk("rehearsals")


def requests(jobs: t.Any) -> int:
    return sum(job.name == "task request" for job in jobs.started)


def test_nothing_is_rehearsed_on_a_host_that_is_well(
    office: t.Any, desk: t.Any, jobs: t.Any
) -> None:
    office.work(600, desk)
    office.state.brake.fault("m1", "abnormal")
    office.work(600, desk)
    assert jobs.started == []


def test_until_it_is_mended_and_within_a_minute(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    asking = office.desk("asking")
    office.state.brake.fault(None, "no bridge br1")
    jobs.at_once = Rehearsed("no bridge br1")
    office.work(7200, desk, asking)
    assert requests(jobs) == 0
    assert 200 <= len(jobs.started) <= 600
    assert len(office.errors) == 1
    assert not office.state.places
    mended = office.clock.now
    jobs.at_once = Rehearsed()
    office.work(60, desk, each=lambda: None)
    assert office.state.brake.mended == 1
    jobs.at_once = Answer()
    office.work(60 - (office.clock.now - mended) + 30, asking)
    assert requests(jobs) >= 1


def test_one_that_dies_is_one_that_fails(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    office.state.brake.fault(None, "odd")
    jobs.at_once = JobError("rehearsal ended with signal 9")
    office.work(30, desk)
    assert office.state.brake.holds()
    assert "recovery" in office.state.called
    office.work(7200, desk)
    assert office.state.brake.holds()
    assert len(office.errors) == 1


def test_one_that_nobody_could_make_says_nothing(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    office.state.brake.fault(None, "odd")
    jobs.at_once = Rehearsed(busy=True)
    office.work(100, desk)
    assert not office.state.brake.holds()
    assert office.state.brake.mended == 0


def test_jobs_that_cannot_be_started_are_tried_again(
    office: t.Any, desk: t.Any, jobs: t.Any, error: Exception, apart: t.Any
) -> None:
    office.state.brake.fault(None, "odd")
    jobs.obstacle = error
    office.work(60, desk)
    assert 3 <= len(jobs.attempts) <= 10
    assert apart(jobs.attempts) >= 0.999
    assert len(office.errors) == 1


def test_machines_that_are_of_no_use_are_left_alone(
    office: t.Any, desk: t.Any, jobs: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsed: list[list[str]] = []

    def rehearse(machines: t.Any, _place: int, _alive: t.Any) -> Rehearsed:
        rehearsed.append([machine.name for machine in machines])
        return Rehearsed()

    monkeypatch.setattr(office.duties, "rehearse", rehearse)
    office.state.machines = [
        *(office.machine("missing", f"new{n}") for n in range(9)),
        office.machine("broken", "odd"),
        office.machine("unlinked", "gone"),
        *(office.machine(name=f"m{n}") for n in range(3)),
    ]
    office.state.brake.fault(None, "odd")
    desk.visit()
    jobs.started[0].work(None)
    (names,) = rehearsed
    assert len(names) == 5
    assert set(names[:3]) == {"m0", "m1", "m2"}


def test_a_machine_whose_bootstrap_failed_by_the_host_is_tried_again_when_it_is_mended(
    office: t.Any, desk: t.Any, jobs: t.Any
) -> None:
    bootstraps = office.desk("bootstraps")
    office.state.machines = [office.machine("missing")]
    jobs.at_once = Bootstrapped("no bridge br1", culprit="host")
    for _dummy in range(5):
        office.work(4000, bootstraps)
    attempts = len(jobs.attempts)
    # It rests for most of an hour now.
    jobs.at_once = Rehearsed("no bridge br1")
    office.state.brake.suspect()
    office.work(16, desk)
    assert office.state.brake.holds()
    jobs.at_once = Rehearsed()
    office.work(16, desk)
    jobs.at_once = Bootstrapped(None, changed=True)
    attempts = len(jobs.attempts)
    office.work(5, bootstraps)
    assert len(jobs.attempts) > attempts
    assert office.lines[-1] == "info: machine m1: done"


@pytest.mark.parametrize(
    ("failing", "error", "outcome"),
    [
        ((), FULL, Rehearsed()),
        (("m1",), FULL, Rehearsed()),
        (("m1", "m2"), FULL, Rehearsed("the build host failed: /x: No space left on device")),
        # What says nothing about the host.
        (("m1", "m2"), LockError("another has it"), Rehearsed(busy=True)),
        (("m1", "m2"), HostError("no disk", culprit="machine"), Rehearsed(busy=True)),
    ],
)
def test_one_machine_that_could_be_run_shows_that_the_host_is_well(
    office: t.Any,
    monkeypatch: pytest.MonkeyPatch,
    failing: tuple[str, ...],
    error: Exception,
    outcome: Rehearsed,
) -> None:
    def rehearse(_host: t.Any, machine: t.Any, *_more: t.Any) -> None:
        if machine.name in failing:
            raise error

    monkeypatch.setattr(_duties, "rehearse", rehearse)
    monkeypatch.setattr(office.duties, "toolchain", lambda: None)
    machines = [office.machine(), office.machine(name="m2")]
    assert office.duties.rehearse(machines, 0, lambda: True) == outcome
    assert office.duties.rehearse(machines, 0, lambda: False) == Rehearsed(busy=True)
