# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's state as metrics: of what the status says of a real journal and real leases."""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.release import VERSION

SAMPLE = re.compile(r"bbot_[a-z_]+(\{.+\})? [0-9.e+]+")


def values(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_what_the_status_of_a_host_says_is_told(
    metrics: ModuleType, site: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 100_000.0)
    agent = site.host.leases.take(
        what="agent",
        toolchain="default",
        instance_max=3,
        failed={"m1": "no boot"},
        troubles={"host": "no QEMU", "controller https://agent:secret@x/?build-task": "refused"},
    )
    others = [
        site.host.leases.take(what="task", machine="m1", waits="256 MiB"),
        site.host.leases.take(what="task", machine="m2"),
        site.host.leases.take(what="bootstrap", machine="m2"),
    ]
    site.task(Status.ERROR, delivered=True, finished=90_000.0)
    # One that began before others may end after them.
    site.task(Status.WARNING, delivered=True, finished=99_500.0)
    site.task(Status.ABORT, finished=99_000.0, received=50_000.0, attempts=3)
    site.task(Status.SUCCESS, finished=99_400.0, received=40_000.0)
    site.task(None)
    status = site.collect()
    text = metrics.text(metrics.metrics(status, 100_000.0, ["default", "other"]))
    assert values(text) == {
        "bbot_up": "1",
        f'bbot_info{{version="{VERSION}"}}': "1",
        'bbot_agent_up{toolchain="default"}': "1",
        'bbot_agent_up{toolchain="other"}': "0",
        'bbot_agent_start_time_seconds{toolchain="default"}': "100000",
        'bbot_agent_places{toolchain="default"}': "3",
        'bbot_trouble{toolchain="default",what="host"}': "1",
        'bbot_trouble{toolchain="default",what="controller https://***@x/?build-task"}': "1",
        'bbot_machines{toolchain="default",state="current"}': "0",
        'bbot_machines{toolchain="default",state="missing"}': "2",
        'bbot_machines_failed{toolchain="default"}': "1",
        'bbot_running{what="task"}': "2",
        'bbot_running{what="bootstrap"}': "1",
        'bbot_running{what="template"}': "0",
        'bbot_running{what="resume"}': "0",
        "bbot_waiting": "1",
        "bbot_suspended_machines": "0",
        "bbot_suspended_bytes": "0",
        "bbot_undelivered_results": "2",
        "bbot_undelivered_failing_results": "1",
        # Since its result is there, however long the task had taken.
        "bbot_undelivered_age_seconds": "1000",
        "bbot_tasks_total": "5",
        **{
            f'bbot_tasks_last_hour{{status="{name}"}}': "0"
            for name in ("skip", "error", "abnormal", "interrupt")
        },
        'bbot_tasks_last_hour{status="success"}': "1",
        'bbot_tasks_last_hour{status="warning"}': "1",
        'bbot_tasks_last_hour{status="abort"}': "1",
        "bbot_last_task_finished_seconds": "99500",
        "bbot_last_task_ok": "1",
    }
    for line in text.splitlines():
        assert SAMPLE.fullmatch(line) or re.fullmatch(r"# (HELP|TYPE) bbot_[a-z_]+ .+", line)
    # None of these is known by its first words only.
    assert len(set(re.findall(r"# HELP (\S+)", text))) == len(re.findall(r"# TYPE", text))
    for lease in (agent, *others):
        lease.end()


def test_a_host_on_which_nothing_was_ever_done(metrics: ModuleType, site: t.Any) -> None:
    found = values(metrics.text(metrics.metrics(site.collect(), 1000.0, [])))
    assert found["bbot_up"] == "1"
    assert found["bbot_undelivered_age_seconds"] == "0"
    assert found["bbot_tasks_total"] == "0"
    assert "bbot_last_task_ok" not in found


def test_the_age_of_what_is_undelivered_by_a_clock_that_was_set_back(
    metrics: ModuleType, site: t.Any
) -> None:
    site.task(Status.ERROR, finished=1000.0)
    found = values(metrics.text(metrics.metrics(site.collect(), 100.0, [])))
    assert found["bbot_undelivered_age_seconds"] == "0"


def test_labels_may_hold_anything(metrics: ModuleType) -> None:
    text = metrics.text([("info", "x", [({"version": '0 "beta"\n\\'}, 1)])])
    assert text.splitlines()[-1] == 'bbot_info{version="0 \\"beta\\"\\n\\\\"} 1'


PROGRAMS = {
    "fails": "exit 1",
    "says nothing": "true",
    "says what is no object": "echo 5",
    "is of another version": "echo '{\"version\": 1}'",
    "says odd bytes": "printf '\\377'",
    "": "",
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_status_that_cannot_be_had_is_a_metric_as_well(
    metrics: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what:
        program = tmp_path / "bbot-agent"
        program.write_text(f"#!/bin/sh\n{PROGRAMS[what]}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    words = ["metrics", "--options-file", str(tmp_path / "places"), "--to", str(tmp_path / "prom")]
    monkeypatch.setattr(sys, "argv", words)
    assert metrics.main() == 0
    assert values((tmp_path / "prom").read_text()) == {"bbot_up": "0"}


def test_agents_with_options_are_wanted(metrics: ModuleType, tmp_path: Path) -> None:
    for name in ("default.options", "stage.options", "places", "key.pem"):
        (tmp_path / name).write_text("")
    assert metrics.wanted(str(tmp_path / "places")) == ["default", "stage"]


def test_the_file_is_replaced(metrics: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "bbot-agent.prom"
    path.write_text("old")
    metrics.write(str(path), "new\n")
    assert path.read_text() == "new\n"
    assert [each.name for each in tmp_path.iterdir()] == ["bbot-agent.prom"]
    assert path.stat().st_mode & 0o777 == 0o644
