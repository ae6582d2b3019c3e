# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How the host is now, looked at no more than once a second however many ask."""

from __future__ import annotations

import dataclasses
import threading
import time
import typing as t

from ..errors import EngineError, sentence
from .folder import Folder, NoFile
from .logs import tail

# Where lines of a task are kept.
LOG = "agent.log"
# Running tasks that are shown; and how much of the log of each, in bytes and lines.
_MOST, _TAIL, _LINES = 200, 2048, 3
# For how many seconds a look is good.
_FRESH = 1.0

_EMPTY: dict[str, t.Any] = {
    name: [] for name in ("agents", "machines", "running", "queue", "suspended", "history")
}


@dataclasses.dataclass
class Snapshot:
    """How the host was at the time ``now``, as the command `status` tells it as JSON.

    Each of what is ``running`` has the last lines of its log as ``tail``, too; ``hidden`` is how
    many are not shown. ``trouble`` says what cannot be told. ``parts`` is what was made of it.
    """

    now: float
    trouble: str
    agents: list[t.Any]
    machines: list[t.Any]
    running: list[t.Any]
    queue: list[t.Any]
    suspended: list[t.Any]
    history: list[t.Any]
    hidden: int = 0
    parts: dict[str, str] = dataclasses.field(default_factory=dict)


class Snapshots:
    """Looks at the host by ``collect``, whose tasks have their logs below the folder ``logs``."""

    def __init__(self, collect: t.Callable[[], t.Mapping[str, t.Any]], logs: str) -> None:
        self._collect = collect
        self._logs = logs
        self._lock = threading.Lock()
        self._last: Snapshot | None = None
        self._at = 0.0

    def get(self) -> Snapshot:
        """Return how the host is."""
        # Who comes while somebody looks is told what that one sees.
        with self._lock:
            if self._last is None or time.monotonic() - self._at >= _FRESH:
                self._last = self._look()
                self._at = time.monotonic()
            return self._last

    def _look(self) -> Snapshot:
        trouble = ""
        try:
            status = self._collect()
        except (EngineError, OSError) as error:
            status, trouble = _EMPTY, sentence(error)
        running = sorted(status["running"], key=lambda each: each["since"] or 0)
        return Snapshot(
            now=time.time(),
            trouble=trouble,
            running=[{**each, "tail": self._tail(each["logs"])} for each in running[:_MOST]],
            hidden=max(0, len(running) - _MOST),
            **{name: status[name] for name in _EMPTY if name != "running"},
        )

    def _tail(self, logs: t.Any) -> list[str]:
        try:
            return tail(Folder(logs, self._logs), LOG, _TAIL, _LINES) if logs else []
        except NoFile:
            return []
