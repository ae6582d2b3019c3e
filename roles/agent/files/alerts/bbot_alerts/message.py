# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events as one message, for people and for programs."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .outbox import Event

_SIGNS = {"began": "wrong", "ended": "over"}


@dataclasses.dataclass(frozen=True)
class Message:
    """What is told at once. `id` is the same each time that it is tried, and no other's."""

    id: str
    host: str
    events: t.Sequence[Event]
    left_out: int = 0

    @property
    def subject(self) -> str:
        """What it is about, in one line."""
        first, more = self.events[0], len(self.events) - 1
        rest = f" (and {more} more)" if more else ""
        return f"bbot-agent on {self.host}: {_SIGNS[first.what]}: {first.text[:100]}{rest}"

    @property
    def text(self) -> str:
        """Return a line for each event."""
        lines = [f"{_when(each.at)} {_SIGNS[each.what]}: {each.text}" for each in self.events]
        if self.left_out:
            lines.append(f"{self.left_out} events are left out: they came and went")
        return "\n".join(lines)

    def content(self) -> dict[str, t.Any]:
        """Return the same as plain data."""
        return {
            "id": self.id,
            "host": self.host,
            "text": f"bbot-agent on {self.host}\n{self.text}",
            "events": [
                {"what": each.what, "key": each.key, "text": each.text, "at": _when(each.at)}
                for each in self.events
            ],
            "left_out": self.left_out,
        }


def _when(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return "?"
