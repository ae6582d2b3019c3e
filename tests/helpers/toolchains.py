# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Toolchains for test hosts, laid out as the role toolchain does."""

from __future__ import annotations

import hashlib
import os
import runpy
import typing as t
from pathlib import Path

TOOLCHAIN = Path(__file__).parents[2] / "roles" / "toolchain"
VERSION = "0.1.0"


def pack_worker() -> bytes:
    """The worker as one file, packed by the role's own program."""
    program: dict[str, t.Any] = runpy.run_path(str(TOOLCHAIN / "files" / "pack_worker.py"))
    packed: bytes = program["pack"](str(TOOLCHAIN / "worker"))
    return packed


def worker_files() -> dict[str, bytes]:
    """What the role offers to machines, by name, but for the list of checksums."""
    bootstrap = (TOOLCHAIN / "files" / "bootstrap").read_bytes()
    return {"bootstrap": bootstrap, "bbot-worker": pack_worker()}


def checksums(contents: t.Mapping[str, bytes]) -> bytes:
    """The file `sha256sums` for these contents."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in sorted(contents.items())
    ]
    return "".join(lines).encode()


def install_toolchain(
    tftp: Path,
    name: str = "default",
    *,
    bootstrap: str | None = None,
    files: t.Mapping[str, str] | None = None,
    version: str = VERSION,
) -> str:
    """Make ``name`` the toolchain of our worker; its id.

    ``bootstrap`` replaces the script that machines run, ``files`` come on top of ours, and
    ``version`` is what is expected of bootstrapped machines.
    """
    contents = worker_files()
    contents |= {each: text.encode() for each, text in (files or {}).items()}
    if bootstrap is not None:
        contents["bootstrap"] = bootstrap.encode()
    sums = checksums(contents)
    identity = hashlib.sha256(sums).hexdigest()
    contents["sha256sums"] = sums
    expected = f": 1\nid: {identity}\n:\nbbot-version: {version}\n"
    contents["toolchain.manifest"] = expected.encode()
    place = tftp / "toolchains" / f".{name}-{identity[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    for each, content in contents.items():
        (place / each).write_bytes(content)
    link = tftp / "toolchains" / name
    link.with_name(f"{name}.new").symlink_to(place.name)
    os.replace(link.with_name(f"{name}.new"), link)
    return identity
