# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Standard versions: what libbutl says about the same texts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.version import (
    LATEST_SN,
    StandardVersion,
    StandardVersionError,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st


def parse(text: str) -> StandardVersion:
    return StandardVersion.parse(text, allow_earliest=True, allow_stub=True)


@pytest.mark.parametrize(
    ("text", "number", "sn"),
    [
        ("1.2.3", "0000100002000030000", 0),
        ("0.1.0", "0000000001000000000", 0),
        ("1.2.0-a.1", "0000100001999990010", 0),
        ("1.2.0-b.1", "0000100001999995010", 0),
        ("2.0.0-a.1", "0000199999999990010", 0),
        ("1.2.0-a.0.20230101120000.1a2b3c4d5e6f", "0000100001999990001", 20230101120000),
        ("1.2.0-a.0.z", "0000100001999990001", LATEST_SN),
        ("1.2.0-b.2.77", "0000100001999995021", 77),
        ("1.2.0-", "0000100001999990001", 0),
        ("1.2.0+3", "0000100002000000000", 0),
        ("+2-1.2.0", "0000100002000000000", 0),
        ("0+1", "18446744073709551615", 0),
        ("0.17.0-a.0.1675069119.6c1cbb47f01bd6c5", "0000000016999990001", 1675069119),
        ("1.2.3-a.499", "0000100002000024990", 0),
        ("99999.99999.99999", "9999999999999990000", 0),
        ("+65535-1.0.0", "0000100000000000000", 0),
    ],
)
def test_numbers(text: str, number: str, sn: int) -> None:
    version = parse(text)
    assert version.number == int(number)
    assert version.snapshot_sn == sn
    assert str(version) == text


def test_order() -> None:
    chain = [
        "1.2.0-",
        "1.2.0-a.0.1",
        "1.2.0-a.0.2.zzz",
        "1.2.0-a.0.z",
        "1.2.0-a.1",
        "1.2.0-a.1.5",
        "1.2.0-a.2",
        "1.2.0-b.0.1",
        "1.2.0-b.1",
        "1.2.0",
        "1.2.0+1",
        "1.2.1-a.1",
        "1.2.1",
        "+2-0.1.0",
    ]
    versions = list(map(parse, chain))
    assert all(low < high for low, high in pairwise(versions))
    assert sorted(reversed(versions)) == versions


def test_the_snapshot_id_does_not_count() -> None:
    assert parse("1.2.3-a.1.2.xy") == parse("1.2.3-a.1.2")
    assert parse("1.2.0-a.1.9") == parse("1.2.0-a.1.9.abc")
    assert hash(parse("1.2.0-a.1.9")) == hash(parse("1.2.0-a.1.9.abc"))
    assert parse("1.2.3") != "1.2.3"


@pytest.mark.parametrize(
    ("text", "project", "project_id", "version", "pre_release", "snapshot"),
    [
        ("+2-1.2.3+4", "1.2.3", "1.2.3", "1.2.3", "", ""),
        ("1.2.3-b.4", "1.2.3-b.4", "1.2.3-b.4", "1.2.3-b.4", "b.4", ""),
        ("1.2.3-", "1.2.3-", "1.2.3-", "1.2.3-", "", ""),
        ("1.2.3-a.1.5.ab", "1.2.3-a.1.5.ab", "1.2.3-a.1.ab", "1.2.3-a.1.", "a.1", "5.ab"),
        ("1.2.3-a.1.5", "1.2.3-a.1.5", "1.2.3-a.1.5", "1.2.3-a.1.", "a.1", "5"),
        ("1.2.3-a.0.z", "1.2.3-a.0.z", "1.2.3-a.0.z", "1.2.3-a.0.", "a.0", "z"),
        ("0+1", "0", "0", "0", "", ""),
    ],
)
def test_strings(
    text: str, project: str, project_id: str, version: str, pre_release: str, snapshot: str
) -> None:
    parsed = parse(text)
    assert parsed.string_project() == project
    assert parsed.string_project_id() == project_id
    assert parsed.string_version() == version
    assert parsed.string_pre_release() == pre_release
    assert parsed.string_snapshot() == snapshot


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("1.2.3", {"release", "final"}),
        ("1.2.3-a.1", {"final"}),
        ("1.2.3-b.1", {"final"}),
        ("1.2.3-a.1.5", {"snapshot"}),
        ("1.2.3-b.0.z", {"snapshot", "latest_snapshot"}),
        ("1.2.3-", {"final", "earliest"}),
        ("0", {"stub"}),
    ],
)
def test_predicates(text: str, true: set[str]) -> None:
    names = ["release", "final", "snapshot", "latest_snapshot", "earliest", "stub"]
    assert {name for name in names if getattr(parse(text), name)} == true


