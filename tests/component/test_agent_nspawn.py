# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent and the command `run` with machines of the type nspawn, whose walls are weaker."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import TaskRequest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest, sources
from helpers.agents import RunningAgent, entries, read_status
from helpers.build_host import BuildHost, make_task
from helpers.containers import host_with_container
from helpers.controller import Controller
from helpers.images import nspawn_image
from helpers.run_command import results, run
from helpers.site import Site
from helpers.waiting import until

# It tells where it ran.
WORKER = (
    guest.GET_TASK
    + "printf ': 1\\n' > /run/head\n"
    + "sed -n -e 's/^name: /name: /p' -e 's/^version: /version: /p' /run/task >> /run/head\n"
    + "printf 'status: success\\nupdate-status: success\\n' >> /run/head\n"
    + 'echo "update-log: in ${container:-a virtual machine}" >> /run/head\n'
    + guest.put("/run/head")
    + guest.SLEEP
)


class Careless(Controller):
    """A controller that gives tasks for machines that it was not offered."""

    def _choose(self, offered: list[str], request: TaskRequest) -> tuple[Task, str] | None:
        return (self.tasks[0], self.tasks[0].machine) if self.tasks and offered else None


@pytest.fixture
def host(site: Site, bootstrapped: Machine) -> t.Iterator[BuildHost]:
    """A host with two machines: tiny, which is a container, and one, which is virtual."""
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(host_with_container(site, nspawn_image()))
        host.script("tiny", WORKER)
        host.install_scripted(bootstrapped, WORKER, "one")
        yield host


def test_the_operator_lets_controllers_use_containers(host: BuildHost) -> None:
    with Controller() as controller:
        controller.tasks += [make_task(), make_task(name="other", machine="one")]
        with RunningAgent(host, controller, nspawn="all") as agent:
            until(lambda: len(controller.arrivals) == 2, "both results have arrived", 60)
            agent.says("hello/1.0 on machine tiny: success")
            until(lambda: not read_status(host)["queue"], "nothing is left to be delivered")
            until(lambda: not host.leftovers_of_others(), "nothing is left of the tasks")
    found = {each.result.name: each.result.logs["update"] for each in controller.arrivals}
    assert found == {"hello": "in systemd-nspawn", "other": "in a virtual machine"}
    assert {each.name for each in controller.requests[0].machines} == {"one", "tiny"}
    assert controller.rejected == []


def test_controllers_do_not_get_containers_otherwise(host: BuildHost) -> None:
    with Careless() as controller:
        controller.tasks += [make_task(), make_task(name="other", machine="one")]
        with RunningAgent(host, controller) as agent:
            until(lambda: bool(controller.arrivals), "the other result has arrived", 60)
            agent.says("^error: task from .*: it is for unknown machine tiny$")
            assert host.containers() == []
    assert {each.name for request in controller.requests for each in request.machines} == {"one"}
    found = {each.result.name: each.result.status for each in controller.arrivals}
    assert found == {"other": Status.SUCCESS}
    assert [entry.machine for entry in entries(host)] == ["one"]


def test_a_task_of_ones_own_is_performed_by_the_command(site: Site, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", "mkdir -p out; id -u > out/user\n")
    with host_with_container(site, nspawn_image()) as host:
        done = run(host, tmp_path, "hello", "--artifacts", "out/*")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "hello 0.0.1 on tiny: success" in done.stdout
        home = results(tmp_path)
        assert (home / "artifacts/out/user").read_text() == "1000\n"
        assert "bbot-init: starting the worker" in (home / "machine/console.log").read_text()
        (row,) = read_status(host)["history"]
        assert (row["machine"], row["status"]) == ("tiny", "success")
