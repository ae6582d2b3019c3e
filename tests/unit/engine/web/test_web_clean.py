# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of others loses what terminals, browsers and eyes would stumble over, and nothing else."""

from __future__ import annotations

import time

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.clean import clean, decode


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\ttext\n", "plain\ttext\n"),
        (b"\x1b[31;1mred\x1b[0m", "red"),
        (b"\x1b]0;a title\x07after", "after"),
        (b"\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b(Bx\x1bcy", "xy"),
        (b"1 %\r2 %\r\n", "1 %\n2 %\n"),
        (b"a\x00b\x08c\x7f", "a\ufffdb\ufffdc\ufffd"),
        (b"\xff\xfe caf\xc3\xa9", "\ufffd\ufffd café"),
        ("\u202egnp.exe\u2066".encode(), "\ufffdgnp.exe\ufffd"),
        (b"\x1b[" + b"1" * 100 + b"m", "1" * 100 + "m"),
        (b"\x1b", "\ufffd"),
        (b"<b>&amp;</b>", "<b>&amp;</b>"),
    ],
)
def test_what_is_left(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_surrogates_are_no_text() -> None:
    assert clean("\ud800x").encode() == "\ufffdx".encode()


@pytest.mark.parametrize("piece", ["\x1b[", "\x1b]", "\x1b[1;", "\r", "\u202e", "\x1b]x\x1b"])
def test_no_text_takes_long(piece: str) -> None:
    began = time.perf_counter()
    clean(piece * 100_000)
    assert time.perf_counter() - began < 2
