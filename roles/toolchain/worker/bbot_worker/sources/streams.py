# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading compressed files of every kind to their very end, where their checksums are."""

from __future__ import annotations

import contextlib

from ..errors import NotHere, WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from lzma import LZMADecompressor
    from typing import IO, Protocol

    from ..account import Account

    class Source(Protocol):
        """What bytes come out of; none at the end."""

        def read(self, size: int, /) -> bytes: ...


_MAGICS = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
    b"\x5d\0\0": "xz",  # .lzma, the form before.
    b"\x28\xb5\x2f\xfd": "zst",
    b"LZIP": "lz",
}
# Programs that print a file, and Debian's packages with them.
_PROGRAMS = {"zst": ("zstd", "zstd"), "lz": ("lzip", "lzip")}
_CHUNK = 1 << 18
_XZ_MEMORY = 1 << 30
# Bytes that the headers of one member may have.
HEADER_LIMIT = 1 << 20


class Stream:
    """What is in a file after decompression; it goes only forwards, and *limit* bytes far.

    ``is_compressed`` says whether its end is known by other means than the content's.
    """

    def __init__(self, source: Source, limit: int, is_compressed: bool) -> None:
        self._source = source
        self._limit = limit
        self._allowance: int | None = None
        self._position = 0
        self._peeked = b""
        self.is_compressed = is_compressed

    def read(self, size: int) -> bytes:
        """Return that many bytes, fewer only at the end."""
        if self._allowance is not None:
            self._allowance -= size
            if self._allowance < 0:
                raise WorkerError("the headers of a member of the sources' archive are too long")
        chunks = []
        while size > 0 and (data := self._next(min(size, _CHUNK))):
            chunks.append(data)
            size -= len(data)
            self._position += len(data)
        if self._position > self._limit:
            raise NotHere(
                "the sources' archive has more in it than this machine has room for "
                f"({self._limit >> 20} MB)"
            )
        return b"".join(chunks)

    def _next(self, size: int) -> bytes:
        if self._peeked:
            data, self._peeked = self._peeked[:size], self._peeked[size:]
            return data
        return self._source.read(size)

    def peek(self, size: int) -> bytes:
        """Return what the next read() will, of that size."""
        while len(self._peeked) < size and (data := self._source.read(size - len(self._peeked))):
            self._peeked += data
        return self._peeked[:size]

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        """Go forwards. What is not there is noticed at the next reading."""
        if position < self._position:
            raise WorkerError("the sources' archive refers back to what was read already")
        allowance, self._allowance = self._allowance, None
        while position > self._position:
            if not self.read(min(position - self._position, _CHUNK)):
                break
        self._allowance = allowance

    @contextlib.contextmanager
    def header(self) -> Iterator[None]:
        """Within it only so much can be read as headers of one member may have."""
        outermost = self._allowance is None
        if outermost:
            self._allowance = HEADER_LIMIT
        try:
            yield
        finally:
            if outermost:
                self._allowance = None

    def drain(self) -> None:
        """Read to the end: checksums of what was read stand there."""
        while self.read(_CHUNK):
            pass


def kind_of(file: IO[bytes]) -> str:
    """Return how the file at its beginning is compressed: gz, bz2, xz, zst, lz or not (empty)."""
    beginning = file.read(8)
    file.seek(0)
    for magic, kind in _MAGICS.items():
        if beginning.startswith(magic):
            return kind
    return ""


@contextlib.contextmanager
def decompressed(file: IO[bytes], account: Account, limit: int) -> Iterator[Stream]:
    """Give a Stream of what is in the file, whose checksums are right if it was read to its end."""
    kind = kind_of(file)
    if kind in _PROGRAMS:
        with _printed(file, kind, account) as printed:
            yield Stream(printed, limit, True)
        return
    source: Source = file
    if kind == "gz":
        import gzip

        source = gzip.GzipFile(fileobj=file)
    elif kind == "bz2":
        import bz2

        source = bz2.BZ2File(file)
    elif kind == "xz":
        source = _Xz(file)
    yield Stream(source, limit, bool(kind))


class _Xz:
    """Streams of xz, or one of lzma, with a bound for the memory that they ask for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = self._new()
        self._rest = b""

    @staticmethod
    def _new() -> LZMADecompressor:
        import lzma

        return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)

    def read(self, size: int) -> bytes:
        while True:
            if bool(self._decoder.eof):
                self._rest = self._decoder.unused_data.lstrip(b"\0")
                # Between streams and after the last one there may be zeros.
                while not self._rest:
                    data = self._file.read(_CHUNK)
                    if not data:
                        return b""
                    self._rest = data.lstrip(b"\0")
                self._decoder = self._new()
            if self._decoder.needs_input and not self._rest:
                self._rest = self._file.read(_CHUNK)
                if not self._rest:
                    raise EOFError("the compressed file ends too early")
            given, self._rest = self._rest, b""
            data = self._decoder.decompress(given, size)
            if data:
                return data


class _Printed:
    """What a program prints; its verdict at the end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if not data and self._process.wait():
            assert self._process.stderr is not None
            lines = self._process.stderr.read(4096).decode("utf-8", "replace").split("\n")
            raise WorkerError(f"the archive of the sources is unreadable: {lines[0].strip()}")
        return data


@contextlib.contextmanager
def _printed(file: IO[bytes], kind: str, account: Account) -> Iterator[_Printed]:
    import subprocess

    program, package = _PROGRAMS[kind]
    ids = account.ids
    try:
        process = subprocess.Popen(
            [program, "-d", "-c"],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            user=ids[0] if ids else None,
            group=ids[1] if ids else None,
            extra_groups=[] if ids else None,
        )
    except FileNotFoundError:
        raise NotHere(
            f"the archive of the sources is compressed as .{kind}, and there is no {program} here: "
            f"Debian's package {package} has it (machine_image_packages)"
        ) from None
    try:
        yield _Printed(process)
    finally:
        process.kill()
        process.communicate()
