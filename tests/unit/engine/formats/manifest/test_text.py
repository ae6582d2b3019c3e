# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs made fit for a manifest."""

from __future__ import annotations

import re

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.text import (
    cap,
    sanitize,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.writer import (
    serialize,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

SANITIZED = {
    "plain": (b"a\tb\n", "a\tb\n"),
    "UTF-8": ("д😀".encode(), "д😀"),
    "ill-formed": (b"a\xffb\xe2\x82c", "a\ufffdb\ufffdc"),
    "colours": (b"\x1b[1;31merror:\x1b[0m x\x1b[K\n", "error: x\n"),
    "title": (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
    "unfinished title": (b"\x1b]0;title\nnext", "\u241b]0;title\nnext"),
    "other escapes": (b"\x1b(B\x1b=\x1bMa", "a"),
    "8-bit colours": ("\x9b31ma".encode(), "a"),
    "CRLF": (b"a\r\nb\r\r\n", "a\nb\n"),
    "progress": (b"10%\r50%\r100%\ndone", "100%\ndone"),
    "progress that ends with CR": (b"10%\r100%\r\r", "100%"),
    "progress by cursor": (b"10%\x1b[1G20%\x1b[G30%\n", "30%\n"),
    "backspaces": (b"ab\bc\b\b\b\bd\ne\b", "d\n"),
    "controls": (b"\x00\x07\x1b\x7f", "\u2400\u2407\u241b\u2421"),
    "invisible": ("\ufeffa\u200bb\ue000".encode(), "\ufffda\ufffdb\ufffd"),
}


@pytest.mark.parametrize("case", SANITIZED)
def test_sanitize(case: str) -> None:
    data, expected = SANITIZED[case]
    assert sanitize(data) == expected


NOISE = st.lists(st.sampled_from([b"\x1b", b"[", b"m", b"\r", b"\b", b"]", b"\n", b"a"])).map(
    b"".join
)


# The examples take seconds if anything takes quadratic time.
@settings(deadline=None)
@given(st.binary() | NOISE)
@example(b"\x1b]" * 100_000)
@example("\x9d".encode() * 100_000)
@example(b"\r" * 100_000 + b"x")
@example(b"x\b" * 100_000)
def test_any_log_fits_a_manifest(data: bytes) -> None:
    manifest = Manifest([("log", sanitize(data))])
    assert parse(serialize([manifest])) == [manifest]


def test_short_texts_are_not_cut() -> None:
    assert cap("x" * 256, 256) == "x" * 256


def test_cut_between_lines() -> None:
    lines = [f"line {number}\n" for number in range(1000)]
    text = cap("".join(lines), 1000)
    head, note, *tail = text.split("\n[")[0], *text.split("\n[")[1].split("\n")
    assert head.startswith("line 0\nline 1\n")
    assert head.split("\n")[-1] + "\n" in lines
    assert tail[0] + "\n" in lines
    assert tail[-2:] == ["line 999", ""]
    kept = len(head.encode()) + len("\n".join(tail).encode())
    assert note.startswith(f"{len(''.join(lines)) - kept} bytes with ")
    assert len(text.encode()) <= 1000


@settings(deadline=None)
@given(st.text(st.sampled_from("a\nд😀"), min_size=100, max_size=2000), st.integers(256, 3000))
def test_cut_text_keeps_to_the_limit(text: str, limit: int) -> None:
    short = cap(text, limit)
    assert len(short.encode()) <= limit
    if len(text.encode()) <= limit:
        assert short == text
    else:
        head, tail = re.split(r"\n\[\d+ bytes with \d+ line ends cut out here: .*\]\n", short)
        assert head
        assert tail
        assert text.startswith(head)
        assert text.endswith(tail)


def test_senseless_limit() -> None:
    with pytest.raises(ValueError, match="at least 256"):
        cap("", 255)
