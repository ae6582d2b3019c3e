# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Logs that may be of any size: their ends, windows into them, and the first error in them."""

from __future__ import annotations

import collections
import dataclasses
import os
import re
import threading

from ..matrix.collect import continued, is_error
from .clean import decode
from .folder import Folder, NoFile

# Bytes of a window, of the part that is searched for errors, and of what is searched at once.
WINDOW = 64 << 10
_SEARCHED, _BLOCK = 16 << 20, 1 << 20
# Bytes of a line that are looked at, and lines that only seem to tell of an error.
_LINE, _CANDIDATES = 2000, 20_000
_REMEMBERED = 512

# What a line has that may tell of an error: by this one knows at once where none is.
_HINT = re.compile(
    rb"error|fail|fatal|undefined|traceback|panic|not found|no such|cannot|can't|segmentation"
    rb"|assert|abort|exception|denied|unable",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Window:
    """Lines of a log: ``text``, which are its bytes from ``start`` to ``end`` of ``size``.

    ``mark`` is the place, in lines of the text, of the one that was asked for; None for none.
    """

    text: str
    start: int
    end: int
    size: int
    mark: int | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """The first line that tells of an error: where it begins, in bytes, and what it says."""

    place: int
    line: str


def window(folder: Folder, name: str, at: int, mark: int | None = None) -> Window:
    """Return the window into a log that begins at the byte ``at``; a negative one is its end.

    It has whole lines, if these are not longer than it. Raises NoFile.
    """
    if at < 0:
        data, size = folder.part(name, -WINDOW, WINDOW)
        start = max(0, size - len(data))
    else:
        data, size = folder.part(name, at, WINDOW)
        start = min(at, size)
    if start > 0:
        before, _size = folder.part(name, start - 1, 1)
        cut = data.find(b"\n") + 1
        # Not of a line that was begun before, unless there is no other.
        if before != b"\n" and 0 < cut < len(data):
            data, start = data[cut:], start + cut
    end = start + len(data)
    cut = data.rfind(b"\n") + 1
    if end < size and cut > 0:
        data, end = data[:cut], start + cut
    place = None
    if mark is not None and start <= mark < end:
        # Of what is shown, in which some lines end otherwise.
        place = decode(data[: mark - start]).count("\n")
    return Window(decode(data), start, end, size, place)


def tail(folder: Folder, name: str, most: int, lines: int) -> list[str]:
    """Return the last lines of a log, of its last ``most`` bytes; none if it is not there."""
    try:
        data, size = folder.part(name, -most, most)
    except NoFile:
        return []
    if size > most:
        data = data[data.find(b"\n") + 1 :]
    return decode(data).splitlines()[-lines:]


class Errors:
    """Finds the first error of a log; what it has found is remembered while the log is the same."""

    def __init__(self) -> None:
        self._found: collections.OrderedDict[tuple[int, ...], Found | None] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def first(self, folder: Folder, name: str) -> Found | None:
        """Return the first line that tells of an error; None if there is none in the beginning.

        The beginning is 16 MiB. Raises NoFile.
        """
        with folder.open(name) as file:
            status = os.fstat(file.fileno())
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            with self._lock:
                if key in self._found:
                    return self._found[key]
            found = _search(file.fileno())
        with self._lock:
            self._found[key] = found
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return found


def _search(fd: int) -> Found | None:
    place, rest, left = 0, b"", _CANDIDATES
    while place < _SEARCHED:
        try:
            block = os.pread(fd, _BLOCK, place)
        except OSError as error:
            raise NoFile(f"the log cannot be read: {error}") from error
        begun = place - len(rest)
        data = rest + block
        place += len(block)
        ended = not block or place >= _SEARCHED
        whole = len(data) if ended else data.rfind(b"\n") + 1
        found, left = _in_block(data[:whole], begun, left)
        if found or ended or not left:
            return found
        # Of a line that never ends only its end is kept.
        rest = data[whole:][-_LINE:]
    return None


def _in_block(data: bytes, begun: int, left: int) -> tuple[Found | None, int]:
    """Return what is found in some lines, and how many more candidates may be looked at."""
    place = 0
    while left and (hint := _HINT.search(data, place)):
        left -= 1
        start = data.rfind(b"\n", 0, hint.start()) + 1
        end = data.find(b"\n", hint.end())
        end = len(data) if end < 0 else end
        # Around the hint, if the line is very long.
        first = max(start, hint.start() - _LINE // 2)
        line = decode(data[first : min(end, first + _LINE)])
        if is_error(line):
            following = decode(data[end + 1 : end + 1 + _LINE]).partition("\n")[0]
            return Found(begun + first, continued(line, following).strip()), left
        # A line that never ends is not looked at again and again.
        place = min(end, hint.end() + _LINE)
    return None, left
