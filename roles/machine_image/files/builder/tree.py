# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A root file system that is not ours, on this host: no path and no link in it leads out of it."""

from __future__ import annotations

import os
import shutil
import stat

from programs import BuildError

_MOST_LINKS = 40
_DEEPEST = 200
# That of Linux.
_LONGEST_PATH = 4096


class Tree:
    """The directory *root* and what is below it.

    Paths are those that the system in it would use. A link in them is followed as there: from the
    root of the tree. Nobody else may change the tree meanwhile.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    def resolve(self, path: str, *, last: bool = True) -> str:
        """Where *path* is on this host, without any link in it, whether there is anything or not.

        With `last` unset the last name may be that of a link. Raises BuildError.
        """
        if len(path) > _LONGEST_PATH or "\0" in path:
            raise BuildError(f"a path is too long or has a zero in it: {path[:80]!r}...")
        todo = [name for name in path.split("/") if name not in ("", ".")][::-1]
        done: list[str] = []
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                done = done[:-1]
                continue
            place = os.path.join(self.root, *done, name)
            if (last or todo) and os.path.islink(place):
                links += 1
                target = os.readlink(place)
                if links > _MOST_LINKS:
                    raise BuildError(f"the path {path} leads round in a circle of links")
                if target.startswith("/"):
                    done = []
                todo += [part for part in target.split("/") if part not in ("", ".")][::-1]
                continue
            done.append(name)
            if len(done) > _DEEPEST:
                raise BuildError(f"the path {path[:80]}... is more than {_DEEPEST} folders deep")
        return os.path.join(self.root, *done)

    def make_folder(self, path: str, mode: int = 0o755) -> str:
        """Where the directory *path* is, which is made if there is none. Raises BuildError."""
        place = self.resolve(path)
        missing = []
        above = place
        while not os.path.isdir(above):
            missing.append(above)
            above = os.path.dirname(above)
        for folder in reversed(missing):
            try:
                os.mkdir(folder)
            except OSError as error:
                shown = self.shown(folder)
                raise BuildError(f"cannot make the folder {shown}: {error.strerror}") from None
            os.chmod(folder, mode if folder == place else 0o755)
        return place

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file of ours at *path*, in place of a link there. Raises BuildError."""
        folder = self.make_folder(os.path.dirname(path))
        place = os.path.join(folder, os.path.basename(path))
        if os.path.isdir(place) and not os.path.islink(place):
            raise BuildError(f"{path} is a folder in this system: a file of ours belongs there")
        remove(place)
        with open(place, "xb") as file:
            file.write(content)
        os.chmod(place, mode)

    def append(self, path: str, content: bytes) -> None:
        """Add lines to the file that is at *path*."""
        with open(self.resolve(path), "r+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(content)

    def read(self, path: str, most: int) -> bytes | None:
        """The file at *path*; None if there is none, or one of more than *most* bytes."""
        place = self.resolve(path)
        if not os.path.isfile(place) or os.path.getsize(place) > most:
            return None
        with open(place, "rb") as file:
            return file.read()

    def program(self, name: str) -> str | None:
        """The path on this host of what the system runs by that name, if it does."""
        for folder in SEARCHED:
            place = self.resolve(f"{folder}/{name}")
            if os.path.isfile(place) and os.stat(place).st_mode & 0o111:
                return place
        return None

    def shown(self, place: str) -> str:
        """What the system calls the *place* on this host."""
        return "/" + os.path.relpath(place, self.root)


# Where programs are looked for in machines, the first of them first.
SEARCHED = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)


def remove(place: str) -> None:
    """Remove whatever is there, and nothing that a link leads to."""
    try:
        mode = os.lstat(place).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(place)
    else:
        os.unlink(place)
