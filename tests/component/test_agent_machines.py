# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent with real machines: tasks from a controller over HTTPS, results back to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.agents import (
    COMMAND,
    RunningAgent,
    engine,
    entries,
    places,
    read_status,
    run_command,
)
from helpers.build_host import BuildHost, make_task
from helpers.controller import AgentKey, Certificate, Controller
from helpers.visits import leave_shell
from helpers.waiting import until

# A worker that needs no source: what counts here is the way of the task and its result.
WORKER = (
    guest.GET_TASK
    + "cat > /run/head << 'END'\n: 1\nEND\n"
    + "sed -n -e 's/^name: /name: /p' -e 's/^version: /version: /p' /run/task >> /run/head\n"
    + "printf 'status: warning\\nupdate-status: warning\\nupdate-log: built here\\n' >> /run/head\n"
    + guest.put("/run/head")
)


def tasks(*machines: str) -> list[Task]:
    return [
        make_task(name=f"hello-{number}", machine=machine)
        for number, machine in enumerate(machines, 1)
    ]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> AgentKey:
    return AgentKey.make(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


def install_two(host: BuildHost, bootstrapped: Machine, script: str = WORKER) -> None:
    """Two machines, one and two, with addresses of their own."""
    for name in ("one", "two"):
        host.install_scripted(bootstrapped, script, name)


def test_three_tasks_two_machines_two_at_a_time(
    host: BuildHost, bootstrapped: Machine, key: AgentKey, certificate: Certificate
) -> None:
    install_two(host, bootstrapped)
    given = tasks("one", "two", "one")
    most = 0
    with Controller(certificate=certificate, keys=[key]) as controller:
        controller.tasks += given
        with RunningAgent(
            host,
            controller,
            instance_max=2,
            auth_key=key.private,
            ca_cert=certificate.path,
        ) as agent:

            def arrived() -> bool:
                nonlocal most
                most = max(most, len(host.qemus()))
                return len(controller.arrivals) == 3

            until(arrived, "three results have arrived", 90)
            agent.says("hello-3/1.0 on machine one: warning")
            until(lambda: not read_status(host)["queue"], "nothing is left to be delivered")
            status = read_status(host)
        assert most == 2
        assert controller.rejected == []
        assert controller.refused == []
        for task in given:
            (arrival,) = [a for a in controller.arrivals if a.result.name == task.name]
            assert arrival.result.to_mapping() == {
                "name": task.name,
                "version": "1.0",
                "status": "warning",
                "operations": [{"operation": "update", "status": "warning", "log": "built here"}],
            }
        names = {frozenset(m.name for m in request.machines) for request in controller.requests}
        assert names <= {frozenset({"one", "two"}), frozenset({"one"}), frozenset({"two"})}
        assert {request.fingerprint for request in controller.requests} == {key.fingerprint()}
        assert all(h["content-type"] == "text/manifest" for h in controller.headers)
        assert all(h["user-agent"].startswith("bbot-agent/") for h in controller.headers)
    assert [machine["state"] for machine in status["machines"]] == ["current"] * 2
    assert status["agents"][0]["pid"] == agent.process.pid
    assert {past["status"] for past in status["history"]} == {"warning"}
    assert {past["state"] for past in status["history"]} == {"delivered"}
    phases = list(status["history"][0]["phases"])
    assert phases == [
        *("snapshot", "start", "first request", "work", "upload", "store", "down", "delete"),
    ]


def test_a_machine_is_bootstrapped_and_used_at_once(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    assert bootstrapped.revision is not None
    with Controller() as controller:
        controller.tasks += [make_task(**{"repository-url": "tftp:none.tar.gz"})]
        # The machine comes when the agent is there already, and is noticed at once.
        with RunningAgent(host, controller, poll_interval=60) as agent:
            agent.says("no build machines for toolchain default")
            host.install(source=Path(bootstrapped.revision))
            agent.says("machine tiny: done")
            until(lambda: bool(controller.arrivals), "the result has arrived", 60)
    assert controller.arrivals[0].result.status is Status.ERROR
    (entry,) = entries(host)
    assert entry.logs is not None
    assert "phase first request" in Path(entry.logs, "agent.log").read_text()


def test_a_failed_machine_is_suspended_resumed_and_discarded(
    host: BuildHost, bootstrapped: Machine
) -> None:
    host.install_scripted(
        bootstrapped, guest.GET_TASK + guest.result("status: abnormal") + guest.SLEEP
    )
    with Controller() as controller:
        controller.tasks += [make_task()]
        with RunningAgent(host, controller) as agent:
            agent.says(
                "^error: build terminated abnormally for machine .*-suspended-1, suspending$"
            )
            until(lambda: bool(controller.arrivals), "the result has arrived", 60)
            assert controller.arrivals[0].result.status is Status.ABNORMAL
            # It stands in nobody's way.
            until(lambda: not host.qemus(), "no machine is held")
            controller.tasks += [make_task(name="hello-2")]
            # Such a machine is left alone for a minute.
            until(lambda: len(controller.arrivals) == 2, "the next task was performed", 150)
    first, _second = read_status(host)["suspended"]
    assert first["what"] == "task hello/1.0"
    assert first["bytes"] > 1 << 20
    assert Path(first["directory"], "disk.img").exists()
    listed = run_command(host, "suspended", *places(host))
    assert listed.stdout.startswith("1: machine tiny, task hello/1.0: build terminated abnormally")

    command = [sys.executable, str(COMMAND), "resume", "1", *places(host)]
    with subprocess.Popen(
        command, env=engine(host.root), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: len(host.qemus()) == 1, "the machine goes on")
        assert process.stderr is not None
        assert "qemu pid" in process.stderr.readline()
        words = "echo user-$(id -u)\n", "user-0"
        until(lambda: words[1] in leave_shell(host, *words), "root has a shell in it")
        process.terminate()
        output, errors = process.communicate(timeout=30)
    assert "it is suspended again" in output, errors
    assert not host.qemus()
    assert len(read_status(host)["suspended"]) == 2
    done = run_command(host, "discard", "1", "2", *places(host))
    assert (done.returncode, done.stderr) == (0, "")
    assert read_status(host)["suspended"] == []
    refused = run_command(host, "discard", "1", *places(host))
    assert refused.returncode == 1
    assert refused.stderr == "error: no suspended machine 1 on this host; there are: none\n"
