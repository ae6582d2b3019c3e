# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests are read as what anybody may send."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.request import (
    Request,
    RequestError,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st

HOST = b"Host: x\r\n"


def test_a_request() -> None:
    found = parse(b"GET /task/7/log/a%20b.log?at=-1&q=%3Cb%3E HTTP/1.1\r\nHOST: x:8090\r\nA: b")
    assert found.path == ("task", "7", "log", "a b.log")
    assert (found.query, found.number("at")) == ({"at": "-1", "q": "<b>"}, -1)
    assert found.headers == {"host": "x:8090", "a": "b"}
    assert found.number("missing", 5) == 5


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", 400),
        (b"GET /", 400),
        (b"GET / HTTP/2.0", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET http://x/ HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /%ff HTTP/1.1", 400),
        (b"POST / HTTP/1.1", 405),
        (b"DELETE /task/1 HTTP/1.1", 405),
        (b"get / HTTP/1.1", 405),
        (b"GET / HTTP/1.1\r\nno colon", 400),
        (b"GET / HTTP/1.1\r\n folded: x", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b", 400),
        (b"GET / HTTP/1.1" + b"\r\nA: b" * 200, 431),
        (b"GET /../etc/passwd HTTP/1.1", 404),
        (b"GET /task/1/raw/%2e%2e HTTP/1.1", 404),
        (b"GET /task/1/raw/a%2fb HTTP/1.1", 404),
        (b"GET /task/1/raw/a%00b HTTP/1.1", 404),
        (b"GET /?" + b"a=1&" * 50 + b" HTTP/1.1", 400),
    ],
)
def test_what_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse(head)
    assert caught.value.status == status


@pytest.mark.parametrize("value", ["x", "1e3", "٣", "1" * 16, "--1"])
def test_what_is_no_number(value: str) -> None:
    with pytest.raises(RequestError):
        Request("GET", (), {"at": value}, {}).number("at")


@given(st.binary(max_size=300))
def test_nothing_else_is_raised(data: bytes) -> None:
    for head in (data, b"GET /" + data + b" HTTP/1.1", b"GET / HTTP/1.1\r\n" + data):
        try:
            parse(head)
        except RequestError:
            continue
