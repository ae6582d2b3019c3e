# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not built again, and what is."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import checksums, drivers
from bbot_worker.result import Result
from bbot_worker.task import Task

Perform = Callable[..., Any]

SCRIPT = "#!/bin/sh\necho doing $1\n"
FAILING = "#!/bin/sh\nexit 1\n"


@pytest.fixture(name="packages", autouse=True)
def packages_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the machine has installed."""
    path = tmp_path / "status"
    path.write_text("Package: gcc\n")
    monkeypatch.setattr(checksums, "PACKAGES", str(path))
    return path


@pytest.fixture(name="toolchain")
def toolchain_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "sha256sums"
    path.write_text("0000  bbot-worker\n")
    monkeypatch.setattr(checksums, "TOOLCHAIN", str(path))
    return path


def last(outcome: Any) -> list[tuple[str, str]]:
    """What a controller sends with the next task of the package."""
    return [
        ("dependency-checksum", outcome.dependency_checksum),
        ("worker-checksum", outcome.worker_checksum),
    ]


@pytest.mark.parametrize("script", [SCRIPT, FAILING])
def test_what_is_unchanged_is_skipped_each_time(
    perform: Perform, toolchain: Path, script: str
) -> None:
    first = perform({"bbot-build": script})
    assert first.operations
    assert f"worker-checksum: {checksums.worker_checksum()}\n" in first.text
    for _round in range(2):
        again = perform({"bbot-build": script}, "", *last(first))
        assert (again.status, again.operations, last(again)) == ("skip", [], last(first))
        assert "\nstatus: skip\ndependency-checksum: " in again.text


def test_a_changed_worker_builds_again(perform: Perform, toolchain: Path) -> None:
    first = perform({"bbot-build": SCRIPT})
    toolchain.write_text("1111  bbot-worker\n")
    again = perform({"bbot-build": SCRIPT}, "", *last(first))
    assert again.status == "success"
    assert last(again)[0] == last(first)[0] and last(again)[1] != last(first)[1]


@pytest.mark.parametrize("what", ["content", "name", "link", "package", "setting"])
def test_a_changed_dependency_builds_again(
    perform: Perform, toolchain: Path, packages: Path, tmp_path: Path, what: str
) -> None:
    files = {"bbot-build": SCRIPT, "folder/data": "1", "other": "2"}
    first = perform(files)
    tree = tmp_path / "tree"
    configuration = ""
    match what:
        case "content":
            files["folder/data"] = "3"
        case "name":
            os.rename(tree / "folder", tree / "folder2")
            del files["folder/data"]
        case "link":
            os.symlink("other", tree / "link")
        case "package":
            packages.write_text("Package: clang\n")
        case _:
            configuration = "config.bbot.jobs=1"
    again = perform(files, configuration, *last(first))
    assert again.status == "success"
    assert last(again)[0] != last(first)[0]


def test_what_did_not_come_to_its_end_says_nothing() -> None:
    for status in ("abort", "abnormal"):
        result = Result()
        result.worker_checksum = result.dependency_checksum = "1"
        result.add("update", status, "")
        assert b"checksum" not in result.serialize()


def test_dependencies_from_an_index_are_never_the_same() -> None:
    task = Task([("name", "x"), ("version", "1")])
    assert checksums.dependency_checksum(task, "/nowhere", "python") == ""
    assert checksums.dependency_checksum(task, "", "make") == ""
    known = {module.name for module in pkgutil.iter_modules(drivers.__path__)}
    assert set(checksums.FETCHING) <= known


def test_a_clone_counts_by_its_commit(tmp_path: Path) -> None:
    task = Task([("name", "x"), ("version", "1")])
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("1\n")
    (tmp_path / ".git" / "index").write_text("a time")
    (tmp_path / "file").write_text("content")
    first = checksums.dependency_checksum(task, str(tmp_path), "make")
    (tmp_path / ".git" / "index").write_text("another time")
    assert checksums.dependency_checksum(task, str(tmp_path), "make") == first
    (tmp_path / ".git" / "HEAD").write_text("2\n")
    assert checksums.dependency_checksum(task, str(tmp_path), "make") != first


def test_who_may_run_a_file_counts(tmp_path: Path) -> None:
    task = Task([("name", "x"), ("version", "1")])
    (tmp_path / "file").write_text("content")
    sums = set()
    for mode in (0o644, 0o755, 0o664):
        (tmp_path / "file").chmod(mode)
        sums.add(checksums.dependency_checksum(task, str(tmp_path), "make"))
    assert len(sums) == 2


def test_without_a_toolchain_the_version_stands_for_the_worker() -> None:
    assert checksums.worker_checksum() == checksums.VERSION
