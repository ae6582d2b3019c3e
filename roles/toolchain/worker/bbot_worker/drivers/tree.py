# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look into sources, to find out what they are. Nothing in them is trusted or run."""

from __future__ import annotations

import fnmatch
import os
import re
import sys

from ..errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_TEXT_LIMIT = 1 << 20
_FILES_MOST = 20000
# What holds no sources of the project itself.
_FOREIGN = {
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    "node_modules",
    "vendor",
    "target",
}


class Tree:
    """The sources in the directory *path*."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._files: list[str] | None = None

    def within(self, subfolder: str) -> Tree:
        """Return the tree of a folder in it. Raises WorkerError if there is none, or outside."""
        path = os.path.realpath(self.at(subfolder))
        top = os.path.realpath(self.path)
        if path != top and not path.startswith(top + os.sep):
            raise WorkerError(f"config.bbot.subfolder={subfolder} is outside of the sources")
        if not os.path.isdir(path):
            raise WorkerError(f"config.bbot.subfolder={subfolder}: the sources have no such folder")
        return Tree(path)

    def at(self, *names: str) -> str:
        """Return the path of something in it."""
        return os.path.join(self.path, *names)

    def has(self, *names: str) -> str:
        """Return the first of the *names* that exists, or an empty string."""
        return next((name for name in names if os.path.exists(self.at(name))), "")

    def is_file(self, name: str) -> bool:
        """Whether it is a file, be it by a link that does not lead out of the tree."""
        path = os.path.realpath(self.at(name))
        return os.path.isfile(path) and path.startswith(os.path.realpath(self.path) + os.sep)

    def is_executable(self, name: str) -> bool:
        return os.path.isfile(self.at(name)) and os.access(self.at(name), os.X_OK)

    def glob(self, pattern: str) -> list[str]:
        """Return the names at the top that match, in order."""
        try:
            return sorted(fnmatch.filter(os.listdir(self.path), pattern))
        except OSError:
            return []

    def files(self) -> list[str]:
        """Return the paths of the project's own files, relative to it; not all of very many."""
        if self._files is None:
            self._files = list(self._walk())
        return self._files

    def _walk(self) -> Iterator[str]:
        number = 0
        for folder, folders, names in os.walk(self.path):
            folders[:] = sorted(set(folders) - _FOREIGN)
            for name in sorted(names):
                yield os.path.relpath(os.path.join(folder, name), self.path)
                number += 1
                if number == _FILES_MOST:
                    return

    def text(self, name: str) -> str:
        """Return the beginning of a file, empty if it cannot be read."""
        if not self.is_file(name):
            return ""  # A pipe would have nobody at its other end.
        try:
            with open(self.at(name), encoding="utf-8", errors="replace") as file:
                return file.read(_TEXT_LIMIT)
        except OSError:
            return ""

    def says(self, name: str, pattern: str) -> bool:
        """Whether a line of the file matches the regular expression."""
        return re.search(pattern, self.text(name), re.MULTILINE) is not None

    def toml(self, name: str) -> dict[str, Any]:
        """Return what is in a TOML file, empty if it cannot be read."""
        loads = _toml_parser()
        if loads is None:
            return {}
        try:
            content: dict[str, Any] = loads(self.text(name))
        except (ValueError, RecursionError):
            return {}
        return content

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in a JSON file, empty if it cannot be read."""
        import json

        try:
            content = json.loads(self.text(name))
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


def _toml_parser() -> Any:
    """tomllib's function, also of the copy that comes with pip for a Python before 3.11."""
    try:
        import tomllib
    except ImportError:
        use_packages()
        try:
            from pip._vendor import tomli as tomllib  # type: ignore[no-redef]
        except ImportError:
            return None
    return tomllib.loads


def use_packages() -> None:
    """Let modules of the distribution be imported, which the worker starts without."""
    if "/usr/lib/python3/dist-packages" not in sys.path:
        sys.path.append("/usr/lib/python3/dist-packages")


def section(content: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the table of that name within tables, empty where there is none."""
    place: Any = content
    for name in names:
        place = place.get(name) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}
