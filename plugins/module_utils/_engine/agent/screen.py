# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The course of a task for the person who waits: lines, and on a terminal one that stays below."""

from __future__ import annotations

import shutil
import time
import typing as t

_PHASE = "phase "
# Seconds between two looks of the line that stays.
_INTERVAL = 0.5
_CLEAR = "\r\x1b[K"


class Screen:
    """Shows lines on ``stream``. Where that is a `terminal`, the last line is the current phase."""

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream
        self.terminal = stream.isatty()
        self._what = self._phase = ""
        self._since = self._drawn = 0.0

    def begin(self, what: str) -> None:
        """What follows is about ``what``."""
        self._what, self._phase = what, ""

    def show(self, line: str) -> None:
        """Show a line that the engine reports."""
        if self.terminal and line.startswith(_PHASE):
            self._phase, self._since = line.removeprefix(_PHASE), time.monotonic()
            self._draw()
            return
        text = f"[{self._what}] {line}" if self._what else line
        self.write(f"{_CLEAR if self.terminal else ''}{text}\n")
        if self.terminal:
            self._draw()

    def show_all(self, lines: t.Iterable[str]) -> None:
        """Show lines as they are."""
        self.write("".join(f"{line}\n" for line in lines))

    def tick(self) -> None:
        """Let the time go on, on a terminal."""
        if self.terminal and time.monotonic() - self._drawn >= _INTERVAL:
            self._draw()

    def close(self) -> None:
        """Take the line that stays away."""
        if self.terminal and self._phase:
            self.write(_CLEAR)
        self._phase = ""

    def _draw(self) -> None:
        if self._phase:
            self._drawn = time.monotonic()
            text = f"{self._what}: {self._phase}, {self._drawn - self._since:.0f} s"
            # One that does not fit would not be cleared away as a whole.
            self.write(_CLEAR + text[: shutil.get_terminal_size().columns - 1])

    def write(self, text: str) -> None:
        """Write a text as it is."""
        # That nobody reads any more does not end a task.
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self.terminal = False
