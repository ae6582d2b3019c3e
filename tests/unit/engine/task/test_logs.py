# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of a task's logs: the guest chooses the operations' names, not the files'."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.logs import (
    log_names,
    write_logs,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import Outcome

TASK = Task.from_mapping(
    {
        "name": "hello",
        "version": "1.0",
        "repository-type": "dir",
        "repository-url": "/x",
        "machine": "m",
        "target": "x86_64-linux-gnu",
    },
    "task",
)


def result_of(*names: str) -> Result:
    operations = tuple(OperationResult(name, Status.SUCCESS, f"log of {name}") for name in names)
    return Result("hello", "1.0", Status.SUCCESS, operations)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("update", "update.log"),
        ("agent", "operation-agent.log"),
        ("Agent", "operation-Agent.log"),
        ("task", "operation-task.log"),
        ("result.x", "operation-result.x.log"),
        ("report", "operation-report.log"),
        ("machine", "operation-machine.log"),
        ("agents", "agents.log"),
        ("../../x", "_.._x.log"),
        ("...", "_.log"),
        ("x" * 300, "x" * 100 + ".log"),
    ],
)
def test_the_file_of_an_operation(name: str, file: str) -> None:
    assert log_names(result_of(name)) == {name: file}


def test_names_that_become_alike_have_files_of_their_own() -> None:
    names = log_names(result_of("a/b", "a_b", "a?b", "operation-agent", "agent"))
    assert len(set(names.values())) == 5


def test_no_operation_replaces_what_the_agent_wrote(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "agent.log").write_text("the agent's\n")
    outcome = Outcome(result_of("agent", "task", "result"), "none", "", None, {}, {})
    written = write_logs(outcome, TASK, str(logs))
    assert (logs / "agent.log").read_text() == "the agent's\n"
    assert (logs / "operation-agent.log").read_text() == "log of agent\n"
    assert set(written) == {
        *("agent.log", "operation-agent.log", "operation-result.log", "operation-task.log"),
        *("result.manifest", "task.manifest"),
    }
    modes = {path.stat().st_mode & 0o777 for path in logs.iterdir() if path.name != "agent.log"}
    assert (logs.stat().st_mode & 0o777, modes) == (0o700, {0o600})
