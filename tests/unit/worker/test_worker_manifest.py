# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's manifests agree with the engine's, whatever is in them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.unicode import (
    NON_GRAPHIC,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.writer import (
    serialize,
)
from bbot_worker.manifest import (
    FORBIDDEN,
    parse_manifests,
    serialize_manifest,
)
from bbot_worker.manifest import ManifestError as WorkerManifestError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

# Dense in what matters to the format.
texts = st.text(st.sampled_from("ab:#\\\\\\ \t\n\n\r;é€😀")) | st.text(
    st.characters(codec="utf-8")
).filter(lambda text: not NON_GRAPHIC.search(text))
names = st.text(st.sampled_from("abc-*#é"), min_size=1, max_size=50).filter(
    lambda name: not name.startswith("#")
)
pairs = st.lists(st.tuples(names, texts), max_size=6)


def as_pairs(data: bytes) -> list[list[tuple[str, str]]]:
    return [[(pair.name, pair.value) for pair in manifest] for manifest in parse(data)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: b", "b"),
        ("a:b # c", "b # c"),
        ("a:", ""),
        ("a: b\\\n  c\n", "b  c"),
        ("a: b\\\\\n", "b\\"),
        ("a: b\\\n\\\nc", "b\nc"),
        ("a:\\\n1\n2\n\\\n", "1\n2"),
        ("a: \\\n1\n\\\n", "1"),
        ("a:\n\\\n1\n2\n\\\n", "1\n2"),
        ("a:\\\n\\\n", ""),
        ("a:\\\n\n\n\\\n", "\n"),
        ("a:\\\nno end\n", "no end\n"),
        ("a:\\\n\\\\\n\\ \n# b\n\\", "\\\n\\ \n# b"),
        ("a: 1\r\r\nb: 2\r", "1"),
        ("# comment\n\n \ta : b \t", "b"),
    ],
)
def test_values_are_read_as_libbutl_does(text: str, value: str) -> None:
    data = f": 1\n{text}".encode()
    assert parse_manifests(data)[0][0] == ("a", value)
    assert parse_manifests(data) == as_pairs(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: b\n", "1: error: format version pair expected"),
        (b"\n:\n", "2: error: format version value expected"),
        (b": 2\n", "1: error: unsupported format version 2"),
        (b": 1\na b: c\n", "2: error: ':' expected after name"),
        (b": 1\nname\n", "2: error: ':' expected after name"),
        (b": 1\na: \xff\n", "2: error: invalid UTF-8: invalid start byte"),
        (b": 1\na: \x1b[0m\n", "2: error: invalid code point U+001B"),
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WorkerManifestError, match=f"^manifest:{message}$".replace("+", "[+]")):
        parse_manifests(data)
    with pytest.raises(ManifestError):
        parse(data)


@quick
@given(st.lists(pairs, max_size=3), st.booleans(), st.sampled_from(["old", "new"]))
def test_whatever_the_agent_writes_is_read(
    manifests: list[list[tuple[str, str]]],
    long_lines: bool,
    style: Literal["old", "new"],
) -> None:
    text = serialize(map(Manifest, manifests), long_lines=long_lines, style=style)
    assert parse_manifests(text.encode()) == as_pairs(text.encode())


@quick
@given(pairs)
def test_the_agent_reads_whatever_is_written(manifest: list[tuple[str, str]]) -> None:
    # Any line end in a value is a newline to the reader.
    expected = [(name, re.sub("\r+\n?", "\n", value)) for name, value in manifest]
    assert as_pairs(serialize_manifest(manifest)) == [expected]


# What the grammar is made of, so that each branch of both parsers is met within a few pieces.
PIECES = [
    *(":", ": 1\n", ":\n", ": 2\n", "\n: \n", ":1", "a", "b:", "name: value\n", "\u00e9\u20ac"),
    *(" ", "\t", "\n", "\r", "\r\n", "\r\r\n", "#", "# c\n", "  # c"),
    *(
        "\\",
        "\\\\",
        "\\\n",
        "\\\\\n",
        "\n\\\n",
        "\\\n\\\n",
        "\\ \n",
        "log:\\\n",
        "log:\n\\\n",
        "log: \\\n",
    ),
    *("\x00", "\x1b", "\x7f", "\u200b", "\ufeff", "\U0001f600", "\ue000"),
]
BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]


def dense_inputs(number: int) -> Iterator[bytes]:
    """That many streams, the same each time."""
    pick = random.Random(20261128)
    for count in range(number):
        data = ": 1\n" if pick.random() < 0.9 else ""
        data += "".join(pick.choices(PIECES[:31], k=pick.randint(0, 12)))
        if count % 8 == 0:
            data += pick.choice(PIECES) + "".join(pick.choices(PIECES, k=pick.randint(0, 3)))
        text = data.encode()
        if count % 50 == 0:
            at = pick.randint(0, len(text))
            text = text[:at] + pick.choice(BROKEN) + text[at:]
        yield text


def outcome(read: Callable[[bytes], list[list[tuple[str, str]]]], data: bytes) -> Any:
    try:
        return read(data)
    except (ManifestError, WorkerManifestError):
        return "refused"


def test_both_agree_on_any_text() -> None:
    refused = accepted = blocks = 0
    for data in dense_inputs(100_000):
        expected = outcome(as_pairs, data)
        assert outcome(parse_manifests, data) == expected, data
        refused += expected == "refused"
        accepted += expected != "refused" and any(expected)
        blocks += expected != "refused" and any(
            "\n" in value for one in expected for _name, value in one
        )
    # The generator reaches both, and values of several lines.
    assert min(refused, accepted, blocks) > 5_000


def test_the_forbidden_code_points_are_those_of_the_agent() -> None:
    for code in [*range(0xD800), *range(0xE000, 0x110000)]:
        character = chr(code)
        assert bool(FORBIDDEN.match(character)) == bool(NON_GRAPHIC.match(character)), code
