# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking zip archives, wheels among them."""

from __future__ import annotations

import calendar
import stat
import zipfile

from ..errors import WorkerError
from .place import shown

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import IO

    from .place import Place

# All members are listed in memory before the first is unpacked.
_MEMBERS_MOST = 500_000
_ENTRY = b"PK\x01\x02"
_CHUNK = 1 << 20
_LINK_MOST = 4096  # Linux's PATH_MAX.
_UTF8 = 0x800  # The flag of names in UTF-8.


def unpack_zip(file: IO[bytes], place: Place) -> None:
    """Put the members of the zip archive into the place.

    Raises WorkerError for what may not be in an archive of sources, and whatever zipfile does.
    """
    _check_number(file)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if not members:
            raise WorkerError("the archive of the sources is empty")
        for member in members:
            _unpack_member(archive, member, place)


def _check_number(file: IO[bytes]) -> None:
    """Raise WorkerError if there are more members than fit into a machine's memory."""
    count, tail = 0, b""
    while data := file.read(_CHUNK):
        count += (tail + data).count(_ENTRY)
        tail = data[-len(_ENTRY) + 1 :]
    file.seek(0)
    if count > _MEMBERS_MOST:
        raise WorkerError(f"the sources' archive has more than {_MEMBERS_MOST} members")


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Place) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of others zipfile unpacks all that there is at once, in memory.
        raise WorkerError(
            f"{shown(_name(member))} of the sources' archive is compressed by method "
            f"{member.compress_type}: zip archives are read if that is 'store' or 'deflate'"
        )
    name, mode, mtime = _name(member), member.external_attr >> 16, _time(member)
    kind = stat.S_IFMT(mode)
    if name.endswith("/") or kind == stat.S_IFDIR:
        place.folder(name, stat.S_IMODE(mode) or 0o755, mtime)
    elif kind == stat.S_IFLNK:
        with archive.open(member) as content:
            target = content.read(_LINK_MOST + 1)
            if len(target) > _LINK_MOST or content.read(1):
                raise WorkerError(f"the link {shown(name)} of the sources' archive is too long")
        place.link(name, target.decode("utf-8", "surrogateescape"), mtime)
    elif kind in (0, stat.S_IFREG):
        with archive.open(member) as content:
            place.file(name, stat.S_IMODE(mode) or 0o644, mtime, content, member.file_size)
    else:
        raise WorkerError(f"{shown(name)} of the sources' archive is no file, directory or link")


def _name(member: zipfile.ZipInfo) -> str:
    """The bytes of a name: zipfile has those without the flag read as of code page 437."""
    if member.flag_bits & _UTF8:
        return member.orig_filename
    return member.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")


def _time(member: zipfile.ZipInfo) -> int:
    """Seconds since 1970 of a time without a zone; 0 for a day that is none."""
    try:
        return calendar.timegm((*member.date_time, 0, 0, 0))
    except ValueError:
        return 0
