# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bootstraps: a machine that fails rests, and keeps no other from being bootstrapped."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import JobError
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import Bootstrapped


@pytest.fixture
def desk(office: t.Any) -> t.Any:
    office.state.machines = [office.machine("missing", "m1"), office.machine("missing", "m2")]
    return office.desk("bootstraps")


def test_a_machine_that_cannot_be_looked_at(
    office: t.Any,
    desk: t.Any,
    jobs: t.Any,
    broken: t.Any,
    apart: t.Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = office.duties.plan
    bad = broken(real)
    monkeypatch.setattr(
        office.duties, "plan", lambda machine: (bad if machine.name == "m1" else real)(machine)
    )
    office.work(3600, desk, each=lambda: office.state.call("bootstraps", at_once=True))
    assert [job.name for job in jobs.started] == ["bootstrap of m2"]
    # It takes the only place.
    assert len(bad.calls) == 1
    assert "machine m1 is not available: " in office.errors[0]
    jobs.started[0].outcome = Bootstrapped(None, changed=True)
    office.state.machines = [office.machine("missing", "m1"), office.machine("current", "m2")]
    office.work(7200, desk, each=lambda: office.state.call("bootstraps", at_once=True))
    assert 5 <= len(bad.calls) <= 10
    assert apart(bad.calls) >= 40


@pytest.mark.parametrize("what", ["start", "die", "fail", "busy", "unsaved"])
def test_bootstraps_that_fail(
    office: t.Any, jobs: t.Any, error: Exception, what: str, apart: t.Any
) -> None:
    office.state.machines = [office.machine("missing")]
    desk = office.desk("bootstraps")
    if what == "start":
        jobs.obstacle = error
    else:
        jobs.at_once = {
            "die": JobError("it ended with signal 9"),
            "fail": Bootstrapped("startup timeout", logs="/l"),
            "busy": Bootstrapped("somebody else does it", busy=True),
            "unsaved": Bootstrapped(None, unsaved="no space"),
        }[what]
    office.work(7200, desk, each=lambda: office.state.call("bootstraps", at_once=True))
    assert 6 <= len(jobs.attempts) <= 10
    assert apart(jobs.attempts) >= 40
    # One may just have been begun.
    assert len(office.state.places) == len(desk.jobs())
    if what in ("start", "die", "fail"):
        assert office.lease.told[-1].keys() == {"failed"}


def test_one_that_is_never_done_with(office: t.Any, desk: t.Any, jobs: t.Any, apart: t.Any) -> None:
    # Somebody deletes the machine again and again.
    jobs.at_once = Bootstrapped(None, changed=True)
    office.state.machines = [office.machine("missing")]
    office.work(20, desk, each=lambda: office.state.call("bootstraps", at_once=True))
    assert len(jobs.attempts) <= 21
    assert apart(jobs.attempts) >= 0.999


def test_the_place_of_a_task_is_left_to_it(office: t.Any, desk: t.Any, jobs: t.Any) -> None:
    office.state.asking = True
    office.work(30, desk)
    assert not jobs.started
    office.state.asking = False
    office.state.call("bootstraps")
    office.work(30, desk)
    assert len(jobs.started) == 1
    assert office.state.places == {0}
    assert office.state.bootstrapping


def test_a_lease_that_cannot_be_told(
    office: t.Any, desk: t.Any, jobs: t.Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_facts: t.Any) -> None:
        raise error

    monkeypatch.setattr(office.lease, "tell", fail)
    jobs.at_once = Bootstrapped("startup timeout")
    office.work(100, desk, each=lambda: office.state.call("bootstraps"))
    assert {job.name for job in jobs.started} == {"bootstrap of m1", "bootstrap of m2"}
