# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The serializer: byte for byte what libbutl writes."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
    SerializationError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.writer import (
    Serializer,
    Style,
    serialize,
)
from hypothesis import given, settings
from hypothesis import strategies as st

START, END = ("", "1"), ("", "")

# Pairs between start and end, and the text behind the version line; new style.
WRITTEN = {
    "S01 simple": ([("id", "a b")], "id: a b\n"),
    "S05 empty": ([("id", "")], "id:\n"),
    "S06 leading blank": ([("id", " a")], "id:\n\\\n a\n\\\n"),
    "S06 trailing blank": ([("id", "a ")], "id:\n\\\na \n\\\n"),
    "S07 trailing tab": ([("id", "a\t")], "id:\n\\\na\t\n\\\n"),
    "S08 final newline": ([("log", "x\n")], "log:\n\\\nx\n\n\\\n"),
    "S10 line ends": ([("log", "a\r\nb\rc")], "log:\n\\\na\nb\nc\n\\\n"),
    "S12 backslash": ([("log", "\\")], "log: \\\\\n"),
    "S14 backslash in a block": ([("log", "a\n\\\nb")], "log:\n\\\na\n\\\\\nb\n\\\n"),
    "S15 37-character name": ([("n" * 37, "v")], "n" * 37 + ": v\n"),
    "S16 38-character name": ([("n" * 38, "v")], "n" * 38 + ":\n\\\nv\n\\\n"),
    "S17 fits": ([("k", "w" * 75)], f"k: {'w' * 75}\n"),
    "S18 broken": ([("k", "w" * 76)], f"k: {'w' * 74}\\\nww\n"),
    "S19 soft break": (
        [("k", "a" * 60 + " " + "b" * 30)],
        f"k: {'a' * 60}\\\n {'b' * 30}\n",
    ),
    "S20 hard break": (
        [("k", "a" * 40 + " " + "b" * 60)],
        f"k: {'a' * 40} {'b' * 33}\\\n{'b' * 27}\n",
    ),
    "S21 no break after a backslash": (
        [("k", "w" * 73 + "\\" + "xyz")],
        f"k: {'w' * 73}\\x\\\nyz\n",
    ),
    "block lines begin at 0": ([("k", "w" * 79 + "\n")], f"k:\n\\\n{'w' * 77}\\\nww\n\n\\\n"),
    "code points count": ([("k", "д" * 74 + "д")], f"k: {'д' * 74}\\\nд\n"),
}

REFUSED = {
    "S22 no version": ([("id", "x")], "format version pair expected"),
    "S23 version 2": ([("", "2")], "unsupported format version 2"),
    "S24 blank": ([START, ("a b", "x")], "name contains whitespace"),
    "S24 newline": ([START, ("a\rb", "x")], "name contains whitespace"),
    "S24 hash": ([START, ("#a", "x")], "name starts with '#'"),
    "S24 colon": ([START, ("a:b", "x")], "name contains ':'"),
    "S25 name": ([START, ("a\x01", "x")], "invalid name: invalid Unicode codepoint (control)"),
    "S25 value": ([START, ("a", "\u200b")], "invalid value: invalid Unicode codepoint (format)"),
    "S25 surrogate": (
        [START, ("a", "\ud800")],
        "invalid value: invalid UTF-8 sequence second byte (0xA0)",
    ),
    "S26 after the end": ([START, END, END, START], "serialization after eos"),
}


def write(pairs: list[tuple[str, str]], style: Style = "new") -> str:
    serializer = Serializer(style=style, name="out")
    for name, value in pairs:
        serializer.next(name, value)
    return serializer.text()


@pytest.mark.parametrize("case", WRITTEN)
def test_writes(case: str) -> None:
    pairs, expected = WRITTEN[case]
    assert write([START, *pairs, END, END]) == ": 1\n" + expected
    manifest = Manifest(pairs)
    assert serialize(manifest, style="new") == serialize([manifest], style="new")
    assert serialize([manifest], style="new") == ": 1\n" + expected


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    pairs, description = REFUSED[case]
    with pytest.raises(SerializationError) as caught:
        write(pairs)
    assert str(caught.value) == f"out: error: {description}"


def test_streams() -> None:
    assert write([START, END, END]) == write([START, END]) == ": 1\n"
    assert write([END]) == serialize([]) == ""
    assert write([START, ("a", "b"), START, END]) == ": 1\na: b\n:\n"
    assert serialize([Manifest([("a", "b")]), Manifest([("c", "d")])]) == ": 1\na: b\n:\nc: d\n"


def test_old_style_is_the_default() -> None:
    assert serialize([Manifest([("log", "a\nb")])]) == ": 1\nlog:\\\na\nb\n\\\n"
    with pytest.raises(ValueError, match="choose 'old' or 'new'"):
        serialize([], style="odd")  # type: ignore[arg-type]


def test_long_lines_are_left_alone() -> None:
    assert serialize([Manifest([("k", "w " * 100 + "w")])], long_lines=True).count("\n") == 2


def test_empty_names_do_not_end_manifests() -> None:
    with pytest.raises(SerializationError, match="empty name"):
        serialize([Manifest([("", "")])])


def test_comments() -> None:
    serializer = Serializer()
    serializer.comment("made by hand")
    serializer.comment("")
    assert serializer.text() == "# made by hand\n#\n"
    with pytest.raises(SerializationError, match="invalid comment"):
        serializer.comment("\x1b")
    serializer.next("", "")
    with pytest.raises(SerializationError, match="after eos"):
        serializer.comment("late")


GRAPHIC = st.characters(
    exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn"), max_codepoint=0x2FFFD
) | st.sampled_from("\\ \t;")
NAMES = st.text(GRAPHIC.filter(lambda char: char not in " \t:"), min_size=1, max_size=45).filter(
    lambda name: not name.startswith("#")
)
VALUES = st.lists(
    st.text(GRAPHIC | st.just("\n"), max_size=40)
    | st.sampled_from(["w" * 77, "\\\n", "\n\\\n", "\\", " ", "\n"]),
    max_size=6,
).map("".join)
MANIFESTS = st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=4).map(Manifest), max_size=3)


@settings(deadline=None)
@given(MANIFESTS, st.booleans(), st.sampled_from(["old", "new"]))
def test_what_is_written_is_read(manifests: list[Manifest], long_lines: bool, style: Style) -> None:
    text = serialize(manifests, long_lines, style)
    assert parse(text) == manifests
    assert parse(text.replace("\n", "\r\n")) == manifests
    if not long_lines:
        values = [line for line in text.split("\n") if "\\\\" not in line and ":" not in line]
        assert all(len(line) <= 78 for line in values)
