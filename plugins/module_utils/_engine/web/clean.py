# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Text that others wrote, made harmless for people's eyes: no escapes, no odd characters."""

from __future__ import annotations

import re

# What terminals take for commands (ECMA-48): colours and moves, titles, and what is longer.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b\n]{0,2048}(?:\x07|\x1b\\)|\x1b[ -/]?[0-~]"
)
# What no HTML may hold, and what turns the direction of writing about or hides.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Return ``text`` with lines that end as lines do, without escapes, and odd characters marked.

    A carriage return alone, by which progress is drawn over, ends a line, too.
    """
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _ODD.sub("\N{REPLACEMENT CHARACTER}", text)


def decode(data: bytes) -> str:
    """Return text for bytes that may be anything, clean."""
    return clean(data.decode("utf-8", errors="replace"))
