# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Room on the disks of the host: some of it is kept, for what must be written whatever happens."""

from __future__ import annotations

import os

# Of a small file system no more is kept than this share: one in so many parts.
_SHARE = 20


def shortage(folder: str, reserve: int, claimed: int = 0) -> str:
    """Return why nothing may be begun that writes to `folder`; empty if it may.

    Of its file system `reserve` KiB are kept free, or a twentieth if that is less, beside
    `claimed` KiB that others may still write. A folder that cannot be asked is not short of
    anything: whoever writes to it sees what is the matter.
    """
    try:
        stat = os.statvfs(folder)
    except OSError:
        return ""
    kept = min(reserve << 10, stat.f_blocks * stat.f_frsize // _SHARE)
    free = stat.f_bavail * stat.f_frsize
    if free >= kept + (claimed << 10):
        return ""
    words = f"less than {kept >> 20} MiB are free in {folder}, which are kept (disk-reserve)"
    if claimed and free >= kept:
        words = (
            f"in {folder} there is no room for the {claimed >> 10} MiB that machines may write "
            f"(write-limit) beside the {kept >> 20} MiB that are kept (disk-reserve)"
        )
    return words
