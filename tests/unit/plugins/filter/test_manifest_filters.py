# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters `from_manifest` and `to_manifest`."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.filter import from_manifest, to_manifest

read = from_manifest.FilterModule().filters()["from_manifest"]
write = to_manifest.FilterModule().filters()["to_manifest"]

TEXT = ": 1\nname: hello\ntrust: a\ntrust: b\n:\nid: x\n"
PAIRS = [
    [
        {"name": "name", "value": "hello"},
        {"name": "trust", "value": "a"},
        {"name": "trust", "value": "b"},
    ],
    [{"name": "id", "value": "x"}],
]
MAPPINGS = [{"name": "hello", "trust": ["a", "b"]}, {"id": "x"}]


def test_shapes() -> None:
    assert read(TEXT) == PAIRS
    assert read(TEXT.encode()) == PAIRS
    assert read(TEXT, shape="mapping") == MAPPINGS
    assert write(PAIRS) == write(MAPPINGS) == TEXT


def test_single() -> None:
    text = ": 1\nid: x\n"
    assert read(text, single=True) == PAIRS[1]
    assert read(text, shape="mapping", single=True) == MAPPINGS[1]
    assert write(PAIRS[1]) == write(MAPPINGS[1]) == text
    with pytest.raises(AnsibleFilterError, match="<input> holds 2 manifests"):
        read(TEXT, single=True)


def test_nothing() -> None:
    assert read("") == []
    assert write([]) == ""
    assert write({}) == write([[]]) == ": 1\n"


def test_plain_data() -> None:
    assert write({"host": True, "n": 5}) == ": 1\nhost: true\nn: 5\n"
    assert write({"host": False}) == ": 1\nhost: false\n"


def test_options() -> None:
    assert write({"log": "a\nb"}) == ": 1\nlog:\\\na\nb\n\\\n"
    assert write({"log": "a\nb"}, style="new") == ": 1\nlog:\n\\\na\nb\n\\\n"
    assert "\\\n" in write({"log": "x" * 100})
    assert "\\\n" not in write({"log": "x" * 100}, long_lines=True)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (": 2\n", {"name": "/m/manifest"}, "/m/manifest:1:3: error: unsupported format version 2"),
        (5, {}, "text is wanted, not a value of type int"),
        ("", {"shape": "dict"}, "shape is 'dict': choose 'pairs' or 'mapping'"),
    ],
)
def test_from_manifest_errors(text: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        read(text, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("text", "a mapping or a list is wanted, not a value of type str"),
        (["text"], "a manifest is a mapping or a list of pairs, not str"),
        ([[{"name": "x"}]], "is no pair"),
        ({"version": 1.10}, "the value of 'version' is of type float: put it in quotes"),
        ({"id": None}, "the value of 'id' is of type NoneType"),
        ({"a b": "x"}, "name contains whitespace"),
        ({"a": "\x1b"}, "invalid value: invalid Unicode codepoint (control)"),
    ],
)
def test_to_manifest_errors(data: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        write(data)
    assert message in str(caught.value)
    with pytest.raises(AnsibleFilterError, match="choose 'old' or 'new'"):
        write({}, style="odd")
