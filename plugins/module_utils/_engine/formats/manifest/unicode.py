# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The characters a manifest may contain, and what exactly is wrong with any other byte.

Facts: libbutl `utf8.ixx` and `unicode.cxx` (0.13 and newer).
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Every code point is graphic unless one of these classes claims it. TAB, CR and LF are control
# characters by class and allowed by exception, hence the gaps in the first row.
_CLASSES = (
    ("control", "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"),
    (
        "format",
        "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064"
        "\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U00013438"
        "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f",
    ),
    (
        "noncharacter",
        "\ufdd0-\ufdef"
        + "".join(
            f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
        ),
    ),
    ("private-use", "\ue000-\uf8ff\U000f0000-\U0010ffff"),
    (
        "reserved",
        "\U00030000-\U000e0000\U000e0002-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U000effff",
    ),
)
_CLASS_PATTERNS = tuple((name, re.compile(f"[{chars}]")) for name, chars in _CLASSES)

NON_GRAPHIC = re.compile(f"[{''.join(chars for _name, chars in _CLASSES)}]")
"""Matches one well-formed code point that a manifest may not contain."""

_BYTE_NAMES = ("first", "second", "third", "forth")  # The last one is spelt so on the wire's side.


class Defect(NamedTuple):
    """The first thing in a byte string that a manifest may not contain."""

    byte: int
    """How many bytes of the offending code point were fine: 0 if its very first byte is bad."""
    description: str
    """What is wrong, in the words of libbutl."""


def decode(data: bytes) -> tuple[str, Defect | None]:
    """Return the acceptable beginning of `data` as text, and what ended it (None: all is well)."""
    defect = None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        text = data[: exc.start].decode("utf-8")
        defect = _malformed(data[exc.start : exc.start + 4])
    if match := NON_GRAPHIC.search(text):
        char = match.group()
        text = text[: match.start()]
        defect = Defect(
            len(char.encode("utf-8")) - 1, f"invalid Unicode codepoint ({codepoint_class(char)})"
        )
    return text, defect


def codepoint_class(char: str) -> str:
    """Return the class of one code point: `graphic`, or the name of the class that bans it."""
    for name, pattern in _CLASS_PATTERNS:
        if pattern.match(char):
            return name
    return "graphic"


def _malformed(data: bytes) -> Defect:
    """Say where the ill-formed sequence at the beginning of `data` (four bytes or less) goes wrong.

    Source: the table of well-formed byte sequences of the Unicode standard.
    """
    first = data[0]
    if 0xF8 <= first < 0xFE:
        return Defect(0, f"{5 if first < 0xFC else 6}-byte length UTF-8 sequence")
    if not 0xC2 <= first <= 0xF4:
        return _bad_byte(0, first)
    size = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    low = {0xE0: 0xA0, 0xF0: 0x90}.get(first, 0x80)
    high = {0xED: 0x9F, 0xF4: 0x8F}.get(first, 0xBF)
    for index, byte in enumerate(data[1:size], start=1):
        if not low <= byte <= high:
            return _bad_byte(index, byte)
        low, high = 0x80, 0xBF
    return Defect(len(data), "unexpected end of stream")


def _bad_byte(index: int, byte: int) -> Defect:
    shown = f" '{chr(byte)}'" if 0x20 <= byte <= 0x7E else ""
    return Defect(index, f"invalid UTF-8 sequence {_BYTE_NAMES[index]} byte (0x{byte:02X}{shown})")