def test_parts() -> None:
    version = parse("+3-1.20.300-b.4.5.id+6")
    assert (version.epoch, version.revision, version.snapshot_id) == (3, 6, "id")
    assert (version.major, version.minor, version.patch) == (1, 20, 300)
    assert (version.pre_release, version.alpha, version.beta) == (504, None, 4)
    assert (parse("1.2.3-a.4").alpha, parse("1.2.3-a.4").beta) == (4, None)
    assert (parse("1.2.3").alpha, parse("1.2.3").pre_release) == (None, None)
    assert parse("1.2.3-").alpha == 0
    stub = parse("0")
    assert (stub.epoch, stub.major, stub.minor, stub.patch, stub.pre_release) == (0, 0, 0, 0, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "invalid major version"),
        ("x", "invalid major version"),
        ("-1.2.3", "invalid major version"),
        ("100000.0.0", "invalid major version"),
        ("1", "'.' expected after major version"),
        ("1.x", "invalid minor version"),
        ("1.+2.3", "invalid minor version"),
        ("1.2", "'.' expected after minor version"),
        ("1.2.", "invalid patch version"),
        ("0.0.0", "0.0.0 version"),
        ("1.2.3-c.1", "'a' or 'b' expected in pre-release"),
        ("1.2.0-", "'a' or 'b' expected in pre-release"),
        ("1.2.3-a", "'.' expected after pre-release letter"),
        ("1.2.3-a.500", "invalid pre-release"),
        ("1.2.3-a.0", "invalid final pre-release"),
        ("1.2.3-a.1.0", "invalid snapshot number"),
        ("1.2.0-a.1.18446744073709551615", "invalid snapshot number"),
        ("1.2.0-a.1.18446744073709551616", "invalid snapshot number"),
        ("1.2.3-a.1.5.", "invalid snapshot id"),
        ("1.2.3-a.1.5.01234567890123456", "invalid snapshot id"),
        ("1.2.3-a.0.z.id", "junk after version"),
        ("1.2.3+0", "invalid revision"),
        ("1.2.3+65536", "invalid revision"),
        ("1.2.3 ", "junk after version"),
        ("+0-1.2.3", "invalid epoch"),
        ("+65536-1.2.3", "invalid epoch"),
        ("+2", "'-' expected after epoch"),
        ("+2~1.2.3", "'-' expected after epoch"),
        ("0", "'.' expected after major version"),
        ("0+1", "'.' expected after major version"),
    ],
)
def test_rejects(text: str, reason: str) -> None:
    with pytest.raises(StandardVersionError) as caught:
        StandardVersion.parse(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", ["01.2.3", " 1.2.3", "1. 2.3", "1. +2.3"])
def test_numbers_are_read_as_c_reads_them(text: str) -> None:
    assert str(StandardVersion.parse(text)) == "1.2.3"


PIECES = ["+", "-", ".", "a", "b", "z", "0", "1", "499", "99999", " ", "1.2.3", "-a.1", "\0", "x"]


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
@example("1.2." + "0" * 5000 + "3")
@example("1.2." + "9" * 5000)
def test_any_text_is_read_or_rejected(text: str) -> None:
    try:
        version = parse(text)
    except StandardVersionError:
        return
    assert parse(str(version)) == version
