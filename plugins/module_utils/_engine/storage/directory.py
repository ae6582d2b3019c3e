# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Subvolumes that are plain directories, on any file system and without root.

A snapshot is a copy of the files: in no time where the file system shares blocks
between files, without the holes elsewhere. A fork, which a machine is run in and which is
thrown away, has overlays of the disks instead, and hard links to what is only read.
Under its final name a subvolume is complete. What is being made or deleted is called
.<name>.half, and locked by who is at it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import typing as t
import uuid

from ..linux.rename import exchange, rename_new
from .copying import copy_file
from .flush import flush_one
from .marker import MARKER, Mark, read_mark, write_mark
from .overlay import FORMATS, QCOW2, base_name, base_of, disk_size, make_overlay
from .protocol import StorageError, Subvolume, Uses, split
from .tree import TREE, copy_tree, link_tree, remove_tree

# Room in a name for what marks it as half-made.
_NAME_MAX = 255 - len("..half")
_HALF = re.compile(r"\..+\.half", re.DOTALL)

_WRITE = 0o222
# What a file system says that has no hard link to offer, or no further one.
_NO_LINK = (errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def _reason(error: OSError) -> str:
    """The kernel's error in the words of this domain."""
    return {
        errno.EINVAL: "its file system cannot rename so; use ext4, xfs, btrfs or tmpfs",
        errno.EXDEV: "the two are not on the same file system",
        errno.EBUSY: "it is in use, or a file system is mounted there",
    }.get(error.errno or 0, (error.strerror or str(error)).lower())


@contextlib.contextmanager
def _worded(what: str) -> t.Iterator[None]:
    """Put what the kernel refuses in words: `what` cannot be done."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {what}: {_reason(error)}") from error


def _half(path: str) -> str:
    parent, name = split(path, _NAME_MAX)
    return os.path.join(parent, f".{name}.half")


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _lock(directory: str) -> int | None:
    """Lock `directory`, and return its descriptor; None where somebody else has it locked."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it until now may have removed or renamed it.
        if os.path.samestat(os.fstat(fd), os.lstat(directory)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _all_in(
    directory: str, *, enter_others: bool = True, skip: str = TREE
) -> t.Iterator[os.DirEntry[str]]:
    """Everything in `directory` and below it, folders before what is in them.

    With ``enter_others`` also what is in other subvolumes there. What is called ``skip`` at its
    top is left out.
    """
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.name == skip:
                continue
            yield entry
            if entry.is_dir(follow_symlinks=False) and (
                enter_others or read_mark(entry.path) is None
            ):
                yield from _all_in(entry.path, enter_others=enter_others, skip="")


def _remove(directory: str) -> None:
    """Remove a directory with all that is in it, its marker first."""
    os.chmod(directory, 0o700)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, MARKER))
    remove_tree(directory)
    for entry in _all_in(directory):
        if entry.is_dir(follow_symlinks=False):
            # A read-only one keeps what is in it.
            os.chmod(entry.path, 0o700)
    shutil.rmtree(directory)


def _discard_half(half: str) -> bool:
    """Remove what is half-made unless somebody is at it; whether it was removed."""
    try:
        fd = _lock(half)
    except FileNotFoundError:
        return False
    if fd is None:
        return False
    try:
        _remove(half)
    finally:
        os.close(fd)
    return True


