# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The projects of a matrix, each read and packed once, and what has changed since the last time."""

from __future__ import annotations

import hashlib
import os
import tarfile
import typing as t

from ..task.inspection import inspect
from ..task.prepare import PREFIX, Prepared, PrepareError, prepare
from ..task.source import PACKED
from .asked import Asked

Digests = dict[str, str]


def prepare_all(asked: Asked, folder: str, worker: str | None) -> list[Prepared]:
    """Read each project, and pack its source in a folder of its own in ``folder``.

    ``worker`` is asked how it would build them. Raises PrepareError.
    """
    for words in asked.configs.values():
        if worker is not None and PREFIX in words:
            looked = inspect(worker, "", words)
            if "error" in looked:
                raise PrepareError(looked["error"])
    found = []
    for number, project in enumerate(asked.projects):
        place = os.path.join(folder, str(number))
        os.mkdir(place)
        found.append(prepare(asked.wish(project), asked.directory, place, worker))
    return found


def digests(prepared: Prepared) -> Digests:
    """Return what tells the files of a task from others, by their names.

    Of a folder that we have packed that is what is in it, without the times at which it was
    written. Raises OSError.
    """
    return {
        name: _digest_of_packed(path) if name == PACKED else _digest(path)
        for name, path in prepared.files.items()
    }


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of_packed(path: str) -> str:
    total = hashlib.sha256()
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            total.update(f"{member.name}\0{member.mode:o}\0{member.linkname}\0".encode())
            content: t.IO[bytes] | None = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                total.update(f"{member.size}\0".encode())
                while piece := content.read(1 << 20):
                    total.update(piece)
    return total.hexdigest()


def changes(
    former: t.Mapping[str, t.Any], fields: t.Mapping[str, t.Any], sources: Digests
) -> list[str]:
    """Return which of `source` and `task` differ from those of a combination before."""
    found = []
    if former.get("sources") != sources:
        found.append("source")
    if former.get("task") != fields:
        found.append("task")
    return found
