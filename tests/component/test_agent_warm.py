# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An agent that saves its machines and resumes them for tasks."""

from __future__ import annotations

import re

from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.agents import RunningAgent, entries, places, read_status, run_command
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.waiting import until


def test_an_agent_saves_a_machine_and_resumes_it_for_its_tasks(ready: BuildHost) -> None:
    quick = {"repository-url": "/etc/bbot", "target-config": "config.bbot.script=udhcpc"}
    with Controller() as controller, RunningAgent(ready, controller, warm=["t*"]) as agent:
        agent.says("machine tiny: save")
        agent.says("machine tiny: done")
        controller.tasks += [make_task(version=f"1.{number}", **quick) for number in range(2)]
        until(lambda: len(controller.arrivals) == 2, "both results are there")
    ready.assert_clean()
    assert {arrival.result.status for arrival in controller.arrivals} == {Status.SUCCESS}
    for entry in entries(ready):
        assert "resume" in (entry.phases or {})
        assert "start" not in (entry.phases or {})
    (machine,) = read_status(ready)["machines"]
    assert machine["warm"]["reason"] == ""
    shown = run_command(ready, "status", *places(ready)).stdout
    assert re.search(r"^  tiny +kvm +default +current +warm", shown, re.MULTILINE), shown
    assert "success  delivered  warm" in shown


def test_an_agent_lets_a_machine_be_cold_that_cannot_be_saved(
    host: BuildHost, bootstrapped: Machine
) -> None:
    host.install_scripted(
        bootstrapped, guest.GET_TASK + guest.result("status: success") + guest.SLEEP
    )
    with Controller() as controller, RunningAgent(host, controller, warm=["tiny"]) as agent:
        agent.says("machine tiny has no warm starts: its worker asks for 'manifest' first")
        controller.tasks.append(make_task())
        until(lambda: len(controller.arrivals) == 1, "the result is there")
        agent.says("the machine is booted, not resumed: its worker asks for 'manifest' first")
    (entry,) = entries(host)
    assert "start" in (entry.phases or {})
    shown = run_command(host, "status", *places(host)).stdout
    assert re.search(r"^  tiny +kvm +default +current +cold", shown, re.MULTILINE), shown
