# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of what is reported while a task is performed."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.task_log import FILE, task_log


def make_host(said: list[str]) -> Host:
    nothing = t.cast("t.Any", None)
    return Host(machines="/m", storage=nothing, tftp="/t", run=nothing, report=said.append)


def test_what_is_reported_is_kept_and_passed_on(tmp_path: Path) -> None:
    said: list[str] = []
    logs = tmp_path / "logs"
    with task_log(make_host(said), str(logs)) as host:
        host.report("phase work")
        host.report("phase delete")
    assert said == ["phase work", "phase delete"]
    kept = (logs / FILE).read_text().splitlines()
    assert [line.partition(" ")[2] for line in kept] == said
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in kept)
    assert logs.stat().st_mode & 0o777 == 0o700
    assert (logs / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path, kind: str) -> None:
    said: list[str] = []
    if kind == "folder":
        (tmp_path / FILE).mkdir()
    else:
        (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with task_log(make_host(said), str(tmp_path)) as host:
        host.report("a line")
    assert said == ["a line"]
    assert not (tmp_path / "elsewhere").exists()
