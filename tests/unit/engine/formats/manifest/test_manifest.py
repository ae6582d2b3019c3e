# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests in memory, values with comments, base64."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats import base64 as _base64
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.comment import (
    merge_comment,
    split_comment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
    Pair,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def items(manifest: Manifest) -> list[tuple[str, str]]:
    return [(pair.name, pair.value) for pair in manifest]


@pytest.fixture
def manifest() -> Manifest:
    return Manifest([("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")])


def test_lookup(manifest: Manifest) -> None:
    assert manifest.get("a") == "1"
    assert manifest.get("x") is None
    assert manifest.get("x", "y") == "y"
    assert manifest.getall("a") == ["1", "3"]
    assert manifest.names() == ["a", "b", "c"]
    assert "b" in manifest
    assert "x" not in manifest
    assert len(manifest) == 4


def test_changes(manifest: Manifest) -> None:
    copy = manifest.copy()
    manifest.set("a", "5")
    assert items(manifest) == [("a", "5"), ("b", "2"), ("c", "4")]
    manifest.replace("b", ["6", "7"])
    assert items(manifest) == [("a", "5"), ("b", "6"), ("b", "7"), ("c", "4")]
    assert manifest.remove("b") == 2
    assert manifest.remove("b") == 0
    manifest.replace("d", ["8"], after=["x", "a"])
    manifest.set("e", "9")
    manifest.append("a", "")
    assert items(manifest) == [("a", "5"), ("d", "8"), ("c", "4"), ("e", "9"), ("a", "")]
    assert len(copy) == 4


def test_equality_is_about_names_and_values() -> None:
    assert Manifest([Pair("a", "1", 2, 3, 4, 5)]) == Manifest([("a", "1")])
    assert Manifest([("a", "1")], "in") == Manifest([("a", "1")])
    assert Manifest([("a", "1")]) != Manifest([("a", "2")])
    assert Manifest() != []
    assert repr(Manifest([("a", "1")])) == "Manifest([('a', '1')])"


SPLITS = {
    "C01": ("v; c", ("v", "c")),
    "C02": (r"v \; x ; c", ("v ; x", "c")),
    "C03": (r"a\\; c", ("a\\", "c")),
    "C04": ("a;b;c", ("a", "b;c")),
    "C05": (r"C:\a", (r"C:\a", "")),
    "C06": ("l1\nl2\n;\nc1\nc2", ("l1\nl2", "c1\nc2")),
    "C07": (";\nc", ("", "c")),
    "C08": ("a\n\\;\nb", ("a\n;\nb", "")),
    "C09": ("a\n\\\\;\n\\\\\\;\n\\\\\\\\;", ("a\n\\;\n\\;\n\\\\;", "")),
}


@pytest.mark.parametrize("case", SPLITS)
def test_split_comment(case: str) -> None:
    value, expected = SPLITS[case]
    assert split_comment(value) == expected


def test_merge_comment() -> None:
    assert merge_comment("a;b", "c") == r"a\;b; c"
    assert merge_comment("a\\b", "") == "a\\\\b"
    assert merge_comment("x\n;\ny", "c") == "x\n\\;\ny\n;\nc"
    assert merge_comment("\\;\n", "") == "\\\\;\n"
    assert merge_comment("", "a\nb") == ";\na\nb"


TEXT = st.text(st.sampled_from(";\\a \n"))


@settings(deadline=None)
@given(TEXT, TEXT)
def test_comments_come_back(value: str, comment: str) -> None:
    if "\n" not in value + comment:
        value, comment = value.strip(), comment.strip()
    elif "\n" not in merge_comment(value, comment):
        return  # A newline in neither half that is kept: the single-line rules apply.
    assert split_comment(merge_comment(value, comment)) == (value, comment)


def test_base64_lines() -> None:
    lines = _base64.encode(bytes(256)).split("\n")
    assert [len(line) for line in lines] == [76, 76, 76, 76, 40]
    assert _base64.encode(b"") == ""


@pytest.mark.parametrize("text", ["QQ==\n", "Q", "QQ", "QQ=", "Q\nQ==", "QQ==QQ==", "QU-D", "é"])
def test_base64_rejects(text: str) -> None:
    with pytest.raises(ValueError, match="invalid input"):
        _base64.decode(text)


def test_base64_newlines_between_groups() -> None:
    assert _base64.decode("\nQUJD\n\nREVG\n") == b"ABCDEF"


@settings(deadline=None)
@given(st.binary())
def test_base64_comes_back(data: bytes) -> None:
    assert _base64.decode(_base64.encode(data)) == data