class Directory:
    """Storage on any file system; see there for what the methods do."""

    def check(self, directory: str) -> None:
        with _worded(f"keep machines in {directory}"):
            if not stat.S_ISDIR(os.stat(directory).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def info(self, path: str) -> Subvolume | None:
        if _HALF.fullmatch(os.path.basename(path)) or os.path.islink(path):
            return None
        with _worded(f"look at subvolume {path}"):
            mark = read_mark(path)
            if mark is None:
                return None
            try:
                generation = os.stat(path).st_mtime_ns
                with os.scandir(path) as entries:
                    for entry in entries:
                        times = entry.stat(follow_symlinks=False)
                        generation = max(generation, times.st_mtime_ns)
            except FileNotFoundError:
                # It is being deleted.
                return None
        return Subvolume(path, mark.uuid, mark.parent_uuid, mark.read_only, generation)

    def create(self, path: str) -> None:
        what = f"create subvolume {path}"
        with _worded(what), self._making(path, what):
            pass

    def snapshot(self, source: str, path: str, *, read_only: bool = False) -> None:
        what = f"snapshot subvolume {source} to {path}"
        with _worded(what), self._copying(source, path, what, read_only) as (place, half, _mark):
            for name, from_path in self._files(place, half):
                to_path = os.path.join(half, name)
                if base_of(name) is not None:
                    _link(from_path, to_path)
                else:
                    copy_file(from_path, to_path)
                    _allow_writing(to_path, True)
                flush_one(to_path)
            copy_tree(place, half)
            flush_one(half)
            if read_only:
                _freeze(half)

    def fork(self, source: str, path: str, uses: Uses, reader: int | None = None) -> None:
        what = f"snapshot subvolume {source} to {path}"
        with _worded(what), self._copying(source, path, what) as (place, half, mark):
            # What may be written to cannot be shared.
            disks, read_only = (uses.disks, uses.read_only) if mark.read_only else ({}, ())
            shared = []
            for name, from_path in self._files(place, half):
                to_path = os.path.join(half, name)
                if base_of(name) is not None:
                    _link(from_path, to_path)
                    shared.append(to_path)
                elif copy_file(from_path, to_path, clone_only=True):
                    _allow_writing(to_path, True)
                elif disks.get(name) in FORMATS:
                    shared.append(_overlay(place, half, name, disks[name]))
                elif name in read_only:
                    _link(from_path, to_path)
                    shared.append(to_path)
                else:
                    copy_file(from_path, to_path)
                    _allow_writing(to_path, True)
            (link_tree if mark.read_only else copy_tree)(place, half)
            for each in shared:
                _let_read(each, reader)

    def delete(self, path: str) -> None:
        if self.info(path) is None:
            raise StorageError(f"cannot delete {path}: it is not a subvolume")
        with _worded(f"delete subvolume {path}"):
            for entry in _all_in(path):
                if entry.is_dir(follow_symlinks=False) and read_mark(entry.path) is not None:
                    raise StorageError(
                        f"cannot delete subvolume {path}: it holds other subvolumes; "
                        "delete those first"
                    )
            half = _half(path)
            # There is one where somebody was killed.
            _discard_half(half)
            fd = _lock(path)
            if fd is None:
                raise StorageError(f"cannot delete {path}: somebody else is at it")
            try:
                rename_new(path, half)
                _remove(half)
            finally:
                os.close(fd)

    def discard(self, path: str) -> bool:
        found = self.info(path) is not None
        if found:
            self.delete(path)
        with _worded(f"remove what is half-made of {path}"):
            return _discard_half(_half(path)) or found

    def tidy(self, directory: str) -> list[str]:
        found = []
        with _worded(f"tidy up {directory}"):
            for name in sorted(os.listdir(directory)):
                path = os.path.join(directory, name)
                if _HALF.fullmatch(name) and _is_folder(path) and _discard_half(path):
                    found.append(path)
        return found

    def rename(self, path: str, dest: str) -> None:
        split(dest, _NAME_MAX)
        with _worded(f"rename subvolume {path} to {dest}"):
            rename_new(path, dest)

    def exchange(self, path: str, dest: str) -> None:
        for each in (path, dest):
            if self.info(each) is None:
                raise StorageError(f"cannot exchange {path} and {dest}: {each} is not a subvolume")
        with _worded(f"exchange subvolumes {path} and {dest}"):
            exchange(path, dest)

    def set_read_only(self, path: str, read_only: bool) -> None:
        state = "read-only" if read_only else "writable"
        with _worded(f"make {path} {state}"):
            os.stat(path)
            mark = read_mark(path)
            if mark is None:
                raise StorageError(f"cannot make {path} {state}: it is not a subvolume")
            if mark.read_only == read_only:
                return
            # The marker comes last: who is killed before has to begin anew.
            _allow_writing(path, True)
            (_freeze if read_only else _thaw)(path)
            write_mark(path, Mark(mark.uuid, mark.parent_uuid, read_only))
            _allow_writing(path, not read_only)

    @contextlib.contextmanager
    def _making(
        self, path: str, what: str, parent: str = "", read_only: bool = False
    ) -> t.Iterator[str]:
        """A place to make a subvolume in, which has the name `path` afterwards."""
        half = _half(path)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        # There is one where somebody was killed.
        _discard_half(half)
        try:
            os.mkdir(half)
            fd = _lock(half)
        except FileExistsError:
            fd = None
        if fd is None:
            raise StorageError(f"cannot {what}: somebody else is at it")
        try:
            yield half
            write_mark(half, Mark(str(uuid.uuid4()), parent, read_only))
            if read_only:
                _allow_writing(half, False)
            rename_new(half, path)
        except BaseException:
            with contextlib.suppress(OSError):
                _remove(half)
            raise
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _copying(
        self, source: str, path: str, what: str, read_only: bool = False
    ) -> t.Iterator[tuple[str, str, Mark]]:
        """A place to copy the files of `source` from, one to copy them to, and its marker."""
        fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The same directory whatever has its name meanwhile.
            place = f"/proc/self/fd/{fd}"
            mark = read_mark(place)
            if mark is None:
                raise StorageError(f"cannot {what}: it is not a subvolume")
            with self._making(path, what, mark.uuid, read_only) as half:
                yield place, half, mark
                # A marker is the first that goes when a subvolume is deleted.
                if read_mark(place) != mark:
                    raise StorageError(f"cannot {what}: it is deleted or changed meanwhile")
                top = os.fstat(fd)
                if os.geteuid() == 0:
                    os.chown(half, top.st_uid, top.st_gid)
                os.chmod(half, stat.S_IMODE(top.st_mode) | 0o200)
        finally:
            os.close(fd)

    def _files(self, place: str, half: str) -> t.Iterator[tuple[str, str]]:
        """The files to copy, by name relative to `place`; what else there is is made in `half`."""
        for entry in _all_in(place, enter_others=False):
            name = os.path.relpath(entry.path, place)
            to_path = os.path.join(half, name)
            if name == MARKER:
                continue
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), to_path)
            elif entry.is_dir(follow_symlinks=False):
                os.mkdir(to_path)
            elif entry.is_file(follow_symlinks=False):
                yield name, entry.path
            else:
                raise StorageError(f"cannot copy {entry.path}: it is no file, folder or link")


