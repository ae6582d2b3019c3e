# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How auxiliary machines share memory, and which ones a task may have."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.auxiliary import (
    AuxiliaryError,
    companions_of,
    share_ram,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task

MIB = 1 << 10


def manifest(least: int | None = None, most: int | None = None, **fields: t.Any) -> MachineManifest:
    bounds = {"ram_minimum": least and least * MIB, "ram_maximum": most and most * MIB}
    facts: dict[str, t.Any] = {"id": "1", "name": "x-a", "summary": "A test", "type": "kvm"}
    return MachineManifest(**facts | bounds | fields)


@pytest.mark.parametrize(
    ("bounds", "budget", "shares"),
    [
        ([(None, None)], None, [1024]),
        ([(2048, None)], None, [2048]),
        ([(None, 512)], None, [512]),
        ([(256, 4096)], None, [1024]),
        ([(None, None), (None, 512)], 4096, [1024, 512]),
        ([(None, None), (None, None)], 1024, [512, 512]),
        # What is left goes to who lacks something, in proportion.
        ([(256, None), (256, None)], 1024, [512, 512]),
        ([(256, 512), (256, None)], 1024, [384, 640]),
        ([(256, 256), (256, None)], 1024, [256, 768]),
        ([(512, None), (512, None)], 1024, [512, 512]),
    ],
)
def test_memory_is_shared(
    bounds: list[tuple[int | None, int | None]], budget: int | None, shares: list[int]
) -> None:
    manifests = [manifest(*each) for each in bounds]
    found = share_ram(manifests, 1024 * MIB, budget and budget * MIB)
    assert found == [each * MIB for each in shares]


def test_more_than_there_is_is_refused() -> None:
    with pytest.raises(HostError, match="take 1024 MiB, and may have 1023 MiB"):
        share_ram([manifest(512), manifest(512)], 1024 * MIB, 1023 * MIB)


def machine(state: str = "current", **fields: t.Any) -> Machine:
    described = manifest(**fields)
    bootstrapped = BootstrappedMachine(described, ToolchainManifest(id="t"), BootstrapResult())
    reasons = () if state == "current" else ("another id",)
    return Machine("default", "x-a", "/m/x-a", "/m/x-a-t", t.cast("t.Any", state), reasons, None,
                   described, bootstrapped)  # fmt: skip


TASK = Task(
    name="hello",
    version="1",
    repository_url="x:/",
    machine="m1",
    auxiliary_machines=("x-a",),
    named_auxiliary_machines={"db": "x-a"},
)


def test_a_task_has_the_machines_that_it_names() -> None:
    found = machine(role="auxiliary")
    assert [(each.called, each.machine) for each in companions_of(TASK, [found])] == [
        ("", found),
        ("db", found),
    ]


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        ([], HostError, "no machine x-a on this host"),
        ([machine()], HostError, "machine x-a is no auxiliary one"),
        (
            [machine("obsolete", role="auxiliary")],
            AuxiliaryError,
            "auxiliary machine x-a is not bootstrapped: another id",
        ),
    ],
)
def test_one_that_is_not_fit_is_refused(
    found: list[Machine], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        companions_of(TASK, found)
