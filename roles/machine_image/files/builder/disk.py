# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A raw ext4 image from a directory; no mounts, no loop devices."""

from __future__ import annotations

import os

from programs import BuildError, run


def write(root: str, output: str, megabytes: int) -> None:
    """Write *root* as a sparse file system of that size.

    Without a journal: the disk of a build is thrown away, and that of a bootstrap is used only
    after a clean shutdown.
    """
    used = int(run(["du", "--summarize", "--block-size=1M", root]).split()[0])
    if used > megabytes * 0.9:
        raise BuildError(
            f"{megabytes} MB is too small for an image with {used} MB in it: raise its disk size"
        )
    with open(output, "wb") as file:
        file.truncate(megabytes << 20)
    options = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-L", "bbot"]
    # All of the inode tables now, not by a thread of the guest in each of its lives.
    lazy = ["-E", "lazy_itable_init=0,root_owner=0:0"]
    run(["mke2fs", *options, *lazy, "-d", root, output])
    os.chmod(output, 0o644)
