# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parser: byte for byte what libbutl makes of the same text."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    ParseLimits,
    parse,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

# Pairs of the manifests, by the number of the case in our protocol notes.
ACCEPTED = {
    "P01 nothing": (b"", []),
    "P02 blank lines": (b"  \t\n\n", []),
    "P03 comments": (b"# a\n  # b", []),
    "P12 empty manifest": (b": 1\n", [[]]),
    "P14 blanks around": (b": 1\nid: a b \t \n", [[("id", "a b")]]),
    "P15 colons in the value": (b": 1\nid: a:b: c\n", [[("id", "a:b: c")]]),
    "P16 no comment in a value": (b": 1\nid: # x\n", [[("id", "# x")]]),
    "P17 comment between": (b": 1\n # id: x\n\nid:y", [[("id", "y")]]),
    "P18 repeated name": (b": 1\nid: a\nid: b\n", [[("id", "a"), ("id", "b")]]),
    "P19 two manifests": (b": 1\nid: a\n:\nid: b", [[("id", "a")], [("id", "b")]]),
    "P20 version again": (b": 1\nid: a\n : 1\nid: b", [[("id", "a")], [("id", "b")]]),
    "P21 blank before colon": (b": 1\n id\t :x\n", [[("id", "x")]]),
    "P22 joined": (b": 1\nlog: a\\\nb\n", [[("log", "ab")]]),
    "P23 joined blanks": (b": 1\nlog: a\\\n  b\n", [[("log", "a  b")]]),
    "P24 joined hash": (b": 1\nid: a\\\n# c\n", [[("id", "a# c")]]),
    "P25 escaped backslash": (b": 1\nid: a\\\\\nx: y", [[("id", "a\\"), ("x", "y")]]),
    "P26 lone backslash at the end": (b":1\na:x\\", [[("a", "x")]]),
    "two backslashes at the end": (b":1\na:x\\\\", [[("a", "x\\")]]),
    "P27 inner backslashes": (b": 1\nid: C:\\a\\\\b\n", [[("id", "C:\\a\\\\b")]]),
    "P28 newline": (b": 1\nlog: a\\\n\\\nb\n", [[("log", "a\nb")]]),
    "newline kept when trimming": (b": 1\nlog: a\\\n\\\n  \n", [[("log", "a\n")]]),
    "newline then joined": (b": 1\nlog: a\\\n\\\n\\\nb\n", [[("log", "a\nb")]]),
    "newline at the end": (b": 1\nlog: a\\\n\\", [[("log", "a\n")]]),
    "P30 old block": (b": 1\nlog: \\\none\n\\\n", [[("log", "one")]]),
    "P31 old block without blank": (b": 1\nlog:\\\n a\n#b\n\\\n", [[("log", " a\n#b")]]),
    "P32 empty block": (b": 1\nlog:\n\\\n\\\nid: q\n", [[("log", ""), ("id", "q")]]),
    "P33 one blank line": (b": 1\nlog:\n\\\n\n\\\n", [[("log", "")]]),
    "P34 two blank lines": (b": 1\nlog:\n\\\n\n\n\\\n", [[("log", "\n")]]),
    "P35 old block at the end": (b": 1\nlog:\\", [[("log", "")]]),
    "P36 block at the end": (b": 1\nlog:\n\\", [[("log", "")]]),
    "P37 unterminated block": (b": 1\nlog:\n\\\na\n", [[("log", "a\n")]]),
    "P38 joined in a block": (
        b": 1\nlog:\n\\\nlong \\\nline\n\\\\x\n\\\n",
        [[("log", "long line\n\\\\x")]],
    ),
    "P39 escaped terminator": (b": 1\nlog:\n\\\na\n\\\\\n\\\n", [[("log", "a\n\\")]]),
    "P40 no terminator": (b": 1\nlog:\n\\\nx\n\\ \ny\n\\\n", [[("log", "x\n\\ \ny")]]),
    "terminator after a join": (b": 1\nlog:\n\\\nx\\\n\\\nid: y", [[("log", "x"), ("id", "y")]]),
    "P42 no block": (b": 1\nlog:\nid: a\n", [[("log", ""), ("id", "a")]]),
    "P44 CRLF": (b": 1\r\nid: a\r\n", [[("id", "a")]]),
    "P45 CR": (b": 1\rid: a\r\r\r\nb: c\r", [[("id", "a"), ("b", "c")]]),
    "CRLF in a block": (b": 1\r\nlog:\\\r\na\r\nb\r\n\\\r\n", [[("log", "a\nb")]]),
    "P46 UTF-8": (b": 1\nid: \xd0\xb4\xd0\xb0\n", [[("id", "да")]]),
    "P54 version in a block": (b":\n\\\n1\n\\\nid: a\n", [[("id", "a")]]),
}

