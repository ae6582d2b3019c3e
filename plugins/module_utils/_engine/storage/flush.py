# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Have files on the disk: a power cut must not empty what has its final name."""

from __future__ import annotations

import os

from .tree import flush_tree


def flush(directory: str) -> None:
    """Have the files in `directory`, and their names, on disk. Raises OSError and StorageError."""
    flush_tree(directory)
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                flush_one(entry.path)
    flush_one(directory)


def flush_one(path: str) -> None:
    """Have one file's content, or one directory's names, on disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
