# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's source packages: a .dsc file, and the archives that it names."""

from __future__ import annotations

import os
import re
import shutil

from ..errors import WorkerError
from ..run import Command
from . import archive, checksum
from .transfer import deadline

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..run import Runner

# A .dsc file is a page of text, with a signature or without one.
_DSC_MOST = 1 << 20
_BEGINNING = re.compile(rb"(?:-----BEGIN PGP SIGNED MESSAGE-----|[A-Z][A-Za-z0-9-]*:)")
_BLOCK = re.compile(r"(?m)^Checksums-Sha256:[ \t]*\n((?:[ \t]+\S.*(?:\n|\Z))+)")
_LINE = re.compile(r"([0-9a-fA-F]{64})[ \t]+(\d+)[ \t]+(\S+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_-]*")


def is_dsc(path: str) -> bool:
    """Whether the file is a .dsc by its content."""
    try:
        with open(path, "rb") as file:
            data = file.read(_DSC_MOST)
    except OSError:
        return False
    return bool(_BEGINNING.match(data)) and b"\nFiles:" in b"\n" + data and b"Source:" in data


def unpack_package(dsc: str, target: str, fetch: Callable[[str, str], str], runner: Runner) -> str:
    """Unpack the source package whose .dsc file was fetched into *target*; that is returned.

    *fetch* gets what is beside it by name into a file, and returns its SHA-256 digest. Raises
    WorkerError.
    """
    if shutil.which("dpkg-source", path=runner.path) is None:
        raise WorkerError(
            "this machine has no dpkg-source, which Debian's source packages need: images of the "
            "flavour 'debian' have it (machine_image_flavours)"
        )
    folder = os.path.dirname(dsc)
    taken = 0
    for name, wanted in _files(dsc).items():
        path = os.path.join(folder, name)
        checksum.check(fetch(name, path), wanted, name)
        # What dpkg-source does has no bounds.
        with deadline(runner):
            taken += archive.rehearse(path, folder, runner.account, taken)
        runner.account.own(path)
    runner.account.own(dsc)
    runner.run(Command(["dpkg-source", "--no-check", "-x", dsc, target], folder))
    return target


def _files(dsc: str) -> dict[str, str]:
    """The SHA-256 digests of the files that a .dsc names."""
    with open(dsc, "rb") as file:
        text = file.read(_DSC_MOST).decode("utf-8", "replace").replace("\r\n", "\n")
    found = _BLOCK.search(text)
    lines = found[1].strip().split("\n") if found else []
    files = {}
    for line in lines:
        parts = _LINE.fullmatch(line.strip())
        if parts is None or not _NAME.fullmatch(parts[3]) or parts[3] == os.path.basename(dsc):
            raise WorkerError(f"the line '{line.strip()[:200]}' of the .dsc file is unreadable")
        files[parts[3]] = parts[1].lower()
    if not files:
        raise WorkerError("the .dsc file names no files with SHA-256 checksums")
    return files
