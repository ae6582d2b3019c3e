# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A file of lines for people that does not outgrow its limit."""

from __future__ import annotations

import contextlib
import os

# Bytes: much more than a task that is meant well makes.
LIMIT = 4 << 20


class BoundedFile:
    """Appends lines to the file `path`, readable by its owner only, up to `limit` bytes in all.

    A last line says that it was cut. Such files are a courtesy: that the disk is full, or that
    the file cannot be opened, is no error.
    """

    def __init__(self, path: str, limit: int = LIMIT) -> None:
        self._fd = -1
        self._left = limit
        self._limit = limit
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(path, flags, 0o600)
            self._left = limit - os.fstat(self._fd).st_size

    def write(self, line: str, *, always: bool = False) -> None:
        """Append `line`, which has no newline; with `always` beyond the limit, too."""
        data = f"{line}\n".encode(errors="replace")
        if always:
            self._append(data)
        elif self._left > 0:
            self._left -= len(data)
            if self._left <= 0:
                data = f"[cut here: {self._limit} bytes are kept]\n".encode()
            self._append(data)

    def _append(self, data: bytes) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self._fd, data)

    def close(self) -> None:
        """Let go of the file; harmless a second time."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
