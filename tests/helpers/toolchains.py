# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Toolchains for test hosts, laid out as the role toolchain does."""

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

FILES = Path(__file__).parents[2] / "roles" / "toolchain" / "files"
VERSION = "0.1.0"


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
    texts = {each: (FILES / each).read_text() for each in ("bootstrap", "bbot-worker")}
    texts |= files or {}
    if bootstrap is not None:
        texts["bootstrap"] = bootstrap
    sums = "".join(
        f"{hashlib.sha256(texts[each].encode()).hexdigest()}  {each}\n" for each in sorted(texts)
    )
    identity = hashlib.sha256(sums.encode()).hexdigest()
    texts["sha256sums"] = sums
    texts["toolchain.manifest"] = f": 1\nid: {identity}\n:\nbbot-version: {version}\n"
    place = tftp / "toolchains" / f".{name}-{identity[:12]}"
    place.mkdir(parents=True, exist_ok=True)
    for each, text in texts.items():
        (place / each).write_text(text)
    link = tftp / "toolchains" / name
    link.with_name(f"{name}.new").symlink_to(place.name)
    os.replace(link.with_name(f"{name}.new"), link)
    return identity
