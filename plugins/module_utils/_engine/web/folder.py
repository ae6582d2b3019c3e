# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A folder of a task's logs, read without leaving it: no links, no pipes, nothing whole."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import typing as t

from ..errors import EngineError

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# Parts of a path; entries of a folder that are looked at.
_DEEPEST, _MOST = 32, 2000


class NoFile(EngineError):
    """A file that is not there, or not one that is shown; the text says which."""

    temporary = False


@dataclasses.dataclass(frozen=True)
class LogFile:
    """A file in a folder of logs: its ``path`` there, and its size in bytes."""

    path: str
    size: int


class Folder:
    """The folder ``path`` of logs, which has to lie below the folder ``root``. Raises NoFile."""

    def __init__(self, path: str, root: str) -> None:
        relative = os.path.relpath(path, root)
        first = relative.split(os.sep, maxsplit=1)[0]
        if not os.path.isabs(path) or first in (os.pardir, os.curdir):
            raise NoFile(f"the logs in {path} are not below {root}, and so not shown here")
        self.path = path
        self._root = root
        self._relative = relative

    def open(self, name: str) -> t.BinaryIO:
        """Open the file ``name`` of the folder, or of a folder in it. Raises NoFile."""
        parts = [*self._relative.split(os.sep), *name.split("/")]
        fd = self._reach(parts, name)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise NoFile(f"{name} is no file")
        return open(fd, "rb", buffering=0)

    def _reach(self, parts: list[str], name: str) -> int:
        """Return a descriptor of what is at the end of these, below the root."""
        if len(parts) > _DEEPEST or any(
            part in ("", ".", "..") or "\0" in part or len(part) > 255 for part in parts
        ):
            raise NoFile("there is no file of that name")
        try:
            at = os.open(self._root, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
            try:
                for number, part in enumerate(parts):
                    more = os.O_DIRECTORY if number < len(parts) - 1 else 0
                    below = os.open(os.fsencode(part), _FLAGS | more, dir_fd=at)
                    os.close(at)
                    at = below
            except BaseException:
                os.close(at)
                raise
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no name can be so"
            raise NoFile(f"{name or 'the folder'} cannot be read: {reason}") from None
        return at

    def files(self) -> list[LogFile]:
        """Return the files that lie in the folder itself, by name; none if it is gone."""
        found: list[LogFile] = []
        with contextlib.suppress(NoFile, OSError):
            fd = self._reach(self._relative.split(os.sep), "")
            try:
                with os.scandir(fd) as entries:
                    for number, entry in enumerate(entries):
                        if number >= _MOST:
                            break
                        # One that vanishes meanwhile is none.
                        with contextlib.suppress(OSError):
                            if entry.is_file(follow_symlinks=False):
                                size = entry.stat(follow_symlinks=False).st_size
                                found.append(LogFile(entry.name, size))
            finally:
                os.close(fd)
        return sorted(found, key=lambda each: each.path)

    def part(self, name: str, start: int, most: int) -> tuple[bytes, int]:
        """Return at most ``most`` bytes of a file from ``start`` on, and its size.

        A negative start counts from the end. Raises NoFile.
        """
        with self.open(name) as file:
            try:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size + start) if start < 0 else min(start, size))
                return file.read(most), size
            except (OSError, OverflowError) as error:
                raise NoFile(f"{name} cannot be read: {error}") from error
