# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for build2, with a stand-in that notes how bpkg is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import perform as performing
from bbot_worker.progress import Progress
from bbot_worker.result import Result
from bbot_worker.task import Task
from bbot_worker.tftp import Tftp

Perform = Callable[..., Any]
Recorded = Callable[..., Callable[[], list[list[str]]]]

FILES = {"manifest": ": 1\nname: libhello\nversion: 1.0.0\n", "buildfile": ""}


def test_sources_that_were_brought(perform: Perform, recorded: Recorded, tmp_path: Path) -> None:
    calls = recorded("bpkg", "b")
    outcome = perform(FILES, "config.bbot.jobs=2 config.cc.coptions=-O3")
    assert outcome.status == "success", outcome
    assert "driver: build2 (manifest)" in outcome.logs["configure"]
    root = f"config.install.root={tmp_path}/work/installed"
    assert calls() == [
        ["bpkg", "create", "--wipe", "cc", root, "config.cc.coptions=-O3"],
        ["bpkg", "add", "--type", "dir", f"{tmp_path}/work/source"],
        ["bpkg", "fetch"],
        ["bpkg", "build", "--yes", "--configure-only", "libhello/1.0.0"],
        ["bpkg", "update", "--jobs", "2", "libhello"],
        ["bpkg", "test", "--jobs", "2", "libhello"],
    ]


def test_a_repository(recorded: Recorded, tmp_path: Path) -> None:
    calls = recorded("bpkg", "b")
    fingerprint = "AB:" * 31 + "CD"
    pairs = [("name", "libhello"), ("version", "1.0.0"), ("trust", fingerprint), ("trust", "yes")]
    pairs += [("repository-url", "https://pkg.example.org/1"), ("repository-type", "pkg")]
    pairs += [("target-config", "config.bbot.operations=configure")]
    result = Result()
    performing.perform(Task(pairs), result, str(tmp_path / "work"), Tftp(), Progress())
    assert result.status == "success", result.operations
    trust = ["--trust", fingerprint, "--trust-yes"]
    assert calls()[1:] == [
        ["bpkg", "add", "--type", "pkg", "https://pkg.example.org/1"],
        ["bpkg", "fetch", *trust],
        ["bpkg", "build", "--yes", "--configure-only", *trust, "libhello/1.0.0"],
    ]


def test_configuration_of_the_package(perform: Perform, recorded: Recorded) -> None:
    calls = recorded("bpkg", "b")
    outcome = perform(FILES, "", ("package-config", "config.hello.x=1 'config.hello.y=a b'"))
    assert outcome.status == "success", outcome
    package = ["{", "config.hello.x=1", "config.hello.y=a b", "}+", "libhello/1.0.0"]
    assert calls()[3] == ["bpkg", "build", "--yes", "--configure-only", *package]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            ("package-config", "?libz"),
            "package-config of the task has '?libz', which is no variable",
        ),
        (("package-config", "'a=b"), "unreadable package-config ''a=b'"),
        (("host", "true"), "the task asks for a build for the host itself"),
    ],
)
def test_what_is_not_known_is_an_error(
    perform: Perform, recorded: Recorded, field: tuple[str, str], said: str
) -> None:
    recorded("bpkg", "b")
    outcome = perform(FILES, "", field)
    assert outcome.statuses["configure"] == "error"
    assert f"error: {said}" in outcome.logs["configure"]


def test_packages_of_tests_that_are_not_built_are_a_warning(
    perform: Perform, recorded: Recorded
) -> None:
    recorded("bpkg", "b")
    outcome = perform(FILES, "", ("tests", "libhello-tests"), ("tests", "more"))
    assert outcome.statuses["configure"] == "warning"
    assert "the packages that the task names as tests are not built" in outcome.logs["configure"]


def test_a_machine_without_build2(perform: Perform) -> None:
    outcome = perform(FILES)
    assert outcome.statuses["configure"] == "error"
    assert "this machine has no bpkg, which the build2 driver needs" in outcome.logs["configure"]
