# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive that is not ours, laid out in a tree as it is, or over what is there, as a layer."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable

from programs import BuildError
from streams import Budget, Stream
from tree import Tree, remove

# The containers of the agent, and subordinate ids, have so many users.
USERS = 65536
_MOST_FILES = 1_000_000
_LATEST = 1 << 33
_CHUNK = 1 << 20
_XATTR = "SCHILY.xattr."
# Others mean something to the host that the files are on, or to overlayfs.
_CAPABILITY, _USERS_OWN, _OVERLAYS = "security.capability", "user.", "user.overlay."

_WHITEOUT, _OPAQUE, _RESERVED = ".wh.", ".wh..wh..opq", ".wh..wh."

# All that tarfile is known to raise for what is no archive, but those of the host.
_DAMAGE = (
    tarfile.TarError,
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    ValueError,
)


class Layers:
    """What is laid out in a *tree*, its files being those of the *budget*.

    `left_out` counts devices, pipes and the like, which nobody gets of an archive.
    """

    def __init__(self, tree: Tree, budget: Budget) -> None:
        self.left_out = 0
        self._tree = tree
        self._budget = budget
        self._files = 0

    def apply(self, stream: Stream, *, whiteouts: bool) -> None:
        """Lay out the archive *stream* over what is there.

        With *whiteouts* its files of these names remove what layers before it have brought.
        Raises BuildError.
        """
        _Layer(self._tree, self._budget, stream, whiteouts).apply(self._count)

    def _count(self, member: tarfile.TarInfo) -> None:
        self._files += 1
        if self._files > _MOST_FILES:
            raise BuildError(f"there are more than {_MOST_FILES} files")
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            self.left_out += 1


