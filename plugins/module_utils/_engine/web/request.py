# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a browser asks for: the head of an HTTP request, read as something that may be anything."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import urllib.parse

from ..errors import EngineError

# Bytes of the head, as the reader limits them, and its lines.
LONGEST_HEAD = 16 << 10
_MOST_LINES = 100

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[!-~]*")
_VERSION = re.compile(r"HTTP/1\.[01]")


class RequestError(EngineError):
    """A request that is not answered as it wishes: the ``status`` of HTTP says why."""

    culprit = "none"
    temporary = False

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Request:
    """A request: ``path`` are the parts of its path, decoded, ``query`` the last value of each."""

    method: str
    path: tuple[str, ...]
    query: t.Mapping[str, str]
    headers: t.Mapping[str, str]

    def number(self, name: str, default: int = 0) -> int:
        """Return the number that the query has for ``name``. Raises RequestError for another."""
        value = self.query.get(name, "")
        if not value:
            return default
        if not re.fullmatch(r"-?[0-9]{1,15}", value):
            raise RequestError(400, f"{name} is a number, and not {value[:40]!r}")
        return int(value)


def parse(head: bytes) -> Request:
    """Return the request with this head, up to its empty line. Raises RequestError."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]) or not _VERSION.fullmatch(words[2]):
        raise RequestError(400, "this is no request of HTTP/1.1")
    if words[0] not in ("GET", "HEAD"):
        raise RequestError(405, "this page is for looking only: GET and HEAD")
    if not _TARGET.fullmatch(words[1]):
        raise RequestError(400, "the address begins with a slash, and has printable letters only")
    if len(lines) > _MOST_LINES:
        raise RequestError(431, "the request has too many headers")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not line:
            continue
        if not colon or not _TOKEN.fullmatch(name):
            raise RequestError(400, "a header is a name, a colon and a value")
        if name.lower() == "host" and "host" in headers:
            raise RequestError(400, "a request has one host")
        headers[name.lower()] = value.strip(" \t")
    path, _mark, query = words[1].partition("?")
    return Request(words[0], _parts(path), _query(query), headers)


def _parts(path: str) -> tuple[str, ...]:
    parts = tuple(urllib.parse.unquote(part, errors="strict") for part in _checked(path)[1:])
    # Not a way out: those who open files look again.
    if any(part in (".", "..") or "/" in part or "\0" in part for part in parts):
        raise RequestError(404, "there is no such page")
    return parts


def _checked(path: str) -> list[str]:
    try:
        urllib.parse.unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise RequestError(400, "the address is not UTF-8") from None
    return path.split("/")


def _query(query: str) -> dict[str, str]:
    try:
        return dict(urllib.parse.parse_qsl(query, max_num_fields=30))
    except ValueError:
        raise RequestError(400, "the address asks for too much at once") from None
