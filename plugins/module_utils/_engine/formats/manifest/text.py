# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs print, made fit for a manifest: any bytes become clean text of a limited size."""

from __future__ import annotations

import re

from .unicode import NON_GRAPHIC

_CURSOR_HOME = re.compile(r"(?:\x1b\[|\x9b)[01]?G")
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements.
    # OSC and kin. What begins another one ends the search, so that it takes linear time.
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\n\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # Escapes of a character or two.
)
_NEWLINE = re.compile("(?<!\r)\r+\n")  # The look behind keeps it linear.
_MIN_LIMIT = 256
_PIECE = 1 << 16


def sanitize(data: bytes) -> str:
    """Return what a person who watched a terminal would have read of this output.

    Every manifest can hold the outcome. Ill-formed UTF-8 becomes U+FFFD. Terminal escape sequences
    are dropped. Of a line overwritten after carriage returns (a progress display) the last state
    stays; characters erased by backspaces go. A control character that is left is shown by its
    Unicode picture (NUL as U+2400), any other that no manifest may contain as U+FFFD.
    """
    text = data.decode("utf-8", "replace")
    if "\x1b" in text or NON_GRAPHIC.search(text):
        text = _ANSI.sub("", _CURSOR_HOME.sub("\r", text))
    if "\r" in text:
        text = "\n".join(map(_last_state, _NEWLINE.sub("\n", text).split("\n")))
    if "\b" in text:
        text = "\n".join(map(_erase, text.split("\n")))
    return NON_GRAPHIC.sub(_show, text)


def replace_odd(data: bytes) -> str:
    """Return the text of a manifest with everything replaced that no manifest may contain.

    Unlike sanitize() it leaves each line where it is, its name included. Terminal escape
    sequences are dropped, other characters are shown as there.
    """
    text = _ANSI.sub("", data.decode("utf-8", "replace"))
    # In pieces, as each character that is replaced takes some memory until the end.
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    return "".join(NON_GRAPHIC.sub(_show, piece) for piece in pieces)


def cap(text: str, limit_bytes: int) -> str:
    """Return `text` with so much cut out of its middle that it has at most `limit_bytes` in UTF-8.

    A quarter of what stays is from the beginning (how it was set up), the rest from the end (how it
    ended); a line in between says what was cut. Cuts fall between lines where lines are short
    enough, and between code points everywhere. Raises `ValueError` for a limit below 256.
    """
    if limit_bytes < _MIN_LIMIT:
        raise ValueError(f"limit_bytes is {limit_bytes}: a log needs at least {_MIN_LIMIT} bytes")
    data = text.encode("utf-8")
    if len(data) <= limit_bytes:
        return text
    # The note is never longer than with the largest numbers that it could have to tell.
    room = limit_bytes - len(_note(len(data), len(data), limit_bytes))
    head = data[: room // 4].decode("utf-8", "ignore")
    tail = data[-(room - room // 4) :].decode("utf-8", "ignore")
    head_end = head.rfind("\n", len(head) // 2)
    head = head[:head_end] if head_end >= 0 else head
    tail_begin = tail.find("\n", 0, len(tail) // 2)
    tail = tail[tail_begin + 1 :]
    cut = len(data) - len(head.encode("utf-8")) - len(tail.encode("utf-8"))
    newlines = text.count("\n", len(head), len(text) - len(tail))
    return head + _note(cut, newlines, limit_bytes) + tail


def _note(cut: int, newlines: int, limit_bytes: int) -> str:
    return f"\n[{cut} bytes with {newlines} line ends cut out here: the limit is {limit_bytes}]\n"


def _last_state(line: str) -> str:
    """Return what the last carriage return that was followed by anything left on the line."""
    return line.rstrip("\r").rpartition("\r")[2]


def _erase(line: str) -> str:
    """Apply the backspaces of one line."""
    first, *others = line.split("\b")
    kept = list(first)
    for run in others:
        if kept:
            kept.pop()
        kept.extend(run)
    return "".join(kept)


def _show(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
