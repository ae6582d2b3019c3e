# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A matrix for people in front of a terminal, or who read what went through a pipe."""

from __future__ import annotations

import typing as t
import unicodedata

from .differences import in_common
from .states import RUNNING, Entry, Index
from .verdict import counts, is_bad, is_over, title, why, word

_WIDEST = 60


def plain(text: str) -> str:
    """Return ``text`` without what a terminal would take for a command, on one line."""
    return "".join(
        letter if letter.isprintable() else " " if letter in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def width(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return sum(
        0
        if unicodedata.combining(letter)
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


def fit(text: str, columns: int) -> str:
    """Return ``text``, cut or filled up to so many cells."""
    if width(text) > columns:
        while text and width(text) > columns - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (columns - width(text))


def row(entry: Entry, names: t.Sequence[str], label: int, phase: str = "") -> str:
    """Return the line for a combination in a table whose labels take ``label`` cells."""
    parts = [fit(plain(title(entry, names)), label), f"{word(entry):<9}"]
    if entry["state"] == RUNNING:
        parts.append(plain(phase))
    elif is_over(entry):
        seconds = f"{entry['seconds']:.1f} s" if "seconds" in entry else ""
        parts.append(f"{seconds:>8}")
        if is_bad(entry):
            parts.append(plain(why(entry)))
    return "  ".join(parts).rstrip()


def table(index: Index) -> list[str]:
    """Return a line for each combination, in order."""
    label = label_width(index)
    return [row(entry, index["varying"], label) for entry in index["combinations"]]


def label_width(index: Index) -> int:
    """How many cells the longest label takes, within reason."""
    names = index["varying"]
    return min(_WIDEST, max(width(plain(title(e, names))) for e in index["combinations"]))


def ended(index: Index, entry: Entry) -> str:
    """Return one line for a combination that has just ended."""
    over = sum(map(is_over, index["combinations"]))
    label = plain(title(entry, index["varying"]))
    seconds = f" in {entry['seconds']:.1f} s" if "seconds" in entry else ""
    reason = f": {plain(why(entry))}" if is_bad(entry) else ""
    return f"{over}/{len(index['combinations'])} {label}: {word(entry)}{seconds}{reason}"


def summary(index: Index, folder: str) -> list[str]:
    """Return the lines at the end of all."""
    lines = table(index)
    for finding in in_common(index):
        if finding.axes and len(index["combinations"]) > 1:
            what = ", ".join(f"{axis.lstrip('$')} {value}" for axis, value in finding.axes.items())
            lines.append(plain(f"fails with {what}: {len(finding.ids)} of {len(finding.ids)}"))
    said = ", ".join(f"{number} {what}" for what, number in counts(index).items())
    return [*lines, f"{len(index['combinations'])} combinations: {said}", f"results: {folder}"]


class Live:
    """A table that is kept up to date at the bottom of a terminal: what runs, and the counts."""

    def __init__(
        self, write: t.Callable[[str], None], size: t.Callable[[], tuple[int, int]]
    ) -> None:
        self._write = write
        self._size = size
        self._lines = 0

    def say(self, line: str) -> None:
        """Write a line that stays, above the table."""
        self.clear()
        self._write(f"{line}\n")

    def draw(self, index: Index, phases: t.Mapping[str, str]) -> None:
        """Draw the table anew, as much of it as there is room for."""
        columns, lines = self._size()
        entries = index["combinations"]
        room = max(1, lines - 2)
        if len(entries) > room:
            # What runs is worth more than what waits, and that more than what has ended well.
            weighed = sorted(entries, key=lambda e: (e["state"] != RUNNING, not is_bad(e)))
            entries = weighed[:room]
        label = min(label_width(index), max(8, columns - 40))
        shown = [row(e, index["varying"], label, phases.get(e["id"], "")) for e in entries]
        said = ", ".join(f"{number} {what}" for what, number in counts(index).items())
        text = "".join(f"{fit(line, columns - 1).rstrip()}\x1b[K\n" for line in [*shown, said])
        self._write(f"{self._up()}{text}\x1b[J")
        self._lines = len(shown) + 1

    def clear(self) -> None:
        """Take the table away."""
        if self._lines:
            self._write(f"{self._up()}\x1b[J")
        self._lines = 0

    def _up(self) -> str:
        return f"\r\x1b[{self._lines}A" if self._lines else "\r"
