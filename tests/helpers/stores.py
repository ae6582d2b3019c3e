# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems for machines to be kept on, other than the site's btrfs."""

from __future__ import annotations

import contextlib
import subprocess
import typing as t
from pathlib import Path

from .site import Site, end_tenants

# Those in a file, with options for the program that makes them.
_MAKERS = {
    "ext4": ("-E", "lazy_itable_init=1"),
    "xfs": ("-m", "reflink=1"),
    "btrfs": ("--metadata", "single"),
}


@contextlib.contextmanager
def mounted(site: Site, kind: str, *options: str) -> t.Iterator[Path]:
    """An empty file system for the length of a with statement, mounted with further `options`.

    It is of the `kind` ext4, xfs, btrfs or tmpfs.
    """
    name = site.next_name()
    place = site.root / f"{kind}-{name}"
    place.mkdir()
    command = ["mount", "-t", kind, "-o", "mode=0755,size=1g", kind]
    if kind in _MAKERS:
        file = site.root / f"{kind}-{name}.img"
        with file.open("wb") as image:
            image.truncate(4 << 30)
        subprocess.run([f"mkfs.{kind}", "-q", *_MAKERS[kind], str(file)], check=True)
        command = ["mount", "-o", ",".join(["loop", "noatime", *options]), str(file)]
    subprocess.run([*command, str(place)], check=True)
    try:
        yield place
    finally:
        end_tenants(place)
        subprocess.run(["umount", str(place)], check=True)
