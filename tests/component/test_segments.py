# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several machines at once, each in a segment of its own: real guests of one machine."""

from __future__ import annotations

import collections
import contextlib
import os
import socket
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.agents import RunningAgent, entries
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.links import ip
from helpers.namespace import Namespace
from helpers.waiting import until

# Gives back the version that the task told it, after a while in which others do the same.
ECHO = (
    guest.GET_TASK
    + "version=$(sed -n 's/^version: //p' /run/task)\nsleep 2\n"
    + "printf ': 1\\nname: hello\\nversion: %s\\nstatus: success\\n' $version > /run/result\n"
    + guest.put("/run/result")
    + guest.SLEEP
)
TASKS = 8


def namespaces() -> set[str]:
    """The networks of the processes of this machine."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add(os.readlink(entry / "ns" / "net"))
            except OSError:
                continue
    return found


def perform(host: BuildHost, count: int, controller: Controller, **options: t.Any) -> int:
    """Have an agent perform so many tasks at once; how many guests there were at the most."""
    controller.tasks += [make_task(version=f"1.{number}") for number in range(count)]
    most = 0
    with RunningAgent(host, controller, instance_max=count, **options):

        def done() -> bool:
            nonlocal most
            most = max(most, len(host.qemus()))
            return len(controller.arrivals) == count

        until(done, "all results are there", 600)
        # Those that have nothing to do have nothing either.
        until(lambda: not host.leftovers_of_others(), "nothing is left", 60)
    return most


def check(host: BuildHost, controller: Controller, count: int) -> None:
    """Each task has its own result, and nothing is left."""
    found = collections.Counter(
        (arrival.result.version, arrival.result.status) for arrival in controller.arrivals
    )
    assert found == {(f"1.{number}", Status.SUCCESS): 1 for number in range(count)}
    host.assert_clean()


def test_two_guests_of_one_machine_at_once(host: BuildHost, bootstrapped: Machine) -> None:
    host.install_scripted(bootstrapped, ECHO)
    with Controller() as controller:
        most = perform(host, 2, controller)
    assert most == 2
    check(host, controller, 2)


@pytest.mark.long
def test_eight_tasks_on_one_machine(host: BuildHost, bootstrapped: Machine) -> None:
    host.install_scripted(bootstrapped, ECHO)
    with Controller() as controller:
        most = perform(host, TASKS, controller, ram=131072, build_startup=600)
    assert most > 2
    check(host, controller, TASKS)


@pytest.mark.long
def test_eight_warm_tasks_on_one_machine(ready: BuildHost) -> None:
    with Controller() as controller:
        quick = {"repository-url": "/etc/bbot", "target-config": "config.bbot.script=udhcpc"}
        with RunningAgent(ready, controller, instance_max=TASKS, warm=["tiny"]) as agent:
            agent.says("machine tiny: done", timeout=300)
            controller.tasks += [
                make_task(version=f"1.{number}", **quick) for number in range(TASKS)
            ]
            until(lambda: len(controller.arrivals) == TASKS, "all results are there", 600)
    check(ready, controller, TASKS)
    assert all("resume" in (entry.phases or {}) for entry in entries(ready))


def refuse(family: str, *hooks: str, last: str = "") -> str:
    """A table of this family that lets nothing through at ``hooks``, but what is ``last`` said."""
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority filter; policy "
        f"{'accept' if last else 'drop'};\n{last}\n}}\n"
        for hook in hooks
    )
    return f"table {family} bbot_test {{\n{chains}}}\n"


# What programs that rule over a host's network set up, as far as it can harm a guest.
RULES = {
    # It lets forwarded packets through for its own bridges only.
    "docker": refuse("ip", "forward")
    + "table ip nat { chain out { type nat hook postrouting priority srcnat;\n"
    "ip saddr 172.16.0.0/12 masquerade\n}\n}\n",
    "firewalld": refuse(
        "inet",
        "input",
        "forward",
        last="ct state established accept\nreject with icmpx admin-prohibited",
    ),
    "everything": "".join(
        (
            refuse("ip", "prerouting", "input", "forward", "output", "postrouting"),
            refuse("ip6", "prerouting", "input", "forward", "output", "postrouting"),
            refuse("arp", "input", "output"),
            refuse("bridge", "prerouting", "input", "forward", "output", "postrouting"),
        )
    ),
}


@pytest.mark.parametrize("rules", RULES)
def test_what_others_do_to_the_hosts_network_ends_no_task(
    host: BuildHost, bootstrapped: Machine, rules: str
) -> None:
    host.install_scripted(bootstrapped, ECHO)
    lost: list[list[str]] = []

    def destroy(line: str) -> None:
        host.lines.append(line)
        if line in ("phase first request", "phase work"):
            subprocess.run(["nft", "flush", "ruleset"], check=True)
            subprocess.run(["nft", "-f", "-"], input=RULES[rules].encode(), check=True)
            names = [name for _dummy, name in socket.if_nameindex() if name in ("br1", "bb0")]
            for name in names:
                ip("link", "delete", name)
            lost.append(names)

    host.changes["report"] = destroy
    # The host's own, so that others keep theirs.
    network = Namespace()
    with contextlib.closing(network), network.entered():
        ip("link", "add", "br1", "type", "bridge")
        ip("link", "add", "bb0", "type", "veth", "peer", "name", "bb1")
        outcome = host.perform()
    assert [sorted(names) for names in lost] == [["bb0", "br1"], []]
    assert outcome.result.status is Status.SUCCESS, host.lines


def test_a_dnsmasq_that_is_killed_ends_the_task_as_the_hosts_fault(
    host: BuildHost, bootstrapped: Machine
) -> None:
    host.install_scripted(bootstrapped, guest.GET_TASK + guest.SLEEP)

    def kill(line: str) -> None:
        host.lines.append(line)
        if line == "phase work":
            (pid,) = set(host.helpers())
            os.kill(pid, 9)

    host.changes["report"] = kill
    with pytest.raises(NetworkError, match="dnsmasq, which tells the guest its address, has ended"):
        host.perform()
    host.assert_clean()


def test_two_at_once_in_one_process(host: BuildHost, bootstrapped: Machine) -> None:
    """Plays and agents are processes; the engine does not mind threads either."""
    host.install_scripted(bootstrapped, ECHO)
    before = namespaces()
    outcomes = []

    def work(version: str) -> None:
        with host.site.namespace.entered():
            outcomes.append(host.perform(make_task(version=version)))

    threads = [threading.Thread(target=work, args=(f"1.{number}",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.result.version for each in outcomes) == ["1.0", "1.1"]
    assert {each.result.status for each in outcomes} == {Status.SUCCESS}
    assert len(namespaces() - before) == 0
