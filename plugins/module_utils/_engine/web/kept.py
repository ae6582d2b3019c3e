# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What takes a moment to look up, kept for a while for all who ask."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t


class Kept:
    """What ``look`` returns for a key, which is looked up by one at a time.

    It is good for ``fresh`` seconds. For ``stale`` more it is shown as it is, while it is looked
    up anew beside.
    """

    def __init__(self, look: t.Callable[[int], t.Any], fresh: float, stale: float = 0) -> None:
        self._look = look
        self._fresh = fresh
        self._stale = stale
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[float, t.Any]] = {}
        self._renewing: set[int] = set()

    def get(self, key: int) -> t.Any:
        """Return it. Raises what looking does."""
        at, value = self._kept.get(key, (-1e9, None))
        age = time.monotonic() - at
        if age > self._fresh + self._stale:
            return self._renew(key)
        if age > self._fresh and key not in self._renewing:
            self._renewing.add(key)
            threading.Thread(target=self._renew_beside, args=(key,), daemon=True).start()
        return value

    def _renew(self, key: int) -> t.Any:
        with self._lock:
            now, most = time.monotonic(), self._fresh + self._stale
            at, value = self._kept.get(key, (-1e9, None))
            # Who waited for one who looked sees the same.
            if now - at <= self._fresh:
                return value
            value = self._look(key)
            kept = {name: each for name, each in self._kept.items() if now - each[0] <= most}
            self._kept = {**kept, key: (time.monotonic(), value)}
            return value

    def _renew_beside(self, key: int) -> None:
        try:
            # What cannot be looked up now is shown as it was, and told when that is too old.
            with contextlib.suppress(Exception):
                self._renew(key)
        finally:
            self._renewing.discard(key)

    def forget(self) -> None:
        """Keep nothing of what was looked up."""
        self._kept = {}
