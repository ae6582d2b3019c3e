# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task that no controller gave is known to the commands for people."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.cli import main
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task


def run(_command: t.Sequence[str], **_more: t.Any) -> tuple[int, str, str]:
    return 0, "", ""


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    words = []
    for option in ("machines", "tftp", "state-dir", "runtime-dir", "log-dir"):
        (tmp_path / option).mkdir()
        words += [f"--{option}", str(tmp_path / option)]
    return words


def perform(tmp_path: Path, places: list[str]) -> int:
    header = tmp_path / "header"
    header.write_text(": 1\nid: m1-1\nname: tiny\nsummary: x\n")
    request = tmp_path / "task"
    task = Task(name="hello", version="1.0", repository_url="https://x/", machine="tiny")
    request.write_text(task.to_text())
    options = ["--fake-machine", str(header), "--toolchain-id", "t1", "--accelerator", "tcg"]
    return main([*places, *options, "--fake-build", "--fake-request", str(request)], run)


def test_it_is_an_entry_of_the_journal(
    tmp_path: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert perform(tmp_path, places) == 0
    capsys.readouterr()
    assert main(["status", "--json", *places], run) == 0
    status = json.loads(capsys.readouterr().out)
    (past,) = status["history"]
    assert (past["name"], past["state"], past["status"]) == ("hello", "done", "abort")
    assert past["controller"] == ""
    assert status["queue"] == []
    for name in ("1", "hello", "hello/1.0"):
        assert main(["log", name, *places], run) == 0
        assert "-- hello/1.0: abort --" in capsys.readouterr().out
    assert main(["log", "hello/2.0", *places], run) == 1
    assert "the last ones are: 1 (hello/1.0)" in capsys.readouterr().err


def test_it_is_performed_without_a_journal(
    tmp_path: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state-dir" / "journal.sqlite").write_bytes(b"no database at all" * 100)
    assert perform(tmp_path, places) == 0
    assert "the task is not in the list of tasks" in capsys.readouterr().err
