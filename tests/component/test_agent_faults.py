# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agents killed without warning, at every point of a task: no result is lost, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.agents import RunningAgent, entries, journal
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller, reset, status
from helpers.kills import (
    HALF_MADE,
    JOB_POINTS,
    POINTS,
    SEGMENT,
    WORKER,
    kill_the_agent,
    kill_the_job,
)
from helpers.site import Site
from helpers.stores import mounted
from helpers.waiting import until


@pytest.fixture
def worked(host: BuildHost, bootstrapped: Machine) -> BuildHost:
    """A build host with that worker."""
    host.install_scripted(bootstrapped, WORKER)
    return host


@pytest.fixture
def stored(
    request: pytest.FixtureRequest, site: Site, worked: BuildHost, bootstrapped: Machine
) -> t.Iterator[BuildHost]:
    """The same on a kind of store."""
    if request.param == "btrfs":
        yield worked
        return
    with mounted(site, request.param) as place:
        other = BuildHost(site, "auto", place)
        other.install_copy(bootstrapped)
        other.script("tiny", WORKER)
        yield other
        other.assert_clean()


# One of each kind: before and after the task is noted, with and without a guest, with a result.
_USUAL = (
    *("answered", "says accepted from", SEGMENT, "says phase work", "says phase upload"),
    *("says phase store", "says phase delete", "result sent", "result acknowledged"),
)
# Of btrfs there is never half an overlay.
KILLS = [
    pytest.param(
        kind,
        point,
        expected,
        marks=[] if kind == "btrfs" and point in _USUAL else [pytest.mark.long],
    )
    for kind in ("btrfs", "ext4", "xfs")
    for point, expected in POINTS
    if (kind, point) != ("btrfs", HALF_MADE)
]


@pytest.mark.parametrize(("stored", "point", "expected"), KILLS, indirect=["stored"])
def test_killed(stored: BuildHost, point: str, expected: Status | None) -> None:
    kill_the_agent(stored, point, expected)


@pytest.mark.long
@pytest.mark.parametrize("stored", ["btrfs"], indirect=True)
@pytest.mark.parametrize(
    ("point", "expected"), [each for each in JOB_POINTS if each[0] != HALF_MADE]
)
def test_its_job_is_killed(stored: BuildHost, point: str, expected: Status | None) -> None:
    kill_the_job(stored, point, expected)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("phase first request", marks=pytest.mark.long),
        "phase work",
        pytest.param("phase shutdown", marks=pytest.mark.long),
    ],
)
def test_killed_in_a_bootstrap(host: BuildHost, bootstrapped: Machine, point: str) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    with Controller() as controller:
        with RunningAgent(host, controller) as agent:
            agent.says(point)
            agent.kill()
        assert host.machine().state == "missing"
        with RunningAgent(host, controller) as agent:
            agent.says("cleared away the dead bootstrap of process .* on machine tiny")
            agent.says("machine tiny: done")
    assert host.machine().state == "current"


def test_a_controller_that_is_down_for_the_whole_build(worked: BuildHost) -> None:
    with Controller() as controller:
        port = int(controller.base.rsplit(":", 1)[1].strip("/"))
        controller.tasks += [make_task()]
        agent = RunningAgent(worked, controller)
        agent.__enter__()
        agent.says("accepted from")
        given = controller.given
    # It is down now, and stays so over the end of the task and over a kill.
    try:
        line = agent.says("error: unable to upload result to .*: .*[Rr]efused")
        assert line.count("error") == 1
        until(lambda: bool(entries(worked)) and entries(worked)[0].attempts > 0, "it was noted")
    finally:
        agent.kill()
    (entry,) = entries(worked)
    assert (entry.state, entry.status, entry.attempts >= 1) == ("queued", "success", True)
    with Controller(port=port) as controller:
        controller.given.update(given)
        with RunningAgent(worked, controller) as agent:
            until(lambda: bool(controller.arrivals), "the result has arrived", 30)
        assert controller.arrivals[0].result.status is Status.SUCCESS
    assert entries(worked)[0].state == "delivered"


