# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The btrfs storage on a real volume."""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import (
    Btrfs,
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


def test_a_new_subvolume_is_empty_and_no_snapshot(place: Path) -> None:
    info = looked_at(made(place / "one"))
    assert (info.path, info.parent_uuid, info.read_only) == (str(place / "one"), "", False)
    assert os.listdir(place / "one") == []


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


def test_a_snapshot_has_the_content_and_a_life_of_its_own(place: Path) -> None:
    source = made(place / "source", file="old")
    storage.snapshot(source, str(place / "copy"))
    (place / "copy" / "file").write_text("new")
    assert (place / "source" / "file").read_text() == "old"


def test_a_snapshot_is_writable_even_of_a_read_only_source(place: Path) -> None:
    source = made(place / "source", file="old")
    storage.set_read_only(source, True)
    storage.snapshot(source, str(place / "copy"))
    assert looked_at(source).read_only
    assert not looked_at(str(place / "copy")).read_only


def test_read_only_is_switched_on_and_off_and_kept(place: Path) -> None:
    path = made(place / "one")
    for read_only in (True, True, False, False):
        storage.set_read_only(path, read_only)
        assert looked_at(path).read_only is read_only
    storage.set_read_only(path, True)
    with pytest.raises(OSError, match="Read-only file system"):
        (place / "one" / "file").write_text("x")


@pytest.mark.parametrize("read_only", [False, True])
def test_delete(place: Path, read_only: bool) -> None:
    path = made(place / "one", file="x")
    storage.set_read_only(path, read_only)
    storage.delete(path)
    assert storage.info(path) is None
    assert not (place / "one").exists()


def test_rename_is_of_the_same_subvolume(place: Path) -> None:
    path = made(place / "one", file="x")
    storage.set_read_only(path, True)
    before = looked_at(path)
    storage.rename(path, str(place / "two"))
    after = looked_at(str(place / "two"))
    assert (after.uuid, after.read_only) == (before.uuid, True)
    assert storage.info(path) is None
    assert (place / "two" / "file").read_text() == "x"


def test_rename_does_not_replace_a_subvolume(place: Path) -> None:
    one, two = made(place / "one", file="1"), made(place / "two", file="2")
    with pytest.raises(StorageError, match=f"cannot rename subvolume {one} to {two}: "):
        storage.rename(one, two)
    assert (place / "one" / "file").read_text() == "1"
    assert (place / "two" / "file").read_text() == "2"


def test_nested_subvolumes_are_not_deleted_by_the_way(place: Path) -> None:
    outer = made(place / "outer")
    inner = made(place / "outer" / "inner")
    with pytest.raises(StorageError, match="it holds other subvolumes; delete those first"):
        storage.delete(outer)
    assert storage.info(outer) and storage.info(inner)
    # In a snapshot the inner one is but an empty folder.
    storage.snapshot(outer, str(place / "copy"))
    assert storage.info(str(place / "copy" / "inner")) is None


def test_info_of_what_is_no_subvolume(place: Path, site: Site) -> None:
    made(place / "one")
    (place / "link").symlink_to("one")
    (place / "file").write_text("x")
    for path in (place, place / "link", place / "file", place / "none", site.plain):
        assert storage.info(str(path)) is None, path


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
    with pytest.raises(StorageError) as caught:
        act(place, site.plain)
    assert words.format(place=place, plain=site.plain) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(place)) == ["folder", "there"]
    assert os.listdir(site.plain) == []
