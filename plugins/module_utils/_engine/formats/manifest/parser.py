# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text to manifests, byte for byte as libbutl's `manifest-parser.cxx` reads it.

The format is told in `_manifest.py`. The text is decoded as a whole and cut at the first thing that
may not be in it. That defect is raised when the scanner comes to need what lies behind the cut, so
an earlier mistake is reported first, and the defect in the words of the place where it was met.
"""

from __future__ import annotations

import dataclasses
import re

from .model import Manifest, ManifestError, ManifestList, Pair
from .unicode import decode

_NEWLINE = re.compile("\r+\n?")
_BLANKS = re.compile("[ \t]*")
# What may stand before a pair: blank lines, comment lines, the blanks of the pair's own line. The
# last comment may lack its newline at the end of the text. The `*+` goes back to no line, and so
# remembers none: without it a MiB of empty lines takes 250 MiB.
_BETWEEN_PAIRS = re.compile("(?:[ \t]*(?:#[^\n]*)?\n)*+[ \t]*(?P<comment>#[^\n]*)?")
_NAME = re.compile("[^: \t\n]*")
_BLOCK_END = re.compile(r"^\\$", re.MULTILINE)
# At the end of a line one backslash alone joins the next line; of several, the last one vanishes.
_LINE_END_ESCAPE = re.compile(r"(?<!\\)\\(?:\n|\Z)|(?<=\\)\\(?=\n|\Z)")


@dataclasses.dataclass(frozen=True)
class ParseLimits:
    """How much of a text that a guest has written is read: so many `manifests` and `pairs` in all.

    A pair takes some 200 bytes of memory where two bytes of text are enough for it.
    """

    manifests: int = 1
    pairs: int = 10_000


def parse(
    text: bytes | str, name: str = "<stdin>", limits: ParseLimits | None = None
) -> ManifestList:
    """Read a stream of manifests; an empty stream is legal and yields none.

    `name` stands for the stream in errors. Without `limits` everything is read, as libbutl does.
    Raises `ManifestError` and nothing else, whatever the input.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _Parser(data, name, limits).stream()


