# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter status_page."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.filter.status_page import FilterModule

status_page = FilterModule().filters()["status_page"]
STATUS = {
    "version": "0.1.0",
    "agents": [],
    "machines": [],
    "running": [],
    "queue": [],
    "suspended": [],
    "history": [],
}


def test_hosts() -> None:
    page = status_page({"a<b>": {"status": STATUS, "trouble": ""}, "c": {"trouble": "no answer"}})
    assert "a&lt;b&gt;" in page and "a<b>" not in page
    assert "There was no task yet." in page and "no answer" in page
    assert page.count("<h2") == 2
    assert "There is no host." in status_page({})


@pytest.mark.parametrize(
    "change",
    [
        {"running": [7]},
        {"running": 7},
        {"running": [{"since": "x", "waits": [], "phase": {}}]},
        {"machines": [{"reasons": 7}]},
        {"queue": [{"id": "<script>", "next_try": "x"}]},
        {"suspended": [{"bytes": "x" * 9, "since": 1e300}]},
        {"history": [{"phases": 7}]},
        {"agents": "text"},
    ],
)
def test_what_a_host_says_is_not_believed(change: dict[str, t.Any]) -> None:
    page = status_page({"odd": {"status": {**STATUS, **change}}, "c": {"trouble": "no answer"}})
    assert "no answer" in page and "</html>" in page and "<script>" not in page


@pytest.mark.parametrize("value", [None, "x", [], {"a": "x"}, {"a": None}])
def test_what_is_no_mapping_of_hosts(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="wants a mapping of hosts"):
        status_page(value)
