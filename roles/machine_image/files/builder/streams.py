# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are not ours, read forward once: uncompressed, counted and summed up meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from collections.abc import Iterator
from typing import IO

from programs import BuildError

# What a compressed file begins with, what uncompresses it, and the package that has that.
_PROGRAMS = (
    (b"\x1f\x8b", "gzip", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
    (b"\xfd7zXZ\0", "xz", "xz-utils"),
    (b"BZh", "bzip2", "bzip2"),
    (b"LZIP", "lzip", "lzip"),
)
_AT_ONCE = 1 << 20
# tarfile keeps a header as a whole, however long it is.
_LONGEST_HEADER = 4 << 20


class Budget:
    """How many bytes all that is unpacked may have: the size of the disk that it is for."""

    def __init__(self, megabytes: int) -> None:
        self._megabytes = megabytes
        self._left = megabytes << 20

    def take(self, size: int, source: str) -> None:
        """Note bytes of *source*. Raises BuildError where there are too many."""
        self._left -= size
        if self._left < 0:
            raise BuildError(
                f"{source} holds more than the {self._megabytes} MB of the machine's disk: raise "
                "its size (machine_image_disk_size)"
            )


class Stream:
    """The bytes of a file as tarfile wants them, where there is no way back.

    `name` says what it is in errors; its bytes are those of the *budget*.
    """

    def __init__(self, file: IO[bytes], name: str, budget: Budget) -> None:
        self.name = name
        self._file = file
        self._budget = budget
        self._position = 0
        self._header = 0
        self._sum = hashlib.sha256()
        self._last = b""

    @property
    def ended_well(self) -> bool:
        """Whether what was read last can be the end of an archive: zeros, or nothing."""
        return not self._last.strip(b"\0")

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        """Skip bytes up to *position*."""
        if whence != 0 or position < self._position:
            raise BuildError(f"{self.name} is damaged: its parts are not in their order")
        while self._position < position:
            if not self._next(min(position - self._position, _AT_ONCE)):
                break
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read exactly *size* bytes, less at the end only."""
        self._header += size
        if size < 0 or self._header > _LONGEST_HEADER:
            raise BuildError(
                f"{self.name} is damaged or hostile: it has a header of {self._header} bytes"
            )
        parts = []
        while size:
            part = self._next(min(size, _AT_ONCE))
            if not part:
                break
            parts.append(part)
            size -= len(part)
        self._last = b"".join(parts)
        return self._last

    def headers_end(self) -> None:
        """Note that what was read so far is not kept, or not as headers."""
        self._header = 0

    def digest(self) -> str:
        """Read on to the end; the SHA-256 of all, in hexadecimal."""
        while self._next(_AT_ONCE):
            pass
        return self._sum.hexdigest()

    def _next(self, size: int) -> bytes:
        data = self._file.read(size)
        self._position += len(data)
        self._sum.update(data)
        self._budget.take(len(data), self.name)
        return data


@contextlib.contextmanager
def opened(path: str, name: str, budget: Budget) -> Iterator[Stream]:
    """The uncompressed bytes of the file at *path*, which is read to its end. Raises BuildError."""
    # Without a buffer: a program goes on where we are.
    with open(path, "rb", buffering=0) as file:
        start = file.read(8)
        program = next((entry for entry in _PROGRAMS if start.startswith(entry[0])), None)
        file.seek(0)
        if program is None:
            yield Stream(file, name, budget)
            return
        _magic, command, package = program
        try:
            process = subprocess.Popen(
                [command, "--decompress", "--stdout"],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise BuildError(
                f"{name} is compressed by {command}, which is not on this host: install the "
                f"package {package}"
            ) from None
    with process:
        assert process.stdout is not None and process.stderr is not None
        try:
            stream = Stream(process.stdout, name, budget)
            yield stream
            stream.digest()
        except BaseException:
            process.kill()
            raise
        words = " ".join(process.stderr.read().decode(errors="replace").split())
        if process.wait():
            raise BuildError(f"{name} is damaged: {words[:300] or command + ' failed'}")
