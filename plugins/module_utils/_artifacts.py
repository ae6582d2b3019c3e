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

import dataclasses
import hashlib
import io
import os
import re
import tarfile
import typing as t

# The worker's file, among what it has uploaded.
FILE = "upload.tar"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class ArtifactError(Exception):
    """An archive that cannot be used; the text names it and the reason."""


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
    try:
        with tarfile.open(source) as archive:
            return _split(archive, folder, types)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArtifactError(f"cannot unpack the artifacts {source}: {error}") from error


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
            if not (member.isreg() or member.isdir()):
                continue
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            info = tarfile.TarInfo("/".join(parts[2:]))
            info.size, info.mode, info.mtime = member.size, member.mode & 0o755, member.mtime
            info.type = member.type
            content = archive.extractfile(member) if member.isreg() else None
            target.addfile(info, content or io.BytesIO())
    os.replace(f"{artifact.path}.new", artifact.path)
