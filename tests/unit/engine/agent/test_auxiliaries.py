# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which auxiliary machines are offered, and which tasks may have them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.auxiliaries import (
    Auxiliaries,
    auxiliaries,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    MachineManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task

GIB = 1 << 20


def machine(name: str, state: str = "current", **fields: t.Any) -> Machine:
    facts = {"role": "auxiliary", **fields}
    manifest = MachineManifest(id=f"{name}-1", name=name, summary="A test", type="kvm", **facts)
    return Machine("default", name, f"/m/{name}", f"/m/{name}-t", t.cast("t.Any", state), (), None,
                   manifest)  # fmt: skip


def offered(ram: int, *machines: Machine) -> list[str]:
    return [each.name for each in auxiliaries(machines, ram, GIB).machines]


@pytest.mark.parametrize(
    ("ram", "found", "times"),
    [
        (4 * GIB, machine("x86_64-db"), 4),
        (4 * GIB, machine("x86_64-db", ram_minimum=2 * GIB), 2),
        (4 * GIB, machine("x86_64-db", ram_minimum=GIB // 4, ram_maximum=GIB), 9),
        (GIB - 1, machine("x86_64-db"), 0),
        (0, machine("x86_64-db"), 0),
        (4 * GIB, machine("x86_64-db", "missing"), 0),
        (4 * GIB, machine("x86_64-db", role=None), 0),
        (4 * GIB, machine("x86_64-db", role="build"), 0),
        # brep would refuse the whole request.
        (4 * GIB, machine("db"), 0),
        (4 * GIB, machine("x86_64-"), 0),
    ],
)
def test_a_machine_is_offered_as_often_as_it_can_be_up(
    ram: int, found: Machine, times: int
) -> None:
    assert offered(ram, found) == [found.name] * times


def test_what_is_told_of_them() -> None:
    found = auxiliaries([machine("x86_64-db", ram_maximum=2 * GIB)], GIB, GIB)
    assert found.ram == GIB
    (header,) = found.machines
    assert header.to_text() == (
        ": 1\nid: x86_64-db-1\nname: x86_64-db\nsummary: A test\nrole: auxiliary\n"
        "ram-minimum: 1048576\nram-maximum: 2097152\n"
    )


def task(*names: str, **named: str) -> Task:
    return Task(
        name="hello",
        version="1",
        repository_url="x:/",
        machine="m1",
        auxiliary_machines=names,
        named_auxiliary_machines=named,
    )


@pytest.mark.parametrize(
    ("wants", "objection"),
    [
        (task(), ""),
        (task("x-a"), ""),
        (task("x-a", db="x-a"), ""),
        (task("x-b", "x-a", "x-a"), ""),
        (task("x-a", "x-a", db="x-a"), "it wants auxiliary machine x-a, which was not offered"),
        (task(db="x-c"), "it wants auxiliary machine x-c, which was not offered"),
    ],
)
def test_a_task_has_none_that_was_not_offered(wants: Task, objection: str) -> None:
    machines = auxiliaries([machine("x-a"), machine("x-b")], 2 * GIB, GIB).machines
    assert Auxiliaries(machines, 2 * GIB).objection(wants) == objection
