# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders of logs are not left, and nothing in them makes anybody wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.folder import Folder, NoFile


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "log" / "task-1"
    (folder / "artifacts" / "lib").mkdir(parents=True)
    (folder / "update.log").write_bytes(b"0123456789")
    (folder / "artifacts" / "lib" / "x y.so").write_bytes(b"ELF")
    (folder / "link.log").symlink_to("../../secret")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.log")
    return folder


def folder_of(place: Path) -> Folder:
    return Folder(str(place), str(place.parent))


def test_files_are_read_in_part(place: Path) -> None:
    folder = folder_of(place)
    assert folder.part("update.log", 0, 4) == (b"0123", 10)
    assert folder.part("update.log", -3, 100) == (b"789", 10)
    assert folder.part("update.log", -30, 100) == (b"0123456789", 10)
    assert folder.part("update.log", 1 << 70 >> 10, 9) == (b"", 10)
    with folder.open("artifacts/lib/x y.so") as file:
        assert file.read() == b"ELF"
    assert [(each.path, each.size) for each in folder.files()] == [("update.log", 10)]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            "../task-1/update.log",
            "../../secret",
            "/etc/passwd",
            "",
            ".",
            "a//b",
            "./update.log",
        ),
        *("link.log", "linked/secret", "pipe.log", "artifacts", "artifacts/lib", "none", "a\0b"),
        *("x" * 300, "/".join("a" * 40), "\ud800"),
    ],
)
def test_what_is_no_file_of_it(place: Path, name: str) -> None:
    with pytest.raises(NoFile):
        folder_of(place).open(name)


@pytest.mark.parametrize("path", ["", ".", "..", "log/../../x", "/etc", "log", "/", "relative"])
def test_folders_elsewhere_are_none_of_ours(tmp_path: Path, path: str) -> None:
    root = tmp_path / "log"
    with pytest.raises(NoFile, match="not below"):
        Folder(path if path.startswith(("/", "rel")) else str(tmp_path / path), str(root))


def test_a_folder_that_is_a_link(place: Path) -> None:
    other = place.parent / "task-2"
    other.symlink_to(place)
    assert folder_of(other).files() == []
    with pytest.raises(NoFile):
        folder_of(other).open("update.log")


def test_what_has_vanished(place: Path) -> None:
    folder = folder_of(place)
    with folder.open("update.log") as file:
        (place / "update.log").unlink()
        assert file.read(4) == b"0123"
    with pytest.raises(NoFile, match="No such file"):
        folder.open("update.log")
    place.rename(place.with_name("gone"))
    assert folder.files() == []


def test_no_more_files_than_can_be_shown(place: Path) -> None:
    for number in range(2500):
        (place / f"{number}.log").touch()
    assert len(folder_of(place).files()) <= 2000
