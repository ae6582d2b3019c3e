# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build depends on, as checksums: if none has changed it need not be done again.

A controller keeps those of the last result and sends them with the next task of the package (brep
0.14 and newer). Machines and target configurations it compares itself.
"""

from __future__ import annotations

import os
import stat

from . import VERSION

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import Any

    from .task import Task

# The list of the toolchain's files, which is beside the folder of the worker's package.
TOOLCHAIN = os.path.join(os.path.dirname(os.path.dirname(__file__)), os.pardir, "sha256sums")
# What Debian has installed.
PACKAGES = "/var/lib/dpkg/status"

# Drivers whose dependencies come from an index: what it would bring today nobody knows before.
FETCHING = ("build2", "cargo", "go", "gradle", "lua", "maven", "npm", "perl", "python", "ruby")

_FIELDS = ("target", "environment", "target-config", "package-config", "auxiliary-environment")
_PIECE = 1 << 16


class Unchanged(Exception):
    """The task has been done before, with the same worker and dependencies."""


def worker_checksum() -> str:
    """Return what changes with the worker, and with what else the toolchain brings."""
    try:
        return _digest(TOOLCHAIN)
    except OSError:
        # It does not run from a toolchain.
        return VERSION


def dependency_checksum(task: Task, source: str, driver: str) -> str:
    """Return what changes with the sources, the machine's packages and the task's settings.

    Empty if that cannot be told, as the *driver* gets dependencies from elsewhere. Raises OSError.
    """
    if driver in FETCHING or not source:
        return ""
    import hashlib

    total = hashlib.sha256()
    for name in _FIELDS:
        _add(total, name, *task.values(name))
    if os.path.exists(PACKAGES):
        _add(total, "packages", _digest(PACKAGES))
    # Of a clone what is checked out counts: the rest of .git is another one each time.
    head = os.path.join(source, ".git", "HEAD")
    if os.path.isfile(head):
        _add(total, "head", _digest(head))
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted([*files, *folders]):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if name == ".git" or stat.S_ISDIR(mode):
                continue
            relative = os.path.relpath(path, source)
            if stat.S_ISLNK(mode):
                _add(total, "link", relative, os.readlink(path))
            elif stat.S_ISREG(mode):
                _add(total, "file", relative, str(mode & 0o111), _digest(path))
    return total.hexdigest()


def _add(total: Any, *words: str) -> None:
    """Add words to a sum so that no others make the same of it."""
    for word in words:
        data = word.encode("utf-8", "surrogateescape")
        total.update(b"%d:" % len(data) + data)
    total.update(b"\n")


def _digest(path: str) -> str:
    import hashlib

    seen = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(_PIECE):
            seen.update(data)
    return seen.hexdigest()
