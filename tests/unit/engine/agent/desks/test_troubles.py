# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What desks and brake say is wrong: from when it goes wrong until it goes well."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.loop import _tell_troubles
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import (
    Answer,
    Bootstrapped,
)

URL = "http://127.0.0.1:9/?build-task"


def ask(office: t.Any, jobs: t.Any, desk: t.Any, answer: t.Any) -> None:
    """Have the desk ask once, and take this answer."""
    before = len(jobs.started)
    for _round in range(2000):
        desk.visit()
        if len(jobs.started) > before:
            break
        office.clock.now += 1
    jobs.started[-1].outcome = answer
    desk.visit()


def test_a_controller_that_fails_until_it_answers(office: t.Any, jobs: t.Any) -> None:
    desk = office.desk("asking")
    office.state.machines = [office.machine()]
    assert desk.troubles() == {}
    for _time in range(3):
        ask(office, jobs, desk, Answer(failures=((URL, "connection refused"),)))
        assert desk.troubles() == {f"controller {URL}": "connection refused"}
    ask(office, jobs, desk, Answer())
    assert desk.troubles() == {}


def test_an_obstacle_of_the_host_until_it_is_gone(office: t.Any, jobs: t.Any) -> None:
    desk = office.desk("asking")
    office.state.machines = [office.machine()]
    ask(office, jobs, desk, Answer(obstacle="no space"))
    assert desk.troubles() == {"host": "nobody is asked for tasks: no space"}
    ask(office, jobs, desk, Answer())
    assert desk.troubles() == {}


def test_no_machines_until_there_is_one(office: t.Any, jobs: t.Any) -> None:
    desk = office.desk("asking")
    desk.visit()
    assert desk.troubles().keys() == {"machines"}
    office.state.machines = [office.machine()]
    office.work(60, desk)
    assert desk.troubles() == {}


def test_a_desk_at_which_anything_goes_wrong(office: t.Any, error: Exception) -> None:
    desk = office.desk("survey")
    real = office.state.duties.machines

    def fail() -> t.NoReturn:
        raise error

    office.state.duties.machines = fail
    office.work(10, desk)
    assert desk.troubles().keys() == {"survey"}
    office.state.duties.machines = real
    office.work(120, desk)
    assert desk.troubles() == {}


def test_a_chore_that_fails_until_it_is_done(
    office: t.Any, broken: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("recovery")
    chore = broken()
    desk._chores[0].perform = chore
    office.work(10, desk)
    assert desk.troubles().keys() == {"clearing away sweep"}
    chore.error = None
    office.work(120, desk)
    assert desk.troubles() == {}


def test_the_brake_says_why_as_long_as_it_holds(office: t.Any) -> None:
    brake = office.state.brake
    brake.fault(None, "no bridge")
    brake.fault("m1", "it crashed")
    assert brake.troubles() == {
        "host": "no task is asked for: no bridge",
        "machine m1": "no task is asked for: it crashed",
    }
    office.clock.now += 120
    assert brake.troubles() == {}
    brake.rehearsed("no QEMU")
    assert brake.troubles() == {"host": "no task is performed until it is mended: no QEMU"}
    office.clock.now += 9999
    assert brake.troubles().keys() == {"host"}
    brake.rehearsed(None)
    assert brake.troubles() == {}


def test_each_machine_that_cannot_be_bootstrapped_is_told_of(office: t.Any, jobs: t.Any) -> None:
    desk = office.desk("bootstraps")
    office.state.machines = [office.machine("missing", "m1"), office.machine("missing", "m2")]
    jobs.at_once = Bootstrapped("startup timeout")
    office.work(30, desk, each=lambda: office.state.call("bootstraps"))
    assert office.lease.told[-1] == {"failed": {"m1": "startup timeout", "m2": "startup timeout"}}
    jobs.at_once = Bootstrapped(None, changed=True)
    office.state.machines = [office.machine("missing", "m1")]
    office.work(300, desk, each=lambda: office.state.call("bootstraps"))
    assert office.lease.told[-1] == {"failed": {"m2": "startup timeout"}}


def test_the_lease_is_told_of_what_changes_only(office: t.Any) -> None:
    office.lease.record = {}
    desk = office.desk("survey")
    _tell_troubles(office.state, [desk])
    assert office.lease.told == []
    desk._rest.failed("turn", "first line\nsecond \x1b[2J" + "x" * 9999)
    office.state.brake.rehearsed("no QEMU")
    _tell_troubles(office.state, [desk])
    (told,) = office.lease.told
    assert told["troubles"]["host"].endswith("no QEMU")
    assert told["troubles"]["survey"].startswith("first line second ?[2Jx")
    assert all(words.isprintable() and len(words) <= 500 for words in told["troubles"].values())
    office.lease.record = told
    _tell_troubles(office.state, [desk])
    assert len(office.lease.told) == 1
    desk._rest.succeeded("turn")
    office.state.brake.rehearsed(None)
    _tell_troubles(office.state, [desk])
    assert office.lease.told[-1] == {"troubles": {}}
