# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Whether two spellings mean one package: workers that use libbpkg print them its way."""

from __future__ import annotations

import re

_VERSION = re.compile(r"(?:\+(?P<epoch>[0-9]+)-)?(?P<rest>.+?)(?:\+(?P<revision>[0-9]+))?")
_DEFAULT_EPOCH = "1"


def same_name(one: str, other: str) -> bool:
    """Return whether both are the name of one package: letters' case does not matter."""
    return one.lower() == other.lower()


def same_version(one: str, other: str) -> bool:
    """Return whether both are one version, with or without the epoch 1 and the revision 0."""
    return _plain(one) == _plain(other)


def _plain(version: str) -> tuple[str, str, str]:
    match = _VERSION.fullmatch(version)
    if match is None:
        return "", version, ""
    epoch = (match["epoch"] or _DEFAULT_EPOCH).lstrip("0")
    return epoch, match["rest"], (match["revision"] or "").lstrip("0")
