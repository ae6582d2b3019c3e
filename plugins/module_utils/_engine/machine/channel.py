# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A byte stream from a machine, its console or its progress, kept in a file up to a limit."""

from __future__ import annotations

import contextlib
import os
import socket
import typing as t

from ..formats.manifest.text import sanitize

# Bytes that are kept: a guest may write without end.
_LIMIT = 16 << 20
_LONGEST_LINE = 4096

# Whoever shows the file on a terminal is not to be deceived: of the control characters only
# tabs and newlines stay.
_HARMLESS = bytes(
    ord("?") if byte == 127 or (byte < 32 and byte not in b"\t\n") else byte for byte in range(256)
)


class Channel:
    """What comes from `sock` goes to the file `path`; `line` is told each line, made printable.

    In the file a question mark stands for each control character, and returns are left out.
    `last` is the last line that was not blank.
    """

    def __init__(
        self, sock: socket.socket, path: str, line: t.Callable[[str], None] | None = None
    ) -> None:
        self._sock = sock
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._left = _LIMIT
        self._line = line
        self._partial = b""
        self._last = b""

    def read(self) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if self._left > 0:
            kept = data.translate(_HARMLESS, b"\r")[: self._left]
            self._left -= len(kept)
            if self._left == 0:
                kept += f"\n[cut here: {_LIMIT} bytes are kept]\n".encode()
            # These logs are a courtesy: a full disk must not end a task.
            with contextlib.suppress(OSError):
                os.write(self._fd, kept)
        *lines, partial = (self._partial + data).split(b"\n")
        self._partial = partial[-_LONGEST_LINE:]
        for each in reversed(lines):
            if each.strip():
                self._last = each[-_LONGEST_LINE:]
                break
        if self._line is not None:
            for each in lines:
                self._line(sanitize(each[:_LONGEST_LINE]))
        return bool(data)

    @property
    def last(self) -> str:
        """The last line that says something, made printable; empty if there was none."""
        said = self._partial if self._partial.strip() else self._last
        return sanitize(said).strip()

    def close(self) -> None:
        """Let go of the file; the socket is not ours."""
        os.close(self._fd)