def test_refusals_of_a_result_are_not_the_end(worked: BuildHost) -> None:
    with Controller() as controller:
        for fault in (reset, status(503, "come back\nlater"), status(404)):
            controller.fault("result", fault)
        controller.tasks += [make_task()]
        with RunningAgent(worked, controller) as agent:
            agent.says("accepted from")
            for count in range(1, 4):
                agent.says("unable to upload result", count=count)
                # We do not want to wait as long as it does.
                number = entries(worked)[0].id
                journal(worked).failed(number, "impatient", 0)
                _hurry(worked)
            until(lambda: bool(controller.arrivals), "the result has arrived", 30)
        assert len(controller.arrivals) == 1
        said = [line for line in agent.lines if "unable to upload result" in line]
        assert "HTTP 503 Service Unavailable: come back later" in said[1]


def _hurry(host: BuildHost) -> None:
    """Have the agent look at its queue: a change of the machines wakes it up."""
    place = host.volume / "hurry"
    place.mkdir(exist_ok=True)
    place.rmdir()


@pytest.fixture
def small(worked: BuildHost) -> t.Iterator[BuildHost]:
    """The same with its state on a file system of a MiB."""
    worked.state.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(worked.state)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield worked
    finally:
        subprocess.run(["umount", "--lazy", str(worked.state)], check=True)


@pytest.mark.parametrize("killed", [False, True])
def test_a_disk_that_is_full_when_the_result_is_stored(small: BuildHost, killed: bool) -> None:
    filler = small.state / "filler"
    with Controller() as controller:
        controller.tasks += [make_task()]
        with RunningAgent(small, controller) as agent:
            agent.says("phase work")
            with (
                pytest.raises(OSError, match="No space"),
                filler.open("wb", buffering=0) as file,
            ):
                while True:
                    file.write(b"x" * 4096)
            agent.says("error: .*journal.sqlite cannot be used: .*full; trying again in 1 s")
            assert len(small.qemus()) == 1
            if killed:
                agent.kill()
            filler.unlink()
            if not killed:
                until(lambda: bool(controller.arrivals), "the result has arrived", 30)
        if killed:
            with RunningAgent(small, controller):
                until(lambda: bool(controller.arrivals), "the result has arrived", 30)
        assert controller.arrivals[0].result.status is Status.SUCCESS
    assert [line for line in small.leftovers() if not line.startswith("tmpfs ")] == []


def test_sigterm_leaves_a_clean_host(worked: BuildHost, bootstrapped: Machine) -> None:
    # However slowly this is read, the build is not over.
    worked.install_scripted(bootstrapped, WORKER.replace("sleep 0.5", "sleep 60"), "slow")
    with Controller() as controller:
        controller.tasks += [make_task(machine="slow")]
        with RunningAgent(worked, controller) as agent:
            agent.says(r"\+update")
            assert agent.end(timeout=10) == 0
        worked.assert_clean()
        # The last words reached the controller.
        assert [task.machine for task in controller.interrupted] == ["slow"]
        assert controller.arrivals == []
    assert entries(worked)[0].reason == "the agent was interrupted"


def test_another_agent_s_work_is_left_alone(worked: BuildHost, bootstrapped: Machine) -> None:
    worked.install_scripted(bootstrapped, guest.GET_TASK + guest.SLEEP, "slow")
    with Controller() as controller:
        controller.tasks += [make_task(name="slow", machine="slow")]
        with RunningAgent(worked, controller) as first:
            first.says("slow/1.0 on machine slow: phase work")
            controller.tasks += [make_task()]
            # A second one with the same toolchain: it performs what the first one cannot.
            with RunningAgent(worked, controller) as second:
                second.says("hello/1.0 on machine tiny: success")
                os.kill(second.process.pid, signal.SIGKILL)
                second.process.wait()
                with RunningAgent(worked, controller) as third:
                    third.says("cleared away the dead agent of process")
                    until(lambda: not journal(worked).queue(), "its result was delivered")
                    assert len(worked.qemus()) == 1
        assert {arrival.result.name for arrival in controller.arrivals} == {"hello"}
        # By the first one, when it was ended.
        assert [task.name for task in controller.interrupted] == ["slow"]
