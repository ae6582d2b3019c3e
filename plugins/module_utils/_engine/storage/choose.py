# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The kinds of storage by name, and the one that goes by what is there."""

from __future__ import annotations

import os
import typing as t

from .btrfs import Btrfs, is_btrfs, may_delete
from .directory import Directory
from .protocol import Storage, Subvolume, Uses


class Auto:
    """Storage of the kind that fits each place; see there for what the methods do.

    What is there already is taken for what it is. What is to be made is a subvolume of
    btrfs on that file system, and a directory on others: volumes may be of both kinds. It is a
    directory on btrfs, too, where who we are could make subvolumes but not delete them.
    """

    def __init__(self) -> None:
        self._btrfs = Btrfs()
        self._directory = Directory()

    def check(self, directory: str) -> None:
        self._at(directory).check(directory)

    def info(self, path: str) -> Subvolume | None:
        return self._of(path).info(path)

    def create(self, path: str) -> None:
        self._at(os.path.dirname(path)).create(path)

    def snapshot(self, source: str, path: str, *, read_only: bool = False) -> None:
        self._of(source).snapshot(source, path, read_only=read_only)

    def fork(self, source: str, path: str, uses: Uses, reader: int | None = None) -> None:
        self._of(source).fork(source, path, uses, reader)

    def delete(self, path: str) -> None:
        self._of(path).delete(path)

    def discard(self, path: str) -> bool:
        # Of a directory there may be half.
        found = self._directory.discard(path)
        return self._btrfs.discard(path) or found

    def tidy(self, directory: str) -> list[str]:
        return self._directory.tidy(directory)

    def rename(self, path: str, dest: str) -> None:
        self._of(path).rename(path, dest)

    def exchange(self, path: str, dest: str) -> None:
        self._of(path).exchange(path, dest)

    def set_read_only(self, path: str, read_only: bool) -> None:
        self._of(path).set_read_only(path, read_only)

    def _of(self, path: str) -> Storage:
        """The kind of what is at ``path``, or would be made there."""
        if self._btrfs.info(path) is not None:
            return self._btrfs
        if self._directory.info(path) is not None:
            return self._directory
        return self._at(os.path.dirname(path))

    def _at(self, directory: str) -> Storage:
        usable = is_btrfs(directory) and may_delete(directory)
        return self._btrfs if usable else self._directory


_KINDS: dict[str, t.Callable[[], Storage]] = {
    "auto": Auto,
    "btrfs": Btrfs,
    "directory": Directory,
}
# Of the option of all commands and modules.
KINDS = tuple(_KINDS)


def make_storage(kind: str) -> Storage:
    """Return the storage of this kind, one of KINDS."""
    return _KINDS[kind]()
