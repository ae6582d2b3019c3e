# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the engine needs of a place where machines are kept."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..errors import EngineError

_NAME_MAX = 255


class StorageError(EngineError):
    """A subvolume operation that cannot be done; the text names path and reason."""


@dataclasses.dataclass(frozen=True)
class Subvolume:
    """What is known about one subvolume.

    ``parent_uuid`` is that of the subvolume it is a snapshot of, empty for one
    that is no snapshot; ``generation`` changes with its content.
    """

    path: str
    uuid: str
    parent_uuid: str
    read_only: bool
    generation: int


@dataclasses.dataclass(frozen=True)
class Uses:
    """What a throw-away machine does with its files, by their names.

    ``disks`` are written to, and opened with the format that stands here or as qcow2;
    ``read_only`` are only read. It may do anything with the others.
    """

    disks: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    read_only: t.Collection[str] = ()


class Storage(t.Protocol):
    """A place for subvolumes: directories that are made, copied and deleted as a whole.

    All paths are absolute; every method raises StorageError. Whatever a method does
    has happened or has not, also where its process is killed in the midst of it.
    """

    def check(self, directory: str) -> None:
        """Refuse a ``directory`` that cannot hold subvolumes."""

    def info(self, path: str) -> Subvolume | None:
        """The subvolume at ``path``; None if there is nothing or something else."""

    def create(self, path: str) -> None:
        """Make an empty subvolume."""

    def snapshot(self, source: str, path: str, *, read_only: bool = False) -> None:
        """Make ``path`` a snapshot of the subvolume ``source``."""

    def fork(self, source: str, path: str, uses: Uses, reader: int | None = None) -> None:
        """Make ``path`` a snapshot of ``source`` for one machine that is thrown away.

        It costs little, whatever the size of the disks. A disk is there under its name,
        with its format or as a qcow2 overlay (see overlay.overlays()). The files that it
        shares with ``source``, if any, can be read by the group ``reader`` but not be written
        to. It stays what it is whatever becomes of ``source``.
        """

    def delete(self, path: str) -> None:
        """Delete a subvolume, a read-only one too."""

    def discard(self, path: str) -> bool:
        """Delete what there is of a subvolume, half-made or half-deleted; whether anything was."""

    def tidy(self, directory: str) -> list[str]:
        """Remove from ``directory`` what is half-made or half-deleted, but not in the making."""

    def rename(self, path: str, dest: str) -> None:
        """Give a subvolume another, unused name on the same file system."""

    def exchange(self, path: str, dest: str) -> None:
        """Let two subvolumes change places, so that at each instant either is at each place."""

    def set_read_only(self, path: str, read_only: bool) -> None:
        """Make a subvolume read-only or writable."""


def split(path: str, most: int = _NAME_MAX) -> tuple[str, str]:
    """Return the parent directory and the last name of `path`, which has at most `most` bytes."""
    parent, name = os.path.split(os.path.normpath(path))
    if not name or len(os.fsencode(name)) > most:
        raise StorageError(
            f"{path!r} is no usable subvolume path: its last name must be of 1 to {most} bytes"
        )
    return parent, name