REJECTED = {
    "P04 no version pair": (b"id: x\n", "1:1", "format version pair expected"),
    "value first": (b"id: \x01\n", "1:5", "invalid manifest: invalid Unicode codepoint (control)"),
    "P05 no version": (b":\nid: x", "1:2", "format version value expected"),
    "P06 version 2": (b": 2\n", "1:3", "unsupported format version 2"),
    "P07 more than a version": (b": 1 2\n", "1:3", "unsupported format version 1 2"),
    "version 2 later": (b": 1\n: 2", "2:3", "unsupported format version 2"),
    "P08 name only": (b": 1\nid", "2:3", "':' expected after name"),
    "P09 two names": (b": 1\nid x: y", "2:4", "':' expected after name"),
    "P10 name and newline": (b": 1\nid\n: x", "2:3", "':' expected after name"),
    "indented block": (b": 1\nid:\n \\\nx\n\\\n", "3:3", "':' expected after name"),
    "P47 bad name begins": (
        b": 1\n\x01: x\n",
        "2:1",
        "invalid manifest: invalid Unicode codepoint (control)",
    ),
    "P48 bad name": (
        b": 1\n\xd0\xb4\x01: x\n",
        "2:2",
        "invalid manifest name: invalid Unicode codepoint (control)",
    ),
    "P50 format": (
        b": 1\nid: \xc2\xad\n",
        "2:5",
        "invalid manifest value: invalid Unicode codepoint (format)",
    ),
    "P52 end": (b": 1\nid: \xd0", "2:5", "invalid manifest value: unexpected end of stream"),
    "byte order mark": (
        b"\xef\xbb\xbf: 1\n",
        "1:1",
        "invalid manifest name: invalid Unicode codepoint (format)",
    ),
    "private use": (
        b": 1\na: b\xee\x80\x80",
        "2:5",
        "invalid manifest value: invalid Unicode codepoint (private-use)",
    ),
    "noncharacter": (
        b": 1\na: b\xef\xbf\xbf",
        "2:5",
        "invalid manifest value: invalid Unicode codepoint (noncharacter)",
    ),
    "reserved": (
        b": 1\na: b\xf3\xa0\x82\x80",
        "2:5",
        "invalid manifest value: invalid Unicode codepoint (reserved)",
    ),
    "surrogate": (
        b": 1\na: b\xed\xa0\x80",
        "2:5",
        "invalid manifest value: invalid UTF-8 sequence second byte (0xA0)",
    ),
    "printable": (
        b": 1\na: b\xe2\x82A",
        "2:5",
        "invalid manifest value: invalid UTF-8 sequence third byte (0x41 'A')",
    ),
    "fourth": (
        b": 1\na: b\xf0\x90\x80\r",
        "2:5",
        "invalid manifest value: invalid UTF-8 sequence forth byte (0x0D)",
    ),
    "five bytes": (b": 1\n#\xf8", "2:2", "invalid manifest: 5-byte length UTF-8 sequence"),
    "six bytes": (b": 1\n#\xfc", "2:2", "invalid manifest: 6-byte length UTF-8 sequence"),
    "no first byte": (
        b": 1\n#\xff",
        "2:2",
        "invalid manifest: invalid UTF-8 sequence first byte (0xFF)",
    ),
    "over-long": (
        b": 1\nid: x\n\xc0",
        "3:1",
        "invalid manifest: invalid UTF-8 sequence first byte (0xC0)",
    ),
    "bad block introducer": (
        b": 1\nid:\n\\\x1b",
        "3:2",
        "invalid manifest value: invalid Unicode codepoint (control)",
    ),
    "bad block": (
        b": 1\nid:\\\nab\x1b[0m\n\\\n",
        "3:3",
        "invalid manifest value: invalid Unicode codepoint (control)",
    ),
    "bad comment": (
        b": 1\n# \xe2\x82",
        "2:3",
        "invalid manifest: unexpected end of stream",
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(case: str) -> None:
    text, expected = ACCEPTED[case]
    manifests = parse(text)
    assert [[(pair.name, pair.value) for pair in each] for each in manifests] == expected


@pytest.mark.parametrize("case", REJECTED)
def test_rejects(case: str) -> None:
    text, place, description = REJECTED[case]
    with pytest.raises(ManifestError) as caught:
        parse(text, "in")
    assert str(caught.value) == f"in:{place}: error: {description}"
    assert caught.value.description == description


def test_places_of_pairs() -> None:
    manifests = parse(": 1\nid: a b \t \n  дa:\tx\nlog:\\\none\n\\\n: 1\n", "in")
    places = [
        (pair.name_line, pair.name_column, pair.value_line, pair.value_column)
        for pair in manifests[0]
    ]
    assert places == [(2, 1, 2, 5), (3, 3, 3, 7), (4, 1, 5, 1)]
    start, end = manifests[1].start, manifests[0].end
    assert (start.name_line, start.name_column, start.value_column) == (7, 1, 3)
    assert (end.value_line, end.value_column) == (7, 1)
    assert (manifests.end.name_line, manifests.end.name_column) == (8, 1)
    assert manifests.source == manifests[0].source == "in"


def test_text_is_read_like_its_bytes() -> None:
    assert parse(": 1\nid: д\n") == parse(b": 1\nid: \xd0\xb4\n")
    with pytest.raises(ManifestError, match=r"^<stdin>:2:4: error: invalid manifest value: .*0xA0"):
        parse(": 1\na: \ud800")


def test_error_without_a_place() -> None:
    assert str(ManifestError("task.yml", 0, 0, "bad")) == "task.yml: error: bad"
    assert str(ManifestError("", 0, 0, "bad")) == "error: bad"


PIECES = [b":", b"1", b" ", b"\n", b"\r", b"\\", b"\\\n", b"id", b"#", b"x: ", b": 1\n", b"\n:\n"]


# The examples take seconds if anything takes quadratic time.
@settings(deadline=None)
@given(st.binary() | st.lists(st.sampled_from(PIECES)).map(b"".join))
@example(b": 1\na:\\\n" + b"\\" * 100_000 + b"x")
@example(b": 1\n" + b" " * 100_000 + b"x")
@example(b": 1\na: " + b" " * 100_000 + b"x" + b" " * 100_000 + b"y")
def test_any_bytes_are_read_or_rejected(data: bytes) -> None:
    for text in (data, b": 1\n" + data, b": 1\nlog:\\\n" + data):
        try:
            manifests = parse(text)
        except ManifestError as error:
            assert error.line >= 1
            assert error.column >= 1
        else:
            assert all("\r" not in pair.value for each in manifests for pair in each)


@pytest.mark.parametrize(
    ("text", "limits", "error"),
    [
        (b": 1\na: b\n", ParseLimits(1, 2), ""),
        (b": 1\na: b\na:\n", ParseLimits(1, 2), "3:1: error: more than 2 pairs are not read"),
        (b": 1\n:\n", ParseLimits(1), "2:1: error: more than 1 manifests are not read"),
        (b": 1\n:\n", ParseLimits(2), ""),
        (b": 1\n" + b"a:\n" * 3_000_000, ParseLimits(), "more than 10000 pairs"),
        (b": 1\n" + b":\n" * 5_000_000, ParseLimits(), "more than 1 manifests"),
        (b": 1\n" + b":\n" * 5_000_000, ParseLimits(9, 99), "more than 9 manifests"),
        (b"", ParseLimits(0, 0), ""),
    ],
)
def test_limits(text: bytes, limits: ParseLimits, error: str) -> None:
    if error:
        with pytest.raises(ManifestError, match=error):
            parse(text, "", limits)
    else:
        assert parse(text, "", limits) == parse(text, "")
