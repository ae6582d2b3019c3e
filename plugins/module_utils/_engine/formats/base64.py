# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Binary values in manifests, as libbutl's `base64.cxx` codes them."""

from __future__ import annotations

import binascii
import re

_LINE_BYTES = 57  # 76 characters.
_VALID = re.compile(r"(?:\n|[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)


def encode(data: bytes) -> str:
    """Return `data` in lines of 76 characters; the last one has no newline."""
    lines = (data[begin : begin + _LINE_BYTES] for begin in range(0, len(data), _LINE_BYTES))
    return "\n".join(binascii.b2a_base64(line, newline=False).decode("ascii") for line in lines)


def decode(text: str) -> bytes:
    """Undo `encode()`.

    Newlines may stand between groups of four characters, nothing at all behind padding. Raises
    `ValueError`.
    """
    if not _VALID.fullmatch(text):
        raise ValueError("invalid input")
    return binascii.a2b_base64(text)
