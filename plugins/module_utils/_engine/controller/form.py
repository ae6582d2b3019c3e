# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""A form with a file, sent piece by piece (RFC 7578): a large one takes no memory."""

from __future__ import annotations

import os
import secrets
import typing as t

_PIECE = 65536


class Form:
    """A form of `fields` and the file `path`, which is called `file_name` in it.

    It can be iterated over again and again, as for another attempt, and gives the same bytes.
    Raises OSError if the file cannot be read.
    """

    def __init__(self, fields: t.Mapping[str, str], file_name: str, path: str) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        head = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        head.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{file_name}"; '
            f'filename="{os.path.basename(path)}"\r\n\r\n'
        )
        self._head = "".join(head).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._path = path
        self._size = os.path.getsize(path)

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> t.Iterator[bytes]:
        yield self._head
        left = self._size
        with open(self._path, "rb") as file:
            while left:
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise OSError(f"{self._path} has become shorter")
                left -= len(piece)
                yield piece
        yield self._tail
