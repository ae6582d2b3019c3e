# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the agent says: to a person, or to systemd's journal with priorities.

A log monitor takes lines of the priority `error` for something a person must know.
"""

from __future__ import annotations

import sys
import typing as t

# sd-daemon(3)
_PRIORITIES = {"fatal": 2, "error": 3, "warning": 4, "info": 6, "trace": 7}
# From which --verbose on a kind of line is printed.
_VERBOSITY = {"fatal": 0, "error": 0, "warning": 0, "info": 1, "trace": 2}
# Of what the engine reports, these prefixes say what kind a line is.
_KINDS = ("error", "warning", "info")


class Diagnostics:
    """Prints lines to ``stream``.

    ``verbose`` is bbot's option: 0 for errors and warnings, 1 for the course of things,
    2 for phases and the guests' progress, too. With ``systemd`` each line gets its
    priority as a prefix.
    """

    def __init__(
        self, verbose: int = 1, *, systemd: bool = False, stream: t.TextIO | None = None
    ) -> None:
        self._verbose = verbose
        self._systemd = systemd
        self._stream = stream or sys.stderr

    def fatal(self, text: str) -> None:
        """Why the program ends: an error of the priority that bbot's agent gives it."""
        self._print("fatal", text)

    def error(self, text: str) -> None:
        """Something that a person must look at."""
        self._print("error", text)

    def warning(self, text: str) -> None:
        """Something that is not as it should be, and that we can live with."""
        self._print("warning", text)

    def info(self, text: str) -> None:
        """The course of things."""
        self._print("info", text)

    def trace(self, text: str) -> None:
        """Details of the course of things."""
        self._print("trace", text)

    def report(self, line: str, context: str = "") -> None:
        """A line that the engine reports, ``context`` said before it."""
        kind, colon, text = line.partition(": ")
        if not colon or kind not in _KINDS:
            kind, text = "trace", line
        self._print(kind, f"{context}{text}")

    def _print(self, kind: str, text: str) -> None:
        if self._verbose < _VERBOSITY[kind]:
            return
        line = " ".join(text.split("\n"))
        if kind != "trace":
            line = f"{'error' if kind == 'fatal' else kind}: {line}"
        if self._systemd:
            line = f"<{_PRIORITIES[kind]}>{line}"
        # Nobody reads any more: that must not end a task.
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._verbose = -1
