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
import hashlib
import io
import os
import re
import tarfile
import typing as t

from ..errors import EngineError

# The worker's file, among what it has uploaded.
FILE = "upload.tar"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class ArtifactError(EngineError):
    """An archive that cannot be used; the text names it and the reason."""

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


def repack(folder: str, types: t.Collection[str]) -> list[Artifact]:
    """Make an archive of each instance of these ``types`` in the worker's, in ``folder``.

    Only files and folders are taken over: what else there may be in an archive has no
    business on a controller. Raises ArtifactError.
    """
    source = os.path.join(folder, FILE)
    if not types or not os.path.isfile(source):
        return []
    with _reading(source) as archive:
        return _split(archive, folder, types)


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
        for member in archive:
            path = "/".join(member.name.split("/")[3:])
            size, digest = expected.get(path, (-1, ""))
            if path in done or not member.isreg() or member.issparse() or member.size != size:
                continue
            content = archive.extractfile(member)
            if content is not None and _write_checked(content, folder, path, digest):
                done.append(path)
    return sorted(done)


def _write_checked(content: t.IO[bytes], folder: str, path: str, digest: str) -> bool:
    """Write a file of the digest; whether it has it. There is nothing but ours in the folder."""
    target = os.path.join(folder, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    seen = hashlib.sha256()
    with open(target, "xb") as file:
        while data := content.read(1 << 20):
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
        with tarfile.open(source, "r:") as archive:
            yield archive
    except Exception as error:
        raise ArtifactError(f"cannot unpack the artifacts {source}: {error!r}") from error


def _split(archive: tarfile.TarFile, folder: str, types: t.Collection[str]) -> list[Artifact]:
    found: dict[tuple[str, str], list[tarfile.TarInfo]] = {}
    for member in archive:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if len(parts) < 3 or parts[0] != "upload" or ".." in parts:
            continue
        kind, instance = parts[1:3]
        if kind in types and _NAME.fullmatch(kind) and _NAME.fullmatch(instance):
            found.setdefault((kind, instance), []).append(member)
    artifacts = []
    for (kind, instance), members in sorted(found.items()):
        place = os.path.join(folder, "upload", kind)
        os.makedirs(place, exist_ok=True)
        artifact = Artifact(kind, instance, os.path.join(place, f"{instance}.tar"))
        if not os.path.exists(artifact.path):
            _write(archive, members, artifact)
        artifacts.append(artifact)
    return artifacts


def _write(
    archive: tarfile.TarFile, members: t.Sequence[tarfile.TarInfo], artifact: Artifact
) -> None:
    with tarfile.open(f"{artifact.path}.new", "w") as target:
        for member in members:
            if not (member.isreg() or member.isdir()) or member.issparse():
                continue
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            info = tarfile.TarInfo("/".join(parts[2:]))
            info.size, info.mode, info.mtime = member.size, member.mode & 0o755, member.mtime
            info.type = member.type
            content = archive.extractfile(member) if member.isreg() else None
            target.addfile(info, content or io.BytesIO())
    os.replace(f"{artifact.path}.new", artifact.path)
