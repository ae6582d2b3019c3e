# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is particular to the btrfs storage, on a real volume."""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
    Subvolume,
)
from helpers.site import Site

storage = Btrfs()


@pytest.fixture
def place(site: Site) -> Path:
    """An empty folder on btrfs."""
    path = site.btrfs / site.next_name()
    path.mkdir()
    return path


def made(path: Path, **files: str) -> str:
    storage.create(str(path))
    for name, text in files.items():
        (path / name).write_text(text)
    return str(path)


def looked_at(path: str) -> Subvolume:
    info = storage.info(path)
    assert info is not None
    return info


def test_the_kernel_and_the_btrfs_command_say_the_same(place: Path) -> None:
    source = made(place / "source")
    storage.snapshot(source, str(place / "copy"), read_only=True)
    shown = subprocess.run(
        ["btrfs", "subvolume", "show", str(place / "copy")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    info = looked_at(str(place / "copy"))
    assert info.uuid in shown
    assert info.parent_uuid == looked_at(source).uuid
    assert info.parent_uuid in shown
    assert re.search(rf"^\s+Generation:\s+{info.generation}$", shown, re.MULTILINE)
    assert "readonly" in shown


def test_read_only_holds_for_root(place: Path) -> None:
    path = made(place / "one")
    storage.set_read_only(path, True)
    with pytest.raises(OSError, match="Read-only file system"):
        (place / "one" / "file").write_text("x")


def test_check_accepts_any_folder_on_btrfs(place: Path, site: Site) -> None:
    for path in (place, site.btrfs, made(place / "one")):
        storage.check(str(path))


Act = t.Callable[[Path, Path], None]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            lambda _, plain: storage.check(str(plain)),
            "cannot keep machines in {plain}: it is not on a btrfs file system",
        ),
        (
            lambda place, _: storage.check(str(place / "none")),
            "cannot keep machines in {place}/none: no such file or directory",
        ),
        (
            lambda _, plain: storage.create(str(plain / "x")),
            "cannot create subvolume {plain}/x: it is not on a btrfs file system",
        ),
        (
            lambda place, _: storage.create(str(place / "there")),
            "cannot create subvolume {place}/there: file exists",
        ),
        (
            lambda place, _: storage.create(str(place / "none" / "x")),
            "cannot create subvolume {place}/none/x: no such file or directory",
        ),
        (
            lambda place, _: storage.create(str(place / ("x" * 256))),
            "its last name must be of 1 to 255 bytes",
        ),
        (
            lambda place, _: storage.create("/"),
            "'/' is no usable subvolume path",
        ),
        (
            lambda place, _: storage.snapshot(str(place), str(place / "x")),
            "cannot snapshot subvolume {place} to {place}/x: it is not a subvolume",
        ),
        (
            lambda place, plain: storage.snapshot(str(place / "there"), str(plain / "x")),
            "cannot snapshot subvolume {place}/there to {plain}/x: it is not on a btrfs",
        ),
        (
            lambda place, _: storage.snapshot(str(place / "none"), str(place / "x")),
            "cannot snapshot subvolume {place}/none to {place}/x: no such file or directory",
        ),
        (
            lambda place, _: storage.delete(str(place / "none")),
            "cannot delete {place}/none: it is not a subvolume",
        ),
        (
            lambda place, _: storage.delete(str(place / "folder")),
            "cannot delete {place}/folder: it is not a subvolume",
        ),
        (
            lambda place, _: storage.rename(str(place / "none"), str(place / "x")),
            "cannot rename subvolume {place}/none to {place}/x: no such file or directory",
        ),
        (
            lambda place, plain: storage.rename(str(place / "there"), str(plain / "x")),
            "the two are not on the same file system",
        ),
        (
            lambda place, _: storage.set_read_only(str(place / "folder"), True),
            "cannot make {place}/folder read-only: it is not a subvolume",
        ),
        (
            lambda place, _: storage.set_read_only(str(place / "none"), False),
            "cannot make {place}/none writable: no such file or directory",
        ),
    ],
)
def test_refusals_name_the_path_and_the_reason(
    place: Path, site: Site, act: Act, words: str
) -> None:
    made(place / "there")
    (place / "folder").mkdir()
    # Of other tests' hosts.
    others = sorted(os.listdir(site.plain))
    with pytest.raises(StorageError) as caught:
        act(place, site.plain)
    assert words.format(place=place, plain=site.plain) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(place)) == ["folder", "there"]
    assert sorted(os.listdir(site.plain)) == others
