# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacking archives of every kind that sources come in; what they are is seen in their content."""

from __future__ import annotations

import os
import re

from ..errors import WorkerError
from .place import Place, Rehearsal, free
from .streams import decompressed
from .tar import unpack_tar

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import IO

    from ..account import Account

# What a Ruby gem has at its top; there may be signatures beside them.
_GEM = {b"data.tar.gz", b"metadata.gz"}
_GEM_TOO = re.compile(rb"checksums\.yaml\.gz|[a-z.]+\.gz\.sig")
# Not so a signature of one, which Debian's source packages may have beside it.
_TAR = re.compile(r"\.tar\.[a-z0-9]+\Z")
# A compressed stream has the ends and headers of files in it, too.
_OVERHEAD = 1 << 30


def unpack(path: str, directory: str, account: Account) -> str:
    """Unpack the archive into a fresh directory, never outside of it; the project's directory.

    It is a tar archive, plain or compressed, a zip archive, or a gem. Raises WorkerError for
    whatever is odd about it.
    """
    account.make_directory(directory)
    try:
        with open(path, "rb", buffering=0) as file:
            return _unpack(file, directory, account)
    except WorkerError:
        raise
    # Libraries that read archives raise nearly everything: all of it is about the archive.
    except Exception as error:
        raise unreadable(error) from error


def rehearse(path: str, directory: str, account: Account, taken: int) -> int:
    """Return how many bytes of *directory*'s disk the archive will take, without writing them.

    What is not named as a tar archive, such as a compressed patch or a signature, is only read.
    *taken* is how much others will take. Raises WorkerError as unpack() does.
    """
    place = Rehearsal(directory, account)
    place.bytes_left -= taken
    before = place.bytes_left
    try:
        with open(path, "rb", buffering=0) as file:
            if _TAR.search(path):
                _unpack_tar(file, place)
                return before - place.bytes_left
            with decompressed(file, account, before) as stream:
                stream.drain()
                return stream.tell()
    except WorkerError:
        raise
    except Exception as error:
        raise unreadable(error) from error


def unreadable(error: Exception) -> WorkerError:
    """Return what to say of an archive when something was raised that is not ours."""
    reason = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename or "")
        reason = f"{error.strerror}{f': {name[:200]}' if name else ''}"
    return WorkerError(f"the archive of the sources is unreadable: {reason[:1000]}")


def _unpack(file: IO[bytes], directory: str, account: Account) -> str:
    place = Place(directory, account)
    if _is_zip(file):
        from .zip import unpack_zip

        unpack_zip(file, place)
    else:
        is_plain = _unpack_tar(file, place)
        if is_plain and _is_gem(place):
            return _unpack_gem(directory, account)
    place.finish()
    return place.project()


def _is_zip(file: IO[bytes]) -> bool:
    beginning = file.read(4)
    file.seek(0)
    return beginning in (b"PK\x03\x04", b"PK\x05\x06")


def _unpack_tar(file: IO[bytes], place: Place) -> bool:
    """Unpack a tar archive; whether it was not compressed."""
    limit = free(os.fsdecode(place.top))[0] + _OVERHEAD
    with decompressed(file, place.account, limit) as stream:
        unpack_tar(stream, place)
        return not stream.is_compressed


def _is_gem(place: Place) -> bool:
    others = place.tops - _GEM
    return place.tops >= _GEM and all(_GEM_TOO.fullmatch(name) for name in others)


def _unpack_gem(directory: str, account: Account) -> str:
    """Replace the parts of a gem by its data; its metadata.gz stays beside."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    part = os.open(os.path.join(directory, "data.tar.gz"), flags)
    with os.fdopen(part, "rb", buffering=0) as data:
        for name in os.listdir(directory):
            if name != "metadata.gz":
                os.unlink(os.path.join(directory, name))
        place = Place(directory, account)
        _unpack_tar(data, place)
    place.finish()
    return directory
