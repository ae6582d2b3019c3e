# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests to text, byte for byte as libbutl's `manifest-serializer.cxx` writes it.

The format and its two styles are told in `_manifest.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from .model import Manifest, SerializationError
from .unicode import NON_GRAPHIC, decode

Style = Literal["old", "new"]

_BLOCK_BEGIN = {"old": "\\\n", "new": "\n\\\n"}
_NEWLINE = re.compile("\r\n|\r|\n")
_NAME_CHECK = re.compile("(?P<blank>[ \t\r\n])|(?P<colon>:)")
_BLANK = re.compile("[ \t]")
_SURROGATE = re.compile("[\ud800-\udfff]")

# A physical line has 76 code points and the backslash that breaks it; its very last character may
# take the place of the backslash. Blanks are where to break once a line has more than 57.
_BREAK_AT = 77
_SOFT_BREAK_AFTER = 57
# Values begin on the line of their name only if they begin in its first half.
_LAST_VALUE_COLUMN = 39


def serialize(
    manifests: Manifest | Iterable[Manifest], long_lines: bool = False, style: Style = "old"
) -> str:
    """Write a stream of manifests.

    With `long_lines` no line is broken. `style` is the form of multi-line values, see
    `_manifest.py`. Raises `SerializationError` for what no manifest can hold.
    """
    serializer = Serializer(long_lines=long_lines, style=style)
    for manifest in [manifests] if isinstance(manifests, Manifest) else manifests:
        serializer.next("", "1")
        for pair in manifest:
            if not pair.name:
                raise SerializationError("", "empty name")
            serializer.next(pair.name, pair.value)
        serializer.next("", "")
    serializer.next("", "")
    return serializer.text()


class Serializer:
    """Writes a stream of pairs: start pair, pairs, empty pair, ..., and an empty pair to end it.

    The empty pair that ends a manifest may be left out before the next start pair.
    """

    def __init__(self, long_lines: bool = False, style: Style = "old", name: str = "") -> None:
        """Begin an empty stream; `name` stands for it in errors."""
        if style not in _BLOCK_BEGIN:
            raise ValueError(f"style is {style!r}: choose 'old' or 'new'")
        self._long_lines = long_lines
        self._block_begin = _BLOCK_BEGIN[style]
        self._name = name
        self._state: Literal["start", "body", "end"] = "start"
        self._version = ""
        self._out: list[str] = []

    def text(self) -> str:
        """Return what was written so far."""
        return "".join(self._out)

    def next(self, name: str, value: str) -> None:
        """Write the next pair of the stream. Raises `SerializationError`."""
        if self._state == "end":
            raise self._error("serialization after eos")
        if self._state == "body" and name:
            self._write_pair(name, value)
        elif self._state == "body" and not value:
            self._state = "start"
        else:
            self._write_start(name, value)

    def comment(self, text: str) -> None:
        """Write a comment line. Raises `SerializationError`."""
        if self._state == "end":
            raise self._error("serialization after eos")
        self._check("comment", text)
        self._out.append(f"# {text}\n" if text else "#\n")

    def _write_start(self, name: str, value: str) -> None:
        if name:
            raise self._error("format version pair expected")
        if not value:
            self._state = "end"
            return
        if value != "1":
            raise self._error(f"unsupported format version {value}")
        self._out.append(":\n" if value == self._version else f": {value}\n")
        self._version = value
        self._state = "body"

    def _write_pair(self, name: str, value: str) -> None:
        self._check_name(name)
        self._check("value", value)
        # One string a pair, so that a pair with an error leaves no half of it behind.
        self._out.append(f"{name}:{self._format_value(value, len(name) + 2)}\n")

    def _format_value(self, value: str, column: int) -> str:
        """Return what follows the colon; `column` is where a value on that line would begin."""
        if not value:
            return ""
        if (
            column > _LAST_VALUE_COLUMN
            or value[0] in " \t"
            or value[-1] in " \t"
            or _NEWLINE.search(value)
        ):
            lines = (self._physical_lines(line, 0) for line in _NEWLINE.split(value))
            return self._block_begin + "\n".join(lines) + "\n\\"
        return " " + self._physical_lines(value, column)

    def _physical_lines(self, line: str, column: int) -> str:
        """Break a line of a value that begins at `column`, and protect a backslash at its end."""
        if not self._long_lines and column + len(line.encode("utf-8")) > _BREAK_AT:
            line = "\\\n".join(_break_line(line, column))
        return line + "\\" if line.endswith("\\") else line

    def _check_name(self, name: str) -> None:
        if name.startswith("#"):
            raise self._error("name starts with '#'")
        # The first offence in the name is the one to report.
        match = _NAME_CHECK.search(name)
        self._check("name", name[: match.start()] if match else name)
        if match:
            raise self._error("name contains whitespace" if match["blank"] else "name contains ':'")

    def _check(self, what: str, text: str) -> None:
        if NON_GRAPHIC.search(text) or _SURROGATE.search(text):
            _good, defect = decode(text.encode("utf-8", "surrogatepass"))
            if defect:
                raise self._error(f"invalid {what}: {defect.description}")

    def _error(self, description: str) -> SerializationError:
        return SerializationError(self._name, description)


def _break_line(line: str, column: int) -> list[str]:
    """Cut a line that begins at `column` into the pieces that stand on a physical line each.

    Breaks never come right after a backslash: it would be taken for an escaped one.
    """
    pieces = []
    begin = 0
    while (place := _break_place(line, begin, column)) is not None:
        pieces.append(line[begin:place])
        begin, column = place, 0
    return [*pieces, line[begin:]]


def _break_place(line: str, begin: int, column: int) -> int | None:
    """Return where to break the line piece that begins at index `begin`, or None for nowhere."""
    hard = begin + _BREAK_AT - column
    soft = begin + _SOFT_BREAK_AFTER + 1 - column
    while match := _BLANK.search(line, soft, hard):
        blank = match.start()
        soft = blank + 1
        if line[blank - 1 : blank] == "\\":
            continue
        following = _BLANK.search(line, soft)
        stop = following.start() if following else len(line)
        # libbutl measures up to here in code points and from here in bytes.
        reach = column + blank - begin + len(line[blank:stop].encode("utf-8"))
        if reach > (_BREAK_AT if following else _BREAK_AT + 1):
            return blank
    while hard < len(line) and line[hard - 1] == "\\":
        hard += 1
    if hard >= len(line):
        return None
    if hard == begin + _BREAK_AT - column == len(line) - 1 and line[hard].isascii():
        return None  # A last single-byte character fits where the backslash would go.
    return hard
