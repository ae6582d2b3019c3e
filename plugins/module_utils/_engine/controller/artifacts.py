# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Artifacts that a worker has uploaded, made ready for the controller.

A worker that builds binary packages uploads `upload.tar` before its result, with
`upload/<type>/<instance>/...` in it. The controller takes each instance as an archive
of its own, at the URL of the type (brep's upload handler).
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import io
import os
import re
import shutil
import tarfile
import typing as t

from ..errors import EngineError

# The worker's file, among what it has uploaded.
FILE = "upload.tar"
# The folder of the archives for the controller, beside what the worker has uploaded: no upload
# may stand in for one.
FOLDER = "delivery"
# What a worker may upload in all, by default, in bytes.
UPLOAD_LIMIT = 256 << 20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")

# What an archive may have at most: members, and bytes of headers in all and in one piece.
_MOST_MEMBERS = 10_000
_MOST_HEADERS = 32 << 20
_LONGEST_HEADER = 64 << 10
# Headers that hold for all members; each member copies them.
_MOST_GLOBAL_HEADERS = 100
# Content is read in such pieces.
_PIECE = 64 << 10

# An error that says something about the host, not about an archive.
_HOSTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE),
    *(errno.ENOMEM, errno.EACCES, errno.EPERM),
)


class ArtifactError(EngineError):
    """An archive that cannot be used; the text names it and the reason.

    One that is `temporary` is the host's fault, such as a full disk.
    """

    culprit = "task"
    temporary = False


@dataclasses.dataclass(frozen=True)
class Artifact:
    """One instance of a type of artifact, and the archive to upload it as."""

    type: str
    instance: str
    path: str

    @property
    def marker(self) -> str:
        """The file that is there once the controller has the archive."""
        return f"{self.path}.uploaded"

    def sha256sum(self) -> str:
        """The checksum of the archive, in lower-case hexadecimal. Raises OSError."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def repack(logs: str, types: t.Collection[str], limit: int = UPLOAD_LIMIT) -> list[Artifact]:
    """Make an archive of each instance of these ``types`` in the worker's, below ``logs``.

    Only files and folders are taken over, of at most ``limit`` bytes in all: an archive with
    anything else has no business on a controller. An instance that is uploaded already is not
    made again. Raises ArtifactError.
    """
    source = os.path.join(logs, "artifacts", FILE)
    if not types or not os.path.isfile(source):
        return []
    with _reading(source) as archive:
        return _split(archive, os.path.join(logs, FOLDER), types, limit)


def discard(logs: str) -> None:
    """Remove the archives that were made for the controller: the worker's stays."""
    shutil.rmtree(os.path.join(logs, FOLDER), ignore_errors=True)


def unpack(folder: str, expected: t.Mapping[str, tuple[int, str]]) -> list[str]:
    """Lay out the files of the worker's archive in ``folder`` beside it; their paths, in order.

    Only those files whose size and SHA-256 digest are ``expected`` for the path that they have
    within their instance. Raises ArtifactError.
    """
    source = os.path.join(folder, FILE)
    done: list[str] = []
    if not expected or not os.path.isfile(source):
        return done
    with _reading(source) as archive:
        for member in _members(archive):
            path = "/".join(member.name.split("/")[3:])
            size, digest = expected.get(path, (-1, ""))
            if path in done or not member.isreg() or member.issparse() or member.size != size:
                continue
            with _content(archive, member) as content:
                if _write_checked(content, folder, path, digest):
                    done.append(path)
    return sorted(done)


