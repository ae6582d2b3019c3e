# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What changes on a page while somebody looks at it: parts of it, and lines of a log."""

from __future__ import annotations

import typing as t

from .clean import decode
from .folder import Folder, NoFile
from .response import Event

# Bytes of a log that are sent at once; who is further behind does not get all.
_PIECE = 32 << 10


class Parts:
    """Tells of parts that have changed: ``look`` returns all of them by name, as HTML."""

    def __init__(self, look: t.Callable[[], t.Mapping[str, str]]) -> None:
        self._look = look
        self._shown: dict[str, str] = {}

    def poll(self) -> list[Event]:
        """Return an event for each part that has changed; the first time for each."""
        parts = self._look()
        changed = {name: html for name, html in parts.items() if self._shown.get(name) != html}
        self._shown.update(changed)
        return [Event("part", {"id": name, "html": html}) for name, html in changed.items()]


class Follow:
    """Tells what a task's log gets from the byte ``start`` on.

    ``find`` returns its folder, or None; ``parts`` tells what else has changed; ``ended`` whether
    nothing will any more.
    """

    def __init__(
        self,
        parts: Parts,
        find: t.Callable[[], Folder | None],
        log: str,
        start: int,
        ended: t.Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._find = find
        self._log = log
        self._place = start
        self._ended = ended
        self._over = False

    def poll(self) -> list[Event] | None:
        """Return what has changed; None after the end was told. Raises EngineError."""
        if self._over:
            return None
        # In this order: what was written before the end is read after it was seen.
        over = self._ended()
        events = [*self._parts.poll(), *self._lines()]
        if over:
            self._over = True
            events.append(Event("ended", {}))
        return events

    def _lines(self) -> list[Event]:
        try:
            folder = self._find()
            if folder is None:
                return []
            data, size = folder.part(self._log, self._place, _PIECE)
            if size - self._place > 2 * _PIECE:
                left_out = size - _PIECE - self._place
                data, size = folder.part(self._log, -_PIECE, _PIECE)
                cut = data.find(b"\n") + 1
                note = f"[{left_out + cut} bytes are left out here]\n"
                self._place = size
                return [Event("lines", {"text": note + decode(data[cut:])}, str(size))]
        except NoFile:
            return []
        # Whole lines: the rest of one comes with it.
        whole = data.rfind(b"\n") + 1
        if not whole:
            return []
        self._place += whole
        return [Event("lines", {"text": decode(data[:whole])}, str(self._place))]
