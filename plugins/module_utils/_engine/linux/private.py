# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Folders that are of no use to other users of the host."""

from __future__ import annotations

import os


def make_private(directory: str, mode: int = 0o700) -> None:
    """Make `directory` and those above it, as far as they are missing; it gets `mode`.

    One that is there already gets it, too, if it is ours. Raises OSError.
    """
    os.makedirs(directory, mode=mode, exist_ok=True)
    stat = os.stat(directory)
    if stat.st_uid == os.geteuid() and stat.st_mode & 0o777 != mode:
        os.chmod(directory, mode)
