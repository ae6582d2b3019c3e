# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a guest says, passed on as trace: behind a prefix, and only so much of it."""

from __future__ import annotations

import time
import typing as t

# Stands before each line of a guest. It is no kind of diagnostics and never becomes one.
PREFIX = "| "

# Characters of one line.
_LONGEST = 500
# Bytes for the life of one use of a machine.
_MOST_BYTES = 1 << 20
# Lines a second in the long run, and at once.
_RATE, _BURST = 50.0, 1000.0


def cut(text: str, most: int = _LONGEST) -> str:
    """Return `text`, on one line, with at most `most` characters; an ellipsis says that it was cut.

    For names, reasons and errors that a guest has chosen or can make longer.
    """
    # No more than can be used is split: the text may have megabytes.
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 1]}…"


class GuestLines:
    """Passes a guest's lines on to `report`, limited in length, number a second, and bytes.

    What is left out is counted, and told as one line when there is room again or at close().
    `clock` returns seconds.
    """

    def __init__(
        self,
        report: t.Callable[[str], None],
        *,
        most_bytes: int = _MOST_BYTES,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._clock = clock
        self._bytes_left = most_bytes
        self._lines_left = _BURST
        self._counted_at = clock()
        self._left_out = 0

    def say(self, text: str) -> None:
        """Pass one line on, if the guest has not said too much."""
        now = self._clock()
        gained = (now - self._counted_at) * _RATE
        self._lines_left = min(_BURST, self._lines_left + gained)
        self._counted_at = now
        line = PREFIX + (text if len(text) <= _LONGEST else cut(text))
        size = len(line.encode())
        if self._lines_left < 1 or size > self._bytes_left:
            self._left_out += 1
            return
        self._lines_left -= 1
        self._bytes_left -= size
        self._tell_left_out()
        self._report(line)

    def close(self) -> None:
        """Tell how many lines were left out since that was told last."""
        self._tell_left_out()

    def _tell_left_out(self) -> None:
        if self._left_out:
            count, self._left_out = self._left_out, 0
            self._report(f"{PREFIX}[{count} lines of the machine are left out here]")


class Refusals:
    """Tells the first few of a guest's refused and failed transfers, and counts the others."""

    def __init__(self, report: t.Callable[[str], None], most: int = 20) -> None:
        self._report = report
        self._most = most
        self._count = 0

    def tell(self, operation: str, name: str, error: str) -> None:
        """A transfer of the file `name` was refused, or has failed with `error`."""
        self._count += 1
        if self._count <= self._most:
            self._report(f"{PREFIX}tftp {operation} {cut(name, 100)}: {cut(error, 200)}")

    def close(self) -> None:
        """Tell how many there were beside those that were told."""
        if self._count > self._most:
            more = self._count - self._most
            self._report(f"{PREFIX}tftp: {more} more transfers were refused or failed")
