# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh directory that members of an archive are put into, never out of it and never too much."""

from __future__ import annotations

import math
import os
import re

from ..errors import NotHere, WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import IO

    from ..account import Account
    from .streams import Source

MEMBERS_MOST = 2_000_000
# Tools that walk trees go wrong where a thousand directories are in each other.
_DEPTH_MOST = 200
# Of the free disk that much is left to the build: bytes, and files.
_RESERVE = 64 << 20
_FILES_RESERVE = 1000
# Bytes of memory for the names of directories.
_NAMES_MOST = 256 << 20
# Of a small disk no more than this part.
_RESERVED_PART = 8
# What a file takes of the disk is a multiple of it.
_BLOCK = 4096
_CHUNK = 1 << 18
# The latest time that ext4 can tell, in seconds since 1970.
_LATEST = 15_032_385_535


class Place:
    """The directory *top*, which is there and empty, and all that is put into it.

    Names are those of members: text in UTF-8, other bytes as surrogates. Everything belongs to the
    build user. Each method raises WorkerError for what may not be.
    """

    def __init__(self, top: str, account: Account) -> None:
        self.top = os.fsencode(top)
        self.account = account
        self.bytes_left, files = free(top)
        self._free = self.bytes_left
        self.members_left = MEMBERS_MOST if files is None else min(MEMBERS_MOST, files)
        self.is_dotted = False
        self.tops: set[bytes] = set()
        self._names_left = _NAMES_MOST
        # Directories that were made here, with the times that they are to have. Nothing is ever put
        # below anything else.
        self._folders: dict[bytes, float | None] = {self.top: None}

    def folder(self, name: str, mode: int, mtime: float) -> None:
        """Make a directory, or set the mode of one that is there."""
        parts = self._parts(name)
        path = self._enter(parts)
        if parts:
            self._set_mode(path, 0o700 | mode & 0o755)
            self._folders[path] = mtime

    def file(self, name: str, mode: int, mtime: float, source: Source, told: int) -> None:
        """Put a file there with all that comes out of *source*, *told* to be that many bytes."""
        path = self._locate(name)
        if told > self.bytes_left:
            raise self._too_large()
        size = 0
        with self._create(path) as file:
            while data := source.read(_CHUNK):
                before = size
                size += len(data)
                self._take(-(-size // _BLOCK) * _BLOCK - -(-before // _BLOCK) * _BLOCK)
                file.write(data)
        self._set_mode(path, 0o600 | mode & 0o755)
        self._settle(path, mtime)

    def link(self, name: str, target: str, mtime: float) -> None:
        """Put a symbolic link there, wherever it leads."""
        path = self._locate(name)
        if not target or "\0" in target:
            raise WorkerError(f"the link {shown(name)} of the sources' archive leads nowhere")
        self._symlink(_encode(target), path)
        self._settle(path, mtime)

    def hard_link(self, name: str, target: str) -> None:
        """Give the file or link *target*, which was put here before, another name."""
        parts = self._parts(target)
        original = b"/".join([self.top, *parts])
        if os.path.dirname(original) not in self._folders or original in self._folders:
            raise self._no_original(name, target)
        if self._parts(name) == parts and os.path.lexists(original):
            return  # So tar(1) writes what it was given twice.
        self._hard_link(original, self._locate(name), name, target)

    def finish(self) -> None:
        """Set what could not be kept before: the times of directories."""
        for path, mtime in self._folders.items():
            if mtime is not None:
                _set_time(path, mtime)

    def project(self) -> str:
        """Return the directory of the project: the single one at the top, if there is just that.

        Not if names begin with ``./``: those are a directory's own content, whatever that is.
        """
        if len(self.tops) == 1 and not self.is_dotted:
            (name,) = self.tops
            inner = self.top + b"/" + name
            if inner in self._folders:
                return os.fsdecode(inner)
        return os.fsdecode(self.top)

    def _parts(self, name: str) -> list[bytes]:
        """The parts of a name, after a look at each."""
        encoded = _encode(name)
        if encoded[:2] == b"./" or encoded == b".":
            self.is_dotted = True
        parts = [part for part in encoded.split(b"/") if part not in (b"", b".")]
        if b"\0" in encoded:
            raise WorkerError(f"the name {shown(name)} in the sources' archive has a zero byte")
        if encoded[:1] == b"/" or b".." in parts:
            raise WorkerError(f"the archive of the sources has {shown(name)}, outside of its root")
        if len(parts) > _DEPTH_MOST:
            raise WorkerError(
                f"{shown(name)} of the sources' archive is deeper than {_DEPTH_MOST} directories"
            )
        return parts

    def _locate(self, name: str) -> bytes:
        """Where a file or link goes; its place is free then."""
        parts = self._parts(name)
        if not parts:
            raise WorkerError("the archive of the sources has something without a name")
        self.tops.add(parts[0])
        folder = self._enter(parts[:-1])
        path = folder + b"/" + parts[-1]
        if path in self._folders:
            raise WorkerError(f"{shown(name)} is a directory in the sources' archive, too")
        self._count()
        self._remove(path)
        return path

    def _enter(self, parts: list[bytes]) -> bytes:
        """The directory of that name, made if it is not there."""
        path = b"/".join([self.top, *parts])
        if path in self._folders:
            return path
        self.tops.add(parts[0])
        path = self.top
        for part in parts:
            path += b"/" + part
            if path not in self._folders:
                self._count()
                self._names_left -= len(path)
                if self._names_left < 0:
                    raise WorkerError("the sources' archive has too many directories")
                self._make(path)
                self._folders[path] = None
        return path

    def _count(self) -> None:
        self.members_left -= 1
        if self.members_left < 0:
            raise WorkerError(
                f"the sources' archive has more than {MEMBERS_MOST} members, or more than the "
                "disk of this machine can hold"
            )
        self._take(_BLOCK)

    def _take(self, size: int) -> None:
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise self._too_large()

    def _too_large(self) -> NotHere:
        return NotHere(
            f"the sources' archive unpacks to more than the {self._free >> 20} MB that are free in "
            "this machine"
        )

    @staticmethod
    def _no_original(name: str, target: str) -> WorkerError:
        return WorkerError(
            f"{shown(name)} of the sources' archive is a hard link to {shown(target)}, which is no "
            "file before it"
        )

    # What is done to the disk:

    def _make(self, path: bytes) -> None:
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            name = shown(os.fsdecode(path[len(self.top) + 1 :]))
            raise WorkerError(
                f"{name} is a directory in the sources' archive, and a file or link, too"
            ) from None
        self.account.own(os.fsdecode(path))

    @staticmethod
    def _remove(path: bytes) -> None:
        if os.path.lexists(path):
            os.unlink(path)

    @staticmethod
    def _create(path: bytes) -> IO[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, 0o600), "wb")

    @staticmethod
    def _set_mode(path: bytes, mode: int) -> None:
        os.chmod(path, mode)

    @staticmethod
    def _symlink(target: bytes, path: bytes) -> None:
        os.symlink(target, path)

    def _hard_link(self, original: bytes, path: bytes, name: str, target: str) -> None:
        try:
            os.link(original, path, follow_symlinks=False)
        except FileNotFoundError:
            raise self._no_original(name, target) from None

    def _settle(self, path: bytes, mtime: float) -> None:
        self.account.own(os.fsdecode(path))
        _set_time(path, mtime)


class Rehearsal(Place):
    """What would be put there is looked at, and nothing is written."""

    def finish(self) -> None:
        pass

    def _make(self, path: bytes) -> None:
        pass

    @staticmethod
    def _remove(path: bytes) -> None:
        pass

    @staticmethod
    def _create(path: bytes) -> IO[bytes]:
        return open(os.devnull, "wb")

    @staticmethod
    def _set_mode(path: bytes, mode: int) -> None:
        pass

    @staticmethod
    def _symlink(target: bytes, path: bytes) -> None:
        pass

    def _hard_link(self, original: bytes, path: bytes, name: str, target: str) -> None:
        pass

    def _settle(self, path: bytes, mtime: float) -> None:
        pass


def free(directory: str) -> tuple[int, int | None]:
    """Return how many bytes, and files if those are limited, may be put into the directory."""
    status = os.statvfs(directory)
    size = _less(status.f_bavail * status.f_frsize, _RESERVE)
    return size, _less(status.f_favail, _FILES_RESERVE) if status.f_files else None


def _less(number: int, reserve: int) -> int:
    return number - min(reserve, number // _RESERVED_PART)


def shown(name: str) -> str:
    """Return a member's name in quotes, for people, whatever is in it."""
    text = name if len(name) <= 200 else f"{name[:200]}…"
    text = text.encode("utf-8", "backslashreplace").decode()
    return "'" + re.sub("[\0-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text) + "'"


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _set_time(path: bytes, mtime: float) -> None:
    """Set the time of the last change, in seconds; what no file can have is made to fit."""
    fitting = max(0, min(_LATEST, mtime)) if not math.isnan(mtime) else 0
    os.utime(path, (fitting, fitting), follow_symlinks=False)
