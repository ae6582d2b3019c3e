# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's state as metrics."""

from __future__ import annotations

import json
import re
import sqlite3
import typing as t
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.status import collect
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import Journal
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs

VALUES = {
    "version": '0.1.0 "beta"\n',
    "agents": [{"toolchain": "default", "since": 100.5}],
    "machines": [
        {"toolchain": "default", "state": "current"},
        {"toolchain": "default", "state": "current"},
        {"toolchain": "default", "state": "missing"},
    ],
    "running": [{"what": "task"}, {"what": "bootstrap"}],
    "suspended": [{"bytes": 10}, {"bytes": None}],
}


class NoSuspensions:
    """No machine is suspended."""

    def all(self) -> list[t.Any]:
        return []


@pytest.fixture
def collected(tmp_path: Path) -> dict[str, t.Any]:
    """What `bbot-agent status` says of a host with a journal: two queued results, three others."""
    journal = Journal(str(tmp_path / "journal.sqlite"))
    task = Task(name="hello", version="1.0", repository_url="https://x/", machine="tiny")
    response = TaskResponse("s", task, result_url="https://x/?build-result")
    statuses = (Status.ERROR, Status.WARNING, None, Status.ABORT, Status.ABORT)
    for status in statuses:
        url = "https://agent:secret@x/?build-task"
        number = journal.accept(response, toolchain="default", controller=url, answer=None)
        if status is not None:
            journal.store(number, Result.for_task(task, status))
        if status in (Status.ERROR, Status.WARNING):
            journal.delivered(number)
    with sqlite3.connect(journal.path) as db:
        for number, finished in ((1, 940.0), (2, 950.0), (4, None), (5, None)):
            db.execute("UPDATE tasks SET finished = ? WHERE id = ?", (finished, number))
        db.execute("UPDATE tasks SET received = 900 WHERE id = 4")
        db.execute("UPDATE tasks SET received = 990 WHERE id = 5")
    db.close()
    host = Host(
        run=lambda *_args, **_more: (0, "", ""),
        storage=Btrfs(),
        machines=str(tmp_path / "machines"),
        tftp=str(tmp_path / "tftp"),
        state=str(tmp_path),
    )
    status = json.loads(json.dumps(collect(host, journal, t.cast(Suspensions, NoSuspensions()))))
    assert status.keys() == {*VALUES, "queue", "history"}
    assert "secret" not in json.dumps(status)
    return {**status, **VALUES}


def values(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_a_status_is_told(metrics: ModuleType, collected: dict[str, t.Any]) -> None:
    found = values(metrics.text(metrics.metrics(collected, 1000.0)))
    assert found == {
        "bbot_up": "1",
        'bbot_info{version="0.1.0 \\"beta\\"\\n"}': "1",
        'bbot_agent_start_time_seconds{toolchain="default"}': "100.5",
        'bbot_machines{toolchain="default",state="current"}': "2",
        'bbot_machines{toolchain="default",state="missing"}': "1",
        'bbot_running{what="task"}': "1",
        'bbot_running{what="bootstrap"}': "1",
        'bbot_running{what="resume"}': "0",
        "bbot_undelivered_results": "2",
        "bbot_undelivered_age_seconds": "100",
        "bbot_suspended_machines": "2",
        "bbot_suspended_bytes": "10",
        "bbot_last_task_finished_seconds": "950",
        "bbot_last_task_ok": "1",
    }


def test_a_status_that_cannot_be_had_is_a_metric_as_well(metrics: ModuleType) -> None:
    assert values(metrics.text(metrics.metrics(None, 0))) == {"bbot_up": "0"}


def test_each_metric_is_described_before_its_values(
    metrics: ModuleType, collected: dict[str, t.Any]
) -> None:
    text = metrics.text(metrics.metrics(collected, 1000.0))
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) bbot_[a-z_]+ .+|bbot_[a-z_]+(\{.+\})? [0-9.e+]+", line)


def test_the_age_of_what_is_undelivered_is_told(
    metrics: ModuleType, collected: dict[str, t.Any]
) -> None:
    found = values(metrics.text(metrics.metrics({**collected, "queue": []}, 1000.0)))
    assert found["bbot_undelivered_age_seconds"] == "0"
    # A clock that was set back makes no negative age.
    found = values(metrics.text(metrics.metrics(collected, 100.0)))
    assert found["bbot_undelivered_age_seconds"] == "0"


def test_the_file_is_replaced(metrics: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "bbot-agent.prom"
    path.write_text("old")
    metrics.write(str(path), "new\n")
    assert path.read_text() == "new\n"
    assert [each.name for each in tmp_path.iterdir()] == ["bbot-agent.prom"]
    assert path.stat().st_mode & 0o777 == 0o644
