# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories as subvolumes: markers that lie, and a kernel that says odd things."""

from __future__ import annotations

import errno
import fcntl
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage import (
    copying as _copying,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage import (
    directory as _directory,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import (
    KINDS,
    Auto,
    make_storage,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.directory import Directory
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.marker import MARKER
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.overlay import (
    base_of,
    disk_size,
    make_overlay,
    overlays,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
    Uses,
)

storage = Directory()
USES = Uses({"disk.img": "raw"}, {"kernel"})
UUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A read-only subvolume with a disk and a kernel."""
    path = tmp_path / "one"
    storage.create(str(path))
    (path / "kernel").write_text("kernel")
    with (path / "disk.img").open("wb") as disk:
        disk.write(b"x" * 100_000)
        disk.truncate(10 << 20)
    storage.set_read_only(str(path), True)
    return path


def text(inode: int | str, rest: str = f"{UUID} - rw", kind: str = "bbot-1") -> str:
    return f"{kind} {inode} {rest}"


def own(path: Path) -> int:
    return path.stat().st_ino


@pytest.mark.parametrize(
    "marker",
    [
        lambda path: text(own(path) + 1),
        lambda path: text(own(path), kind="bbot-2"),
        lambda path: text(own(path), "x - rw"),
        lambda path: text(own(path), f"{UUID} - rx"),
        lambda path: text(own(path)) + " ",
        lambda path: text(own(path)) + "\n",
        lambda path: text("٣"),
        lambda path: text("9" * 21),
        lambda path: "x" * 1000,
        lambda path: "\udcff",
        lambda path: "/etc/passwd",
        None,
    ],
)
def test_a_marker_that_is_not_its_own_makes_no_subvolume(
    one: Path, marker: t.Callable[[Path], str] | None
) -> None:
    (one / MARKER).unlink()
    if marker is None:
        (one / MARKER).write_text(text(own(one)))
    else:
        (one / MARKER).symlink_to(marker(one))
    assert storage.info(str(one)) is None
    assert not storage.discard(str(one))
    with pytest.raises(StorageError, match="it is not a subvolume"):
        storage.delete(str(one))
    with pytest.raises(StorageError, match="it is not a subvolume"):
        storage.set_read_only(str(one), False)
    with pytest.raises(StorageError, match="it is not a subvolume"):
        storage.snapshot(str(one), f"{one}-2")
    assert (one / "kernel").read_text() == "kernel"
    assert sorted(os.listdir(one.parent)) == ["one"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("call", ["symlink", "rename", "mkdir", "open", "fsync", "chmod"])
def test_whatever_the_kernel_refuses_leaves_nothing(
    one: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    real = getattr(os, call)

    def refuse(*arguments: t.Any, **options: t.Any) -> t.Any:
        made = call != "open" or arguments[1] & os.O_CREAT
        if made and (call == "fsync" or ".half" in str(arguments)):
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, refuse)
    words = os.strerror(number).lower()
    with pytest.raises(StorageError, match=f"cannot snapshot subvolume {one} to {one}-2: {words}"):
        storage.snapshot(str(one), f"{one}-2", read_only=True)
    monkeypatch.undo()
    storage.tidy(str(one.parent))
    assert os.listdir(one.parent) == ["one"]


def test_a_file_system_that_cannot_rename_so(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_names: str) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    for name in ("rename_new", "exchange"):
        monkeypatch.setattr(_directory, name, refuse)
    with pytest.raises(StorageError, match="cannot rename so; use ext4, xfs, btrfs or tmpfs"):
        storage.create(f"{one}-2")
    assert os.listdir(one.parent) == ["one"]
    with pytest.raises(StorageError, match="cannot rename so; use ext4, xfs, btrfs or tmpfs"):
        storage.exchange(str(one), str(one))


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_it_is_copied(
    one: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_names: str, **_options: bool) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    fork = Path(f"{one}-2")
    storage.fork(str(one), str(fork), USES)
    assert (fork / "kernel").read_text() == "kernel"
    assert (fork / "kernel").stat().st_nlink == 1
    if overlays(str(fork)):
        base = fork / ".disk.img.bbot-base-0"
        assert base.read_bytes() == (one / "disk.img").read_bytes()


def test_one_that_is_deleted_while_it_is_copied(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _directory.copy_file

    def copy_file(*arguments: t.Any, **options: t.Any) -> bool:
        if one.exists():
            Directory().delete(str(one))
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return real(*arguments, **options)

    monkeypatch.setattr(_directory, "copy_file", copy_file)
    with pytest.raises(StorageError, match=r"cannot snapshot subvolume .*: no such file"):
        storage.snapshot(str(one), f"{one}-2")
    assert os.listdir(one.parent) == []


def test_one_that_lost_a_file_before_it_was_seen(
    one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Directory._files

    def files(self: Directory, place: str, half: str) -> t.Iterator[tuple[str, str]]:
        Directory().delete(str(one))
        return real(self, place, half)

    monkeypatch.setattr(Directory, "_files", files)
    with pytest.raises(StorageError, match="it is deleted or changed meanwhile"):
        storage.snapshot(str(one), f"{one}-2")
    assert os.listdir(one.parent) == []


def test_what_somebody_is_at_is_left_alone(one: Path) -> None:
    half = one.parent / ".two.half"
    half.mkdir()
    fd = os.open(half, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    two = str(one.parent / "two")
    assert storage.tidy(str(one.parent)) == []
    assert not storage.discard(two)
    with pytest.raises(StorageError, match=f"cannot create .*{two}: somebody else is"):
        storage.create(two)
    os.close(fd)
    assert storage.tidy(str(one.parent)) == [str(half)]
    storage.create(two)


def test_special_files_are_refused(one: Path) -> None:
    storage.set_read_only(str(one), False)
    os.mkfifo(one / "fifo")
    with pytest.raises(StorageError, match="fifo: it is no file, folder or link"):
        storage.snapshot(str(one), f"{one}-2")
    assert os.listdir(one.parent) == ["one"]


def test_a_killed_change_of_mode_is_done_again(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.fork(str(one), f"{one}-2", USES)

    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_directory, "write_mark", die)
        with pytest.raises(KeyboardInterrupt):
            storage.set_read_only(str(one), False)
    info = storage.info(str(one))
    assert info
    assert info.read_only
    storage.set_read_only(str(one), False)
    (one / "kernel").write_text("changed")
    assert Path(f"{one}-2", "kernel").read_text() == "kernel"
    assert sorted(os.listdir(one)) == [MARKER, "disk.img", "kernel"]


@pytest.mark.parametrize("refused", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("holes", [True, False])
def test_a_copy_by_the_kernel_or_by_hand(
    one: Path, monkeypatch: pytest.MonkeyPatch, refused: int, holes: bool
) -> None:
    def refuse(*_arguments: object) -> int:
        raise OSError(refused, os.strerror(refused))

    def lseek(*_arguments: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    if not holes:
        monkeypatch.setattr(os, "lseek", lseek)
    copy = one.parent / "copy"
    assert not _copying.copy_file(str(one / "disk.img"), str(copy), clone_only=True)
    assert not copy.exists()
    assert _copying.copy_file(str(one / "disk.img"), str(copy))
    assert copy.read_bytes() == (one / "disk.img").read_bytes()
    assert copy.stat().st_mtime_ns == (one / "disk.img").stat().st_mtime_ns


def test_a_file_that_is_cut_off_is_no_copy(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_arguments: 0)
    monkeypatch.setattr(_copying, "_clone", lambda *_files: False)
    with pytest.raises(StorageError, match="it is cut off while it is copied"):
        storage.snapshot(str(one), f"{one}-2")
    assert os.listdir(one.parent) == ["one"]


@pytest.mark.parametrize("size", [0, 1, 512, (1 << 29) - 1, 1 << 29, (1 << 29) + 1, 5 << 42])
def test_an_overlay_says_how_large_its_disk_is(tmp_path: Path, size: int) -> None:
    base, path = tmp_path / "base", tmp_path / "disk.img"
    with base.open("wb") as file:
        file.truncate(min(size, 1 << 40))
    raw = disk_size(str(base), "raw")
    assert min(size, 1 << 40) <= raw < min(size, 1 << 40) + 512
    assert raw % 512 == 0
    make_overlay(str(path), "base", "raw", size)
    assert disk_size(str(path), "qcow2") == size
    with pytest.raises(StorageError, match="is said to be qcow2, and is not"):
        disk_size(str(base), "qcow2")


def test_names_of_bases() -> None:
    assert base_of(".disk.img.bbot-base-0") == "disk.img"
    for name in (
        "disk.img",
        ".disk.img",
        "disk.img.bbot-base-0",
        "..bbot-base-0",
        "x/.y.bbot-base-0",
    ):
        assert base_of(name) is None, name


def test_kinds() -> None:
    assert KINDS == ("auto", "btrfs", "directory")
    assert isinstance(make_storage("auto"), Auto)


def test_auto_makes_directories_where_there_is_no_btrfs(tmp_path: Path) -> None:
    auto = make_storage("auto")
    auto.check(str(tmp_path))
    path = str(tmp_path / "one")
    auto.create(path)
    assert auto.info(path) == storage.info(path)
    (tmp_path / ".two.half").mkdir()
    assert auto.discard(str(tmp_path / "two"))
    assert os.listdir(tmp_path) == ["one"]
