# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's state as metrics."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

STATUS = {
    "version": '0.1.0 "beta"\n',
    "agents": [{"toolchain": "default", "since": 100.5}],
    "machines": [
        {"toolchain": "default", "state": "current"},
        {"toolchain": "default", "state": "current"},
        {"toolchain": "default", "state": "missing"},
    ],
    "running": [{"what": "task"}, {"what": "bootstrap"}],
    "queue": [{"received": 990.0}, {"received": 900.0}, {"received": None}],
    "suspended": [{"bytes": 10}, {"bytes": None}],
    "history": [
        {"finished": None, "status": None},
        {"finished": 950.0, "status": "warning"},
        {"finished": 940.0, "status": "error"},
    ],
}


def values(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_a_status_is_told(metrics: ModuleType) -> None:
    found = values(metrics.text(metrics.metrics(STATUS, 1000.0)))
    assert found == {
        "bbot_up": "1",
        'bbot_info{version="0.1.0 \\"beta\\"\\n"}': "1",
        'bbot_agent_start_time_seconds{toolchain="default"}': "100.5",
        'bbot_machines{toolchain="default",state="current"}': "2",
        'bbot_machines{toolchain="default",state="missing"}': "1",
        'bbot_running{what="task"}': "1",
        'bbot_running{what="bootstrap"}': "1",
        'bbot_running{what="resume"}': "0",
        "bbot_undelivered_results": "3",
        "bbot_undelivered_age_seconds": "100",
        "bbot_suspended_machines": "2",
        "bbot_suspended_bytes": "10",
        "bbot_last_task_finished_seconds": "950",
        "bbot_last_task_ok": "1",
    }


def test_a_status_that_cannot_be_had_is_a_metric_as_well(metrics: ModuleType) -> None:
    assert values(metrics.text(metrics.metrics(None, 0))) == {"bbot_up": "0"}


def test_each_metric_is_described_before_its_values(metrics: ModuleType) -> None:
    text = metrics.text(metrics.metrics(STATUS, 1000.0))
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) bbot_[a-z_]+ .+|bbot_[a-z_]+(\{.+\})? [0-9.e+]+", line)


def test_the_file_is_replaced(metrics: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "bbot-agent.prom"
    path.write_text("old")
    metrics.write(str(path), "new\n")
    assert path.read_text() == "new\n"
    assert [each.name for each in tmp_path.iterdir()] == ["bbot-agent.prom"]
    assert path.stat().st_mode & 0o777 == 0o644
