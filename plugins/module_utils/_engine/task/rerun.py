# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A past task again, from the folder of its results."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t

from .prepare import Prepared, PrepareError, Wish, prepare

# In the folder of results: the files that the guest has fetched, by their names.
SOURCES = "sources"
_TASK = "task.manifest"
_FETCHED = "tftp:"


class SourceKeeper:
    """Keeps the files of tasks beside their results, each just once on the disk if it can be."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def keep(self, files: t.Mapping[str, str], home: str) -> None:
        """Have ``files``, paths by name, in the folder ``home`` of results. Raises OSError."""
        if not files:
            return
        folder = os.path.join(home, SOURCES)
        os.mkdir(folder)
        for name, path in files.items():
            target = os.path.join(folder, name)
            with contextlib.suppress(KeyError, OSError):
                os.link(self._kept[path], target)
                continue
            shutil.copyfile(path, target)
            self._kept[path] = target


def prepare_rerun(home: str, directory: str) -> Prepared:
    """Make the task again whose results are in ``home``, whose path begins at ``directory``.

    Raises PrepareError if there are none, or not all that it takes.
    """
    place = os.path.normpath(os.path.join(directory, os.path.expanduser(home)))
    manifest = os.path.join(place, _TASK)
    if not os.path.isfile(manifest):
        raise PrepareError(f"rerun: {place} is no folder of a task's results: it has no {_TASK}.")
    prepared = prepare(Wish(task=manifest), directory, place, None)
    folder = os.path.join(place, SOURCES)
    files = {}
    with contextlib.suppress(FileNotFoundError):
        files = {name: os.path.join(folder, name) for name in sorted(os.listdir(folder))}
    url = str(prepared.fields.get("repository-url", ""))
    name = url.removeprefix(_FETCHED)
    if url.startswith(_FETCHED) and not os.path.isfile(files.get(name, "")):
        raise PrepareError(
            f"rerun: the sources of the task cannot be had again: there is no "
            f"{os.path.join(folder, name)}."
        )
    return Prepared(
        prepared.fields, files, {}, [f"once more: the task of {place}"], prepared.warnings
    )
