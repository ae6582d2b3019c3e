# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a browser is answered: pages, files, and events as they come."""

from __future__ import annotations

import dataclasses
import http
import json
import typing as t

HTML, TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"

# For whatever a page's own policy does not allow. Nobody else shows, embeds or keeps what is here.
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Connection": "close",
}
# What others wrote, as it is: in no case does a browser make more of it than text.
SANDBOX = "default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer in one piece, which is small."""

    body: bytes
    status: int = 200
    type: str = HTML
    policy: str = SANDBOX
    headers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Download:
    """The first ``size`` bytes of an open ``file``, whatever it becomes meanwhile."""

    file: t.BinaryIO
    size: int
    type: str
    name: str
    attached: bool = False


class Event(t.NamedTuple):
    """Something that has changed: its kind, what a script makes of it, and a place to go on at."""

    kind: str
    data: t.Mapping[str, t.Any]
    id: str = ""


class Events(t.Protocol):
    """What changes while somebody looks."""

    def poll(self) -> list[Event] | None:
        """Return what has changed since the last time; None if nothing will any more.

        Asked in a thread, once a second. Raises EngineError and OSError.
        """


Answer: t.TypeAlias = "Response | Download | Events"


def head(
    status: int, kind: str, policy: str, size: int | None, more: t.Mapping[str, str] | None = None
) -> bytes:
    """Return the head of an answer, its empty line included."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Odd"
    headers = {"Content-Type": kind, "Content-Security-Policy": policy, **_ALWAYS, **(more or {})}
    if size is not None:
        headers["Content-Length"] = str(size)
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", errors="replace")


def encode_event(event: Event) -> bytes:
    """Return an event as it goes over the wire: JSON has no line ends in it."""
    number = f"id: {event.id}\n" if event.id else ""
    return f"event: {event.kind}\n{number}data: {json.dumps(event.data)}\n\n".encode()


def disposition(name: str, *, attached: bool) -> str:
    """Return what a browser is told of the name of a file, whatever that is."""
    how = "attachment" if attached else "inline"
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_"
                    for each in name)  # fmt: skip
    return f'{how}; filename="{plain[:150]}"'
