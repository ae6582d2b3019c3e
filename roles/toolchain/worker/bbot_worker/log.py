# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation prints, cleaned and bounded."""

from __future__ import annotations

import contextlib
import re

from .manifest import FORBIDDEN
from .progress import Progress

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


LOG_LIMIT = 2 * 1024 * 1024
LINE_LIMIT = 64 * 1024

# Terminal control: CSI (colours, cursor), OSC (titles, links), DCS and its kin, two-byte ones.
_ESCAPE = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)?"
    "|[PX^_][^\x1b\n]*(?:\x1b\\\\)?|[ -/]*[0-~])"
)
_OVERWRITTEN = re.compile("^[^\n]*\r(?=[^\n])", re.MULTILINE)


def clean(data: bytes) -> str:
    """The text a terminal would show, with nothing in it that a manifest cannot hold.

    Colours go, a line overwritten by carriage returns keeps its last state, and what cannot be
    shown (bad UTF-8, control characters) becomes U+FFFD.
    """
    text = data.decode("utf-8", "replace")
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    if "\r" in text:
        text = re.sub("\r+$", "", text, flags=re.MULTILINE)
        text = _OVERWRITTEN.sub("", text).replace("\r", "\n")
    return FORBIDDEN.sub("\ufffd", text)


BUILTIN_WARNING = re.compile("^(?:.+: )?warning: ", re.MULTILINE)


def ecmascript(pattern: str) -> re.Pattern[str]:
    """Compile a regex of ECMAScript's grammar as far as Python's has the same things.

    Raises re.error. ``\\d`` and ``\\w`` mean ASCII there, ``$`` only the very end, ``/`` may be
    escaped, ``[^]`` is any character, ``\\cX`` a control character.
    """

    def translate(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith("[[:"):
            raise re.error("POSIX character classes are not supported", pattern, match.start())
        if token in _ECMASCRIPT_ONLY:
            return _ECMASCRIPT_ONLY[token]
        if token.startswith(r"\c"):
            return re.escape(chr(ord(token[2]) % 32))
        if token.startswith("["):
            return "[" + re.sub(r"(\\.)|\[", lambda inner: inner[1] or r"\[", token[1:])
        return token

    tokens = r"\\c[A-Za-z]|\\.|\[\^?\]|\[\[:|\[(?:\\.|[^\]\\])+\]|\$"
    return re.compile(re.sub(tokens, translate, pattern), re.ASCII)


_ECMASCRIPT_ONLY = {"$": r"\Z", "[]": r"(?!)", "[^]": r"[\s\S]", r"\/": "/"}


class Log:
    """What one operation prints, cleaned and bounded for the result.

    The result gets at most *limit* bytes, the first and the last lines; a warning is noticed in
    whatever is cut, too.
    """

    def __init__(
        self,
        limit: int = LOG_LIMIT,
        warnings: Iterable[re.Pattern[str]] = (),
        progress: Progress | None = None,
    ) -> None:
        self.limit = limit - 200  # Room for the note about what is missing.
        self.warnings = list(warnings)
        self.warned = False
        self.first_warning = ""
        self.progress = progress or Progress()
        self.watcher: Callable[[str], None] | None = None
        self.rest = b""
        self.head: list[str] = []
        self.head_size = 0
        self.tail: list[str] = []
        self.tail_start = 0
        self.tail_size = 0
        self.cut_lines = 0
        self.cut_bytes = 0

    def feed(self, data: bytes) -> None:
        """Output of the operation, as it comes."""
        data = self.rest + data
        end = data.rfind(b"\n")
        if end < 0 and len(data) >= LINE_LIMIT:
            # Too long to wait for its end: break it, but not within a character.
            end = len(data)
            while end > len(data) - 4 and data[end - 1] & 0xC0 == 0x80:
                end -= 1
            self.rest = data[end - 1 :]
            self._add(clean(data[: end - 1]))
        elif end < 0:
            self.rest = data
        else:
            self.rest = data[end + 1 :]
            self._add(clean(data[:end]))

    def note(self, text: str) -> None:
        """A line of our own."""
        self.flush()
        self._add(clean(text.encode("utf-8", "replace")), watch=False)

    @contextlib.contextmanager
    def watched(self, watcher: Callable[[str], None]) -> Iterator[None]:
        """Have *watcher* see each line of output, for the length of a with statement."""
        self.flush()
        self.watcher = watcher
        try:
            yield
        finally:
            self.flush()
            self.watcher = None

    def flush(self) -> None:
        """Take a last line without a newline for complete."""
        if self.rest:
            rest, self.rest = self.rest, b""
            self._add(clean(rest))

    def close(self) -> str:
        """The text for the result."""
        self.flush()
        lines = list(self.head)
        if self.cut_lines:
            lines.append(
                f"[… {self.cut_lines} lines ({self.cut_bytes} bytes) of this log are not shown …]"
            )
        return "\n".join(lines + self.tail[self.tail_start :])

    def warn(self, text: str) -> None:
        """A line of our own that makes the operation one with warnings."""
        self.note(f"warning: {text}")
        if not self.warned:
            self.warned, self.first_warning = True, text

    def _look_for_warning(self, text: str, lines: list[str]) -> None:
        if self.warnings or BUILTIN_WARNING.search(text):
            for line in lines:
                if any(each.search(line) for each in (BUILTIN_WARNING, *self.warnings)):
                    self.warned, self.first_warning = True, line
                    return

    def _add(self, text: str, watch: bool = True) -> None:
        self.progress.show(text)
        lines = text.split("\n")
        if watch and not self.warned:
            self._look_for_warning(text, lines)
        if self.watcher is not None and watch:
            for line in lines:
                self.watcher(line)
        for line in lines:
            # With its newline and, at a line's end, the doubling of a backslash.
            size = len(line.encode()) + 1 + line.endswith("\\")
            if not (self.tail or self.cut_lines) and self.head_size + size <= self.limit // 2:
                self.head.append(line)
                self.head_size += size
                continue
            self.tail.append(line)
            self.tail_size += size
            while self.tail_size > self.limit // 2:
                dropped = self.tail[self.tail_start]
                dropped_size = len(dropped.encode()) + 1
                self.tail[self.tail_start] = ""
                self.tail_start += 1
                self.tail_size -= dropped_size + dropped.endswith("\\")
                self.cut_lines += 1
                self.cut_bytes += dropped_size
        if self.tail_start > 10000:
            del self.tail[: self.tail_start]
            self.tail_start = 0
