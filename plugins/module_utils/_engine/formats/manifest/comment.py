# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that carry a comment: `value ; comment`.

Few values do (e-mail addresses of packages, for instance), so the parser leaves this to those who
know the value. Facts: libbutl `split_comment()` and `merge_comment()`, 0.15 and newer.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\([;\\])")
_SINGLE_LINE_VALUE = re.compile(r"(?:\\[;\\]|[^;])*")
_SEPARATOR_LIKE = re.compile(r"(?P<backslashes>\\*);")


def split_comment(value: str) -> tuple[str, str]:
    r"""Split a value at its comment and undo the escapes; the comment is empty if there is none.

    In a single-line value `;` begins the comment, `\;` and `\\` mean `;` and `\`. In a multi-line
    value a line `;` begins it, and of a line of backslashes and `;` the left half is dropped.
    """
    if "\n" in value:
        return _split_lines(value)
    match = _SINGLE_LINE_VALUE.match(value)
    end = match.end() if match else 0
    comment = value[end + 1 :].lstrip(" \t")
    return _ESCAPE.sub(r"\1", value[:end]).rstrip(" \t"), comment


def merge_comment(value: str, comment: str) -> str:
    """Undo `split_comment()`."""
    if "\n" not in value and "\n" not in comment:
        escaped = value.replace("\\", "\\\\").replace(";", "\\;")
        return f"{escaped}; {comment}" if comment else escaped
    merged = "\n".join(map(_escape_line, value.split("\n")))
    if not comment:
        return merged
    return f"{merged}\n;\n{comment}" if merged else f";\n{comment}"


def _split_lines(value: str) -> tuple[str, str]:
    lines = value.split("\n")
    end = lines.index(";") if ";" in lines else len(lines)
    return "\n".join(map(_unescape_line, lines[:end])), "\n".join(lines[end + 1 :])


def _unescape_line(line: str) -> str:
    return line[len(line) // 2 :] if _SEPARATOR_LIKE.fullmatch(line) else line


def _escape_line(line: str) -> str:
    if match := _SEPARATOR_LIKE.fullmatch(line):
        return (match["backslashes"] or "\\") + line
    return line
