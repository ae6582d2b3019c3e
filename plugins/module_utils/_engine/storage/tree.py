# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Trees of a root file system in subvolumes, with all that only root can give a file.

The folder `tree` of a subvolume is not looked into but copied and removed as it is: owners, links
and names in there are those of another system, and may be anything.
"""

from __future__ import annotations

import os

from ..linux.process import find_program
from ..linux.program import run_program
from .protocol import StorageError

TREE = "tree"


def copy_tree(source: str, dest: str) -> None:
    """Make the folder `dest` a copy of the one in `source`, if there is one. Raises StorageError.

    It shares blocks with it where the file system can do that.
    """
    _copy(source, dest, "--sparse=auto", "--reflink=auto")
    flush_tree(dest)


def link_tree(source: str, dest: str) -> None:
    """The same, with the very files: neither is to be written to. Raises StorageError."""
    _copy(source, dest, "--link")


def flush_tree(directory: str) -> None:
    """Have what is in the folder in `directory`, if there is one, on disk. Raises StorageError."""
    path = os.path.join(directory, TREE)
    if os.path.isdir(path):
        _run("sync", "--file-system", path)


def remove_tree(directory: str) -> None:
    """Remove the folder from `directory`, if there is one. Raises StorageError."""
    path = os.path.join(directory, TREE)
    if os.path.lexists(path):
        _run("rm", "--recursive", "--force", "--one-file-system", path)


def _copy(source: str, dest: str, *how: str) -> None:
    # A descriptor of ours is another one to the program.
    path = os.path.join(source, TREE).replace("/proc/self/", f"/proc/{os.getpid()}/", 1)
    if os.path.isdir(path):
        _run("cp", "--archive", *how, path, os.path.join(dest, TREE))


def _run(program: str, *arguments: str) -> None:
    try:
        status, _output, words = run_program([find_program(program, "coreutils"), *arguments])
    except OSError as error:
        raise StorageError(f"cannot run {program}: {error.strerror or error}") from error
    if status != 0:
        last = words.decode(errors="replace").strip().rpartition("\n")[2]
        raise StorageError(last or f"{program} ended with status {status}")