def _link(source: str, dest: str) -> None:
    """Give a file that is only read another name; a copy where that cannot be."""
    try:
        os.link(source, dest, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        copy_file(source, dest)


def _overlay(place: str, half: str, disk: str, disk_format: str) -> str:
    """Make an overlay in `half` over a disk in `place`; what it lies over, in `half`."""
    number = 0
    while os.path.lexists(os.path.join(place, base_name(disk, number))):
        # It is an overlay itself.
        number, disk_format = number + 1, QCOW2
    base = base_name(disk, number)
    path = os.path.join(half, base)
    _link(os.path.join(place, disk), path)
    size = disk_size(path, disk_format)
    make_overlay(os.path.join(half, disk), base, disk_format, size)
    return path


def _let_read(path: str, reader: int | None) -> None:
    """Have the group `reader` read a file, and nobody write to it."""
    found = os.stat(path)
    mode = stat.S_IMODE(found.st_mode)
    if os.geteuid() == 0 and reader is not None:
        if found.st_uid != 0 or found.st_gid != reader:
            os.chown(path, 0, reader)
        wanted = mode & ~_WRITE | 0o440
    else:
        wanted = mode & ~_WRITE
    if wanted != mode:
        os.chmod(path, wanted)


def _allow_writing(path: str, allowed: bool) -> None:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    wanted = mode | 0o200 if allowed else mode & ~_WRITE
    if wanted != mode:
        os.chmod(path, wanted)


def _freeze(directory: str) -> None:
    """Take away from all but root the right to write to what is in a directory."""
    for entry in _all_in(directory):
        if not entry.is_symlink():
            if os.geteuid() == 0 and entry.stat(follow_symlinks=False).st_uid != 0:
                os.chown(entry.path, 0, -1)
            _allow_writing(entry.path, False)


def _thaw(directory: str) -> None:
    """Allow to write to what is in a directory, but not to what others share."""
    for entry in _all_in(directory):
        if entry.is_symlink() or base_of(entry.name) is not None:
            continue
        if entry.is_file(follow_symlinks=False) and os.stat(entry.path).st_nlink > 1:
            own = f"{entry.path}.bbot-own"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(own)
            copy_file(entry.path, own)
            os.replace(own, entry.path)
        _allow_writing(entry.path, True)
