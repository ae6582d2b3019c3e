# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter status_answers."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.filter.status_answers import FilterModule

status_answers = FilterModule().filters()["status_answers"]
NONE = {"agents": 0, "running": 0, "undelivered": 0, "suspended": 0}


@pytest.mark.parametrize(
    "out",
    [
        '{"agents": [1], "running": [1, 2], "queue": []}',
        # A terminal on the way, and a shell that greets.
        'Welcome!\r\n{\r\n "agents": [1],\r\n "running": [1, 2]}\r\n',
    ],
)
def test_a_host_that_answers(out: str) -> None:
    found = status_answers({"a": {"rc": 0, "stdout": out, "stderr": "warning: x"}})["a"]
    assert (found["status"]["running"], found["trouble"]) == ([1, 2], "")
    assert found["figures"] == {**NONE, "trouble": "", "agents": 1, "running": 2}


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        ({"rc": 1, "stdout": "{}", "stderr": " no such thing\n"}, "no such thing"),
        ({"rc": 127, "stdout": "not found\r\n", "stderr": ""}, "not found"),
        ({"unreachable": True, "msg": "Connection refused"}, "Connection refused"),
        (
            {"failed": True, "msg": "Task failed: Timed out after 60 seconds."},
            "Timed out after 60 seconds.",
        ),
        ({}, "no answer"),
        ({"rc": 0, "stdout": ""}, "its answer is no status: ''"),
        ({"rc": 0, "stdout": "hello {"}, "its answer is no status: 'hello {'"),
        ({"rc": 0, "stdout": '{"a": ' * 100_000}, "its answer is no status: "),
    ],
)
def test_one_that_does_not(result: dict[str, t.Any], trouble: str) -> None:
    found = status_answers({"a": result, "b": {"rc": 0, "stdout": '{"queue": [1]}'}})
    assert found["a"]["status"] == {}
    assert found["a"]["trouble"].startswith(trouble)
    assert len(found["a"]["trouble"]) < 300
    assert found["a"]["figures"] == {**NONE, "trouble": found["a"]["trouble"]}
    assert found["b"]["figures"]["undelivered"] == 1


def test_what_is_odd_is_not_counted() -> None:
    answers = status_answers({"a": {"rc": 0, "stdout": '{"running": 7, "queue": "text"}'}})
    assert answers["a"]["figures"] == {**NONE, "trouble": ""}


@pytest.mark.parametrize("value", [None, "x", [], {"a": "x"}, {"a": None}])
def test_what_is_no_mapping_of_results(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="wants a mapping of hosts"):
        status_answers(value)
