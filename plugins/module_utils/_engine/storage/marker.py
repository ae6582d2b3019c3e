# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""By what a directory is known to be a subvolume of ours: a symbolic link in it.

What the link says is made, replaced and journalled by the file system as one thing,
so that neither a kill nor a power cut leaves half of it. It names the directory's inode:
what somebody has copied with its marker is no subvolume.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re

MARKER = ".bbot-subvolume"
_NEW = f"{MARKER}.new"

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEXT = re.compile(rf"bbot-1 ([0-9]{{1,20}}) ({_UUID}) ({_UUID}|-) (ro|rw)")
# There is no such directory, it has no marker, or something that is none.
_NONE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL)


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a marker says; see Subvolume."""

    uuid: str
    parent_uuid: str
    read_only: bool


def read_mark(directory: str) -> Mark | None:
    """Return what the marker of `directory` says; None if it has none of its own.

    Raises OSError where that cannot be found out.
    """
    try:
        text = os.readlink(os.path.join(directory, MARKER))
        inode = os.stat(directory).st_ino
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise
    match = _TEXT.fullmatch(text)
    if match is None or int(match[1]) != inode:
        return None
    parent = "" if match[3] == "-" else match[3]
    return Mark(match[2], parent, match[4] == "ro")


def write_mark(directory: str, mark: Mark) -> None:
    """Have `directory` say `mark`, whatever it said before. Raises OSError."""
    inode = os.stat(directory).st_ino
    mode = "ro" if mark.read_only else "rw"
    new = os.path.join(directory, _NEW)
    with contextlib.suppress(FileNotFoundError):
        # Of one who was killed.
        os.unlink(new)
    os.symlink(f"bbot-1 {inode} {mark.uuid} {mark.parent_uuid or '-'} {mode}", new)
    os.rename(new, os.path.join(directory, MARKER))