def _write_checked(content: t.IO[bytes], folder: str, path: str, digest: str) -> bool:
    """Write a file of the digest; whether it has it. There is nothing but ours in the folder."""
    target = os.path.join(folder, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    seen = hashlib.sha256()
    with open(target, "xb") as file:
        while data := content.read(_PIECE):
            seen.update(data)
            file.write(data)
    if seen.hexdigest() != digest:
        os.unlink(target)
        return False
    return True


@contextlib.contextmanager
def _reading(source: str) -> t.Iterator[tarfile.TarFile]:
    """The archive at ``source``, a plain tar, for the length of a with statement.

    Raises ArtifactError for whatever goes wrong with it: a guest has written it, and there is
    hardly an exception that tarfile does not raise.
    """
    try:
        with (
            open(source, "rb") as file,
            tarfile.open(fileobj=t.cast(t.IO[bytes], _Bounded(file)), mode="r:") as archive,
        ):
            yield archive
    except Exception as error:
        words = str(error) if isinstance(error, _RefusedError) else repr(error)
        hosts = isinstance(error, MemoryError) or getattr(error, "errno", None) in _HOSTS
        raise ArtifactError(
            f"cannot unpack the artifacts {source}: {words[:300]}",
            culprit="host" if hosts else "task",
            temporary=hosts,
        ) from error


class _RefusedError(Exception):
    """An archive that is not as we want it."""


class _Bounded:
    """A file of which tarfile reads no more headers than an honest archive has."""

    def __init__(self, file: t.IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.content = False
        self._left = _MOST_HEADERS

    def read(self, size: int) -> bytes:
        """Read so many bytes. Raises _RefusedError."""
        if not self.content:
            self._left -= size
            if not 0 <= size <= _LONGEST_HEADER or self._left < 0:
                raise _RefusedError("it has too long headers")
        return self._file.read(size)


def _members(archive: tarfile.TarFile) -> t.Iterator[tarfile.TarInfo]:
    """The members of ``archive``. Raises _RefusedError if they are too many."""
    for number, member in enumerate(archive):
        if number >= _MOST_MEMBERS:
            raise _RefusedError(f"it has more than {_MOST_MEMBERS} members")
        if len(archive.pax_headers) > _MOST_GLOBAL_HEADERS:
            raise _RefusedError("it has too many headers for all members")
        yield member


@contextlib.contextmanager
def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> t.Iterator[t.IO[bytes]]:
    """What is in a regular ``member``, for the length of a with statement."""
    file = t.cast(_Bounded, archive.fileobj)
    file.content = True
    try:
        yield archive.extractfile(member) or io.BytesIO()
    finally:
        file.content = False


def _split(
    archive: tarfile.TarFile, folder: str, types: t.Collection[str], limit: int
) -> list[Artifact]:
    found: dict[tuple[str, str], list[tarfile.TarInfo]] = {}
    size = 0
    for member in _members(archive):
        if member.issparse() or not (member.isreg() or member.isdir()):
            raise _RefusedError(f"{member.name!r} is neither a file nor a folder")
        size += member.size if member.isreg() else 0
        if member.size < 0 or size > limit:
            raise _RefusedError(f"its files have more than {limit} bytes")
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if len(parts) < 3 or parts[0] != "upload" or ".." in parts:
            continue
        kind, instance = parts[1:3]
        if kind in types and _NAME.fullmatch(kind) and _NAME.fullmatch(instance):
            found.setdefault((kind, instance), []).append(member)
    artifacts = []
    for (kind, instance), members in sorted(found.items()):
        place = os.path.join(folder, kind)
        os.makedirs(place, mode=0o700, exist_ok=True)
        artifact = Artifact(kind, instance, os.path.join(place, f"{instance}.tar"))
        if not os.path.exists(artifact.path) and not os.path.exists(artifact.marker):
            _write(archive, members, artifact)
        artifacts.append(artifact)
    return artifacts


def _write(
    archive: tarfile.TarFile, members: t.Sequence[tarfile.TarInfo], artifact: Artifact
) -> None:
    partial = f"{artifact.path}.new"
    try:
        with tarfile.open(partial, "w") as target:
            for member in members:
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                info = tarfile.TarInfo("/".join(parts[2:]))
                info.size = member.size if member.isreg() else 0
                info.mode, info.mtime = member.mode & 0o755, member.mtime
                info.type = tarfile.REGTYPE if member.isreg() else tarfile.DIRTYPE
                with _content(archive, member) as content:
                    target.addfile(info, content)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    os.replace(partial, artifact.path)
