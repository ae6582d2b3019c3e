# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Past tasks once more: what is kept for that, what is missing, and what is another now."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.origin import differences
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.prepare import PrepareError
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.rerun import (
    SourceKeeper,
    prepare_rerun,
)

TASK = """\
: 1
name: hello
version: 1.0
repository-url: tftp:source.tar.gz
repository-type: dir
machine: tiny
target-config: a=1 config.bbot.jobs=2
"""
ORIGIN: dict[str, t.Any] = {
    "machine": "tiny",
    "image": "tiny-1",
    "revision": "tiny-1.1",
    "toolchain": "default",
    "toolchain_id": "abc",
    "cpu": 1,
    "ram": 262144,
    "accelerator": "tcg",
}


def make_results(folder: Path, *, sources: bool = True) -> Path:
    folder.mkdir()
    (folder / "task.manifest").write_text(TASK)
    (folder / "origin.json").write_text(json.dumps(ORIGIN))
    if sources:
        (folder / "archive").write_text("the sources")
        SourceKeeper().keep({"source.tar.gz": str(folder / "archive")}, str(folder))
    return folder


@pytest.mark.parametrize("relative", [False, True])
def test_a_task_as_it_was(tmp_path: Path, relative: bool) -> None:
    home = make_results(tmp_path / "results")
    prepared = prepare_rerun("results" if relative else str(home), str(tmp_path))
    assert prepared.fields["machine"] == "tiny"
    assert prepared.fields["repository-url"] == "tftp:source.tar.gz"
    assert prepared.fields["target-config"] == ["a=1", "config.bbot.jobs=2"]
    assert prepared.files == {"source.tar.gz": str(home / "sources" / "source.tar.gz")}
    assert prepared.describe("") == [f"once more: the task of {home}"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda home: (home / "task.manifest").unlink(), "no folder of a task's results"),
        (lambda home: (home / "sources/source.tar.gz").unlink(), "the sources of the task cannot"),
        (lambda home: (home / "task.manifest").write_text("junk"), "cannot be read|neither"),
        (lambda home: (home / "task.manifest").write_bytes(b"\xff\xfe"), "to be read"),
    ],
)
def test_what_cannot_be_repeated(
    tmp_path: Path, spoil: t.Callable[[Path], object], words: str
) -> None:
    home = make_results(tmp_path / "results")
    spoil(home)
    with pytest.raises(PrepareError, match=words):
        prepare_rerun(str(home), "/")


def test_results_of_before_sources_were_kept(tmp_path: Path) -> None:
    home = make_results(tmp_path / "results", sources=False)
    with pytest.raises(PrepareError, match="the sources of the task cannot be had again"):
        prepare_rerun(str(home), "/")
    manifest = home / "task.manifest"
    manifest.write_text(TASK.replace("tftp:source.tar.gz", "https://example.org/x.tar.gz"))
    assert prepare_rerun(str(home), "/").files == {}


def test_sources_are_on_the_disk_once(tmp_path: Path) -> None:
    archive = tmp_path / "packed"
    archive.write_text("the sources")
    keeper = SourceKeeper()
    copies = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        keeper.keep({"source.tar.gz": str(archive)}, str(tmp_path / name))
        copies.append(tmp_path / name / "sources" / "source.tar.gz")
    archive.write_text("others")
    assert [copy.read_text() for copy in copies] == ["the sources"] * 2
    assert copies[0].stat().st_ino == copies[1].stat().st_ino
    # Whoever removes one has not removed the other.
    copies[0].unlink()
    (tmp_path / "c").mkdir()
    keeper.keep({"source.tar.gz": str(archive)}, str(tmp_path / "c"))
    assert (tmp_path / "c" / "sources" / "source.tar.gz").read_text() == "others"


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({}, []),
        ({"revision": "tiny-1.2"}, ["revision of the machine was tiny-1.1, and is tiny-1.2"]),
        ({"image": None}, ["image of the machine was tiny-1, and is unknown"]),
        ({"cpu": 2, "ram": 1}, ["CPUs was 1, and is 2", "KiB of memory was 262144, and is 1"]),
        ({"machine": ["x" * 500]}, [f"machine was tiny, and is ['{'x' * 97}…"]),
    ],
)
def test_what_is_another_now(tmp_path: Path, changed: dict[str, t.Any], lines: list[str]) -> None:
    former, now = make_results(tmp_path / "former"), make_results(tmp_path / "now")
    (now / "origin.json").write_text(json.dumps({**ORIGIN, **changed}))
    assert differences(str(former), str(now)) == [f"not as before: {line}" for line in lines]


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff", b"[" * 100_000, b"{"])
def test_where_nothing_was_kept(tmp_path: Path, content: bytes | None) -> None:
    former, now = make_results(tmp_path / "former"), make_results(tmp_path / "now")
    (former / "origin.json").unlink()
    if content is not None:
        (former / "origin.json").write_bytes(content)
    (line,) = differences(str(former), str(now))
    assert line.endswith(f"there is no origin.json in {former}")
