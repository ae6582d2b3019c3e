# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking tar archives."""

from __future__ import annotations

import re
import tarfile as tar

from ..errors import WorkerError
from .place import MEMBERS_MOST, shown
from .streams import HEADER_LIMIT

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import Any, Self

    from .place import Place
    from .streams import Stream

# Global headers are for all members after them; there are a handful of names.
_GLOBALS_MOST = 100
# Digits in a row: as many as a name may have.
_DIGITS_MOST = 255
# The label of a volume.
_IGNORED = (b"V",)


class _Member(tar.TarInfo):
    """A member, whose header is not too long, and whose absence is an error, not an end."""

    @classmethod
    def fromtarfile(cls, tarfile: tar.TarFile) -> Self:
        assert isinstance(tarfile, _Archive)
        try:
            with tarfile.input.header():
                return super().fromtarfile(tarfile)
        except tar.EOFHeaderError:  # type: ignore[attr-defined]
            tarfile.is_whole = True
            raise
        except tar.EmptyHeaderError:  # type: ignore[attr-defined]
            raise
        except tar.HeaderError as error:
            raise tar.ReadError(str(error)) from None

    def _proc_pax(self, tarfile: tar.TarFile) -> tar.TarInfo:
        assert isinstance(tarfile, _Archive)
        if 0 <= self.size <= HEADER_LIMIT:  # Else reading will fail.
            _check_records(tarfile.input.peek(self.size))
        member: tar.TarInfo = super()._proc_pax(tarfile)  # type: ignore[misc]
        return member


class _Archive(tar.TarFile):
    def __init__(self, stream: Stream) -> None:
        self.input = stream  # TarFile has a "stream" of its own since Python 3.13.
        self.is_whole = False
        super().__init__(
            fileobj=stream,  # type: ignore[arg-type]
            tarinfo=_Member,
            encoding="utf-8",
            errors="surrogateescape",
        )


def unpack_tar(stream: Stream, place: Place) -> None:
    """Put the members of the tar archive into the place, and read the stream to its end.

    Raises WorkerError for what may not be in an archive of sources, and whatever tarfile does.
    """
    archive = _Archive(stream)
    count = 0
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # Else there is one more for each.
        count += 1
        if count > MEMBERS_MOST:
            raise WorkerError(f"the sources' archive has more than {MEMBERS_MOST} members")
        if len(archive.pax_headers) > _GLOBALS_MOST:
            raise WorkerError("the sources' archive has too many global headers")
        _unpack_member(archive, member, place)
    if not archive.is_whole and not stream.is_compressed:
        raise WorkerError("the archive of the sources is cut off: it has no end")
    if not count:
        raise WorkerError("the archive of the sources is empty")
    stream.drain()


def _unpack_member(archive: _Archive, member: tar.TarInfo, place: Place) -> None:
    if member.size < 0:
        raise WorkerError(f"{shown(member.name)} of the sources' archive has a negative size")
    if member.isdir():
        place.folder(member.name, member.mode, member.mtime)
    elif member.isreg():
        if member.issparse():
            _check_map(member)
        content = archive.extractfile(member)
        assert content is not None
        with content:
            place.file(member.name, member.mode, member.mtime, content, member.size)
    elif member.issym():
        place.link(member.name, member.linkname, member.mtime)
    elif member.islnk():
        place.hard_link(member.name, member.linkname)
    elif member.type not in _IGNORED:
        raise WorkerError(
            f"{shown(member.name)} of the sources' archive is no file, directory or link"
        )


def _check_records(data: bytes) -> None:
    """See that an extended header is what it should be.

    With other ones tarfile, before Python 3.11.10, can go on for hours or fill the memory.
    """
    position = 0
    while position < len(data) and data[position]:
        head = re.compile(rb"([0-9]{1,9}) ").match(data, position)
        end = position + int(head[1]) if head else 0
        if head is None or not head.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise tar.ReadError("invalid extended header")
        if data.find(b"=", head.end(), end) < 0:
            raise tar.ReadError("invalid extended header")
        position = end
    if any(len(digits) > _DIGITS_MOST for digits in re.findall(rb"[0-9]+", data)):
        raise tar.ReadError("too long a number in an extended header")


def _check_map(member: tar.TarInfo) -> None:
    """See that the parts of a file with holes are in order; else reading could go on forever."""
    end = 0
    parts: Any = member.sparse
    for offset, size in parts:
        if offset < end or size < 0:
            raise WorkerError(f"{shown(member.name)} of the sources' archive has unordered parts")
        end = offset + size
