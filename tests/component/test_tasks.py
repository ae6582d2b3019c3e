# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks performed on a real machine with our worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._records import Status
from helpers import sources
from helpers.build_host import BuildHost


@pytest.mark.parametrize(
    ("script", "status", "failing", "culprit", "words"),
    [
        (sources.GOOD, Status.SUCCESS, None, "none", "doing update"),
        (sources.WARNING, Status.WARNING, None, "none", "warning: unused variable"),
        (sources.FAILING, Status.ERROR, "update", "task", "failed with exit status 3"),
        (sources.CRASHING, Status.ABNORMAL, "update", "machine", "killed by signal SIGSEGV"),
    ],
    ids=["success", "warning", "error", "abnormal"],
)
def test_a_result_says_what_became_of_the_task(
    ready: BuildHost,
    tmp_path: Path,
    script: str,
    status: Status,
    failing: str | None,
    culprit: str,
    words: str,
) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", script)
    outcome = ready.perform(files={"source.tar.gz": str(archive)})

    assert (outcome.result.name, outcome.result.version) == ("hello", "1.0")
    assert outcome.result.status is status
    operations = [each.operation for each in outcome.result.operations]
    expected = ["configure", "update", "test"]
    assert operations == (expected if failing is None else expected[: expected.index(failing) + 1])
    assert words in outcome.result.logs["update"]
    assert outcome.culprit == culprit
    assert (outcome.reason == "") == (culprit == "none")
    assert list(outcome.phases) == [
        *("snapshot", "start", "first request", "work", "upload", "down", "delete"),
    ]
    assert (ready.logs / "task" / "machine" / "console.log").read_bytes()
    assert "+update" in (ready.logs / "task" / "machine" / "progress.log").read_text()
    assert ready.reported("+update") == 1
