# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests: libbutl's format, version 1."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterable

Pairs = list[tuple[str, str]]

# What libbutl refuses: control, format, private-use, non-character and reserved code points.
# TAB, LF and CR are allowed in manifests. The surrogates come from Python's own error handlers.
FORBIDDEN = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ud800-\uf8ff\ufdd0-\ufdef\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U00013438\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U0001fffe\U0001ffff\U0002fffe-\U000e00ff\U000e01f0-\U0010ffff]"
)


class ManifestError(ValueError):
    """A text that is not a manifest; says in which line."""

    def __init__(self, line: int, description: str) -> None:
        super().__init__(f"manifest:{line}: error: {description}")


def parse_manifests(data: bytes) -> list[Pairs]:
    """Read a stream of manifests: for each its name/value pairs in order.

    Both multi-line forms (``name:\\`` and ``name:`` followed by a line ``\\``), line
    continuations and comments are understood. Raises ManifestError.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(line, f"invalid UTF-8: {error.reason}") from None
    forbidden = FORBIDDEN.search(text)
    if forbidden:
        line = text.count("\n", 0, forbidden.start()) + 1
        raise ManifestError(line, f"invalid code point U+{ord(forbidden[0]):04X}")

    lines = re.sub("\r+\n?", "\n", text).split("\n")
    manifests: list[Pairs] = []
    at = 0
    while at < len(lines):
        line_number = at + 1
        text = lines[at].lstrip(" \t")
        at += 1
        if not text or text.startswith("#"):
            continue
        head = re.match("([^: \t]*)[ \t]*:[ \t]*", text)
        if not head:
            raise ManifestError(line_number, "':' expected after name")
        name, rest = head[1], text[head.end() :]
        if rest == "\\":
            value, at = _read_block(lines, at)
        elif not rest and at < len(lines) and lines[at] == "\\":
            value, at = _read_block(lines, at + 1)
        else:
            value, at = _read_simple(rest, lines, at)

        if name and not manifests:
            raise ManifestError(line_number, "format version pair expected")
        if name:
            manifests[-1].append((name, value))
            continue
        if not value and not manifests:
            raise ManifestError(line_number, "format version value expected")
        if value not in ("", "1"):
            raise ManifestError(line_number, f"unsupported format version {value}")
        manifests.append([])
    return manifests


def _read_simple(line: str, lines: list[str], at: int) -> tuple[str, int]:
    """A value of one logical line; lines[at] is the next physical one."""
    pieces = []
    while line.endswith("\\"):
        pieces.append(line[:-1])
        if line.endswith("\\\\") or at == len(lines):
            line = ""
            break
        if lines[at] == "\\":  # After a continuation this stands for a newline.
            pieces.append("\n")
            at += 1
        line = lines[at] if at < len(lines) else ""
        at += 1
    return "".join([*pieces, line]).rstrip(" \t"), at


def _read_block(lines: list[str], at: int) -> tuple[str, int]:
    """A value of several lines up to a line that is a single backslash, or the end."""
    end = at
    while end < len(lines) and lines[end] != "\\":
        end += 1
    return _LINE_END_ESCAPE.sub("", "\n".join(lines[at:end])), end + 1


# At the end of a line one backslash alone joins the next line; of several, the last one vanishes.
_LINE_END_ESCAPE = re.compile(r"(?<!\\)\\(?:\n|\Z)|(?<=\\)\\(?=\n|\Z)")


def serialize_manifest(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Write one manifest, multi-line values in the form that every known parser reads.

    Values must be free of forbidden code points (see clean).
    """
    parts = [": 1\n"]
    for name, value in pairs:
        if len(name) > 37 or re.search("[\r\n]|^[ \t]|[ \t]\\Z", value):
            text = re.sub("\r+\n?", "\n", value)
            # A backslash at the end of a line would join it with the next one.
            parts.append(f"{name}:\\\n{re.sub(_FINAL_BACKSLASH, BACKSLASHES, text)}\n\\\n")
        elif value:
            parts.append(f"{name}: {re.sub(_FINAL_BACKSLASH, BACKSLASHES, value)}\n")
        else:
            parts.append(f"{name}:\n")
    return "".join(parts).encode()


_FINAL_BACKSLASH = r"\\(?=\n|\Z)"
BACKSLASHES = r"\\\\"  # As a replacement: two of them.