class _Layer:
    """One archive, while it is laid out."""

    def __init__(self, tree: Tree, budget: Budget, stream: Stream, whiteouts: bool) -> None:
        self._tree = tree
        self._budget = budget
        self._stream = stream
        self._whiteouts = whiteouts
        # What is of this archive itself, with the folders above it: no whiteout of it is meant.
        self._own = {tree.root}
        self._times: dict[str, float] = {}

    def apply(self, count: Callable[[tarfile.TarInfo], None]) -> None:
        name = self._stream.name
        try:
            archive = tarfile.TarFile(
                fileobj=self._stream,  # type: ignore[arg-type]  # It is read only.
                encoding="utf-8",
                errors="surrogateescape",
            )
            while (member := archive.next()) is not None:
                self._stream.headers_end()
                count(member)
                self._lay_out(archive, member)
                # It would keep them all.
                archive.members = []  # type: ignore[attr-defined]
        except _DAMAGE as error:
            raise BuildError(f"{name} is no archive of tar, or damaged: {error}") from error
        if not self._stream.ended_well:
            raise BuildError(f"{name} is damaged: it ends in the midst, or goes on with no header")
        for place, when in self._times.items():
            # What is above it may have become a link since.
            if self._tree.resolve(self._tree.shown(place)) == place and os.path.isdir(place):
                os.utime(place, (when, when))

    def _lay_out(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._path(member.name, "")
        folder, name = os.path.split(path)
        try:
            if self._whiteouts and name.startswith(_WHITEOUT):
                self._take_away(folder, name)
            elif member.isreg() or member.isdir() or member.issym() or member.islnk():
                self._check(member)
                self._make(archive, member, path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise BuildError(
                f"{self._stream.name}: cannot lay out /{path[:200]}: {reason}"
            ) from error

    def _path(self, name: str, of: str) -> str:
        """A path in the archive as one below the root. Raises BuildError if it is none."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise BuildError(
                f"{self._stream.name} is hostile or damaged: its path {name[:200]!r}{of} leads "
                "out of it"
            )
        return "/".join(parts)

    def _check(self, member: tarfile.TarInfo) -> None:
        name = f"{self._stream.name}: /{member.name[:200]}"
        if not (0 <= member.uid < USERS and 0 <= member.gid < USERS):
            raise BuildError(
                f"{name} is owned by {member.uid}:{member.gid}, and machines have users and groups "
                f"up to {USERS - 1}"
            )
        if member.isreg():
            if member.size < 0:
                raise BuildError(f"{name} has a size below zero")
            if member.issparse():
                # Others were counted when they were read.
                self._budget.take(member.size, self._stream.name)

    def _take_away(self, folder: str, name: str) -> None:
        """What a whiteout asks for: hide what is below it, but not what is of its own layer."""
        if name == _OPAQUE:
            place = self._tree.resolve(folder)
            if os.path.isdir(place):
                for child in os.listdir(place):
                    self._remove_lower(os.path.join(place, child))
        elif not name.startswith(_RESERVED):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise BuildError(
                    f"{self._stream.name} is hostile or damaged: /{folder[:200]} has a whiteout "
                    f"{name!r} of no file"
                )
            self._remove_lower(self._tree.resolve(f"{folder}/{hidden}", last=False))

    def _remove_lower(self, place: str) -> None:
        if place not in self._own:
            remove(place)
        elif os.path.isdir(place) and not os.path.islink(place):
            for child in os.listdir(place):
                self._remove_lower(os.path.join(place, child))

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if not path and not member.isdir():
            raise BuildError(f"{self._stream.name}: its root is no folder")
        self._tree.make_folder(os.path.dirname(path))
        place = self._tree.resolve(path, last=False)
        linked = self._linked(member) if member.islnk() else ""
        if linked == place:
            return
        there = os.path.isdir(place) and not os.path.islink(place)
        if not (there and member.isdir()):
            remove(place)
        if member.isdir() and not there:
            os.mkdir(place)
        elif member.issym():
            os.symlink(member.linkname, place)
        elif member.islnk():
            os.link(linked, place, follow_symlinks=False)
        elif member.isreg():
            self._write(archive, member, place)
        self._note(place)
        if not member.islnk():
            self._describe(member, place)

    def _linked(self, member: tarfile.TarInfo) -> str:
        """Where that is to which a hard link leads."""
        target = self._path(member.linkname, f", to which {member.name[:200]!r} is linked,")
        place = self._tree.resolve(target, last=False)
        if not os.path.lexists(place) or (os.path.isdir(place) and not os.path.islink(place)):
            raise BuildError(
                f"{self._stream.name} is damaged: /{member.name[:200]} is linked to "
                f"/{target[:200]}, which is no file in it"
            )
        return place

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, place: str) -> None:
        source = archive.extractfile(member)
        assert source is not None
        with source, open(place, "xb") as file:
            written = 0
            while data := source.read(_CHUNK):
                self._stream.headers_end()
                written += len(data)
                if data.count(0) == len(data):
                    file.seek(len(data), os.SEEK_CUR)
                else:
                    file.write(data)
            file.truncate(written)
        if written != member.size:
            raise BuildError(f"{self._stream.name} is damaged: it ends in /{member.name[:200]}")

    def _note(self, place: str) -> None:
        while place not in self._own:
            self._own.add(place)
            place = os.path.dirname(place)

    def _describe(self, member: tarfile.TarInfo, place: str) -> None:
        """Owner, mode, extended attributes and time, in an order in which none undoes another."""
        os.chown(place, member.uid, member.gid, follow_symlinks=False)
        if not member.issym():
            os.chmod(place, member.mode & 0o7777)
            for key, text in member.pax_headers.items():
                name = key.removeprefix(_XATTR)
                if name != key and _is_kept(name):
                    os.setxattr(place, name, text.encode("utf-8", "surrogateescape"))
        when = min(max(float(member.mtime), 0.0), float(_LATEST))
        if member.isdir():
            # What is put into it later changes that of a folder.
            self._times[place] = when
        else:
            os.utime(place, (when, when), follow_symlinks=False)


def _is_kept(name: str) -> bool:
    return name == _CAPABILITY or (name.startswith(_USERS_OWN) and not name.startswith(_OVERLAYS))