class _Parser:
    """A scanner over one decoded text; `_at` is the index of the next character to be read."""

    def __init__(self, data: bytes, name: str, limits: ParseLimits | None) -> None:
        self._limits = limits
        decoded, self._defect = decode(data)
        self._text = _NEWLINE.sub("\n", decoded)
        self._end = len(self._text)
        self._name = name
        self._at = 0
        # Where the last place asked for was: counting lines goes on from there.
        self._counted = 0
        self._line = 1

    def stream(self) -> ManifestList:
        manifests: list[Manifest] = []
        pairs = 0
        while True:
            self._skip_between_pairs()
            line, column = self._place(self._at)
            here = Pair("", "", line, column, line, column)
            if self._at == self._end and self._defect is None:
                break
            pair = self._pair()
            pairs += 1
            self._check_limits(pair, pairs, len(manifests))
            if not pair.name:
                if manifests:
                    manifests[-1].end = here
                manifests.append(Manifest([], self._name, self._start(pair, first=not manifests)))
            elif manifests:
                manifests[-1].pairs.append(pair)
            else:
                raise self._error(pair.name_line, pair.name_column, "format version pair expected")
        if manifests:
            manifests[-1].end = here
        return ManifestList(manifests, self._name, here)

    def _check_limits(self, pair: Pair, pairs: int, manifests: int) -> None:
        """Refuse a pair that is one too many; so many `manifests` have begun before it."""
        limits = self._limits
        if limits is None:
            return
        if pairs > limits.pairs:
            raise self._error(
                pair.name_line, pair.name_column, f"more than {limits.pairs} pairs are not read"
            )
        if not pair.name and manifests >= limits.manifests:
            raise self._error(
                pair.name_line,
                pair.name_column,
                f"more than {limits.manifests} manifests are not read",
            )

    def _start(self, pair: Pair, first: bool) -> Pair:
        """Check the version of a start pair; only the first one of the stream must have it."""
        if pair.value == "1" or (not pair.value and not first):
            return pair
        description = (
            f"unsupported format version {pair.value}"
            if pair.value
            else "format version value expected"
        )
        raise self._error(pair.value_line, pair.value_column, description)

    def _skip_between_pairs(self) -> None:
        match = _BETWEEN_PAIRS.match(self._text, self._at)
        if match is None:
            raise AssertionError("a pattern that may be empty always matches")
        self._at = match.end()
        self._need("manifest", whole=match["comment"] is not None)

    def _skip_blanks(self) -> None:
        self._at = self._span(_BLANKS)
        self._need("manifest", whole=False)

    def _pair(self) -> Pair:
        name_at = self._at
        self._at = self._span(_NAME)
        name = self._text[name_at : self._at]
        self._need("manifest name", whole=True)
        self._skip_blanks()
        if not self._text.startswith(":", self._at):
            raise self._error(*self._place(self._at), "':' expected after name")
        self._at += 1
        self._skip_blanks()
        name_place = self._place(name_at)
        block_at = self._block()
        value_place = self._place(self._at if block_at is None else block_at)
        value = self._simple_value() if block_at is None else self._block_value(block_at)
        self._at += 1  # The newline. At the end of the text there is none, and no harm in it.
        self._at = min(self._at, self._end)
        return Pair(name, value, *name_place, *value_place)

    def _block(self) -> int | None:
        """Return where the data of a multi-line value begins; None if the value is a simple one."""
        at = self._at
        if self._text.startswith("\n", at):
            at += 1
            if at == self._end:
                self._need("manifest value", whole=False, at=at)
        if not self._text.startswith("\\", at):
            return None
        at += 1
        if at == self._end:
            self._need("manifest value", whole=False, at=at)
            return None if self._defect else at
        return at + 1 if self._text[at] == "\n" else None

    def _block_value(self, begin: int) -> str:
        match = _BLOCK_END.search(self._text, begin)
        if match is None or match.end() == self._end:
            self._need("manifest value", whole=True, at=self._end)
        if match is None:
            self._at = self._end
            body = self._text[begin:]
        else:
            self._at = match.end()
            body = self._text[begin : max(begin, match.start() - 1)]
        return _LINE_END_ESCAPE.sub("", body)

    def _simple_value(self) -> str:
        pieces = []
        while True:
            stop = self._text.find("\n", self._at)
            self._at, begin = (self._end if stop < 0 else stop), self._at
            line = self._text[begin : self._at]
            self._need("manifest value", whole=True)
            if not line.endswith("\\"):
                pieces.append(line)
                break
            pieces.append(line[:-1])
            if line.endswith("\\\\") or self._at == self._end:
                break
            self._at += 1
            if self._lone_backslash():
                pieces.append("\n")
                self._at = min(self._at + 2, self._end)
        return "".join(pieces).rstrip(" \t")

    def _lone_backslash(self) -> bool:
        """Tell whether the line that begins here is a backslash and nothing else."""
        if not self._text.startswith("\\", self._at):
            return False
        after = self._at + 1
        if after == self._end:
            self._need("manifest value", whole=True, at=after)
            return True
        return self._text[after] == "\n"

    def _span(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        return self._at if match is None else match.end()

    def _need(self, what: str, whole: bool, at: int | None = None) -> None:
        """Raise the defect if the scanner stands before it and needs more.

        With `whole` it needs the code point behind the cut; without, only its first byte, which may
        be fine.
        """
        at = self._at if at is None else at
        if self._defect and at == self._end and (whole or self._defect.byte == 0):
            raise self._error(*self._place(at), f"invalid {what}: {self._defect.description}")

    def _place(self, at: int) -> tuple[int, int]:
        """Return the 1-based line and column of the character at an index."""
        if at < self._counted:
            self._counted, self._line = 0, 1
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line, at - self._text.rfind("\n", 0, at)

    def _error(self, line: int, column: int, description: str) -> ManifestError:
        return ManifestError(self._name, line, column, description)
