# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dashboard and the rules know the metrics that there are, and all of them."""

from __future__ import annotations

import itertools
import json
import re
import typing as t
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
RULES = (ROOT / "monitoring" / "bbot-agent.rules.yml").read_text()
DASHBOARD = json.loads((ROOT / "monitoring" / "dashboard.json").read_text())
NAME = re.compile(r"\bbbot_[a-z_]+")


@pytest.fixture
def printed(metrics: ModuleType, site: t.Any) -> set[str]:
    """The names of all metrics."""
    text = metrics.text(metrics.metrics(site.collect(), 0.0, []))
    names = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(names) > 15
    return set(names)


def expressions() -> list[str]:
    """What the dashboard asks for."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_what_is_asked_for_exists(printed: set[str]) -> None:
    asked = {name for text in [*expressions(), *re.findall(r"expr:[^:]*", RULES)]
             for name in NAME.findall(text)}  # fmt: skip
    assert asked - printed == set()
    variables = [
        each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each
    ]
    assert {name for text in variables for name in NAME.findall(text)} <= printed


def test_no_metric_is_forgotten(printed: set[str]) -> None:
    assert printed - {name for text in expressions() for name in NAME.findall(text)} == set()


def test_each_metric_is_documented(printed: set[str]) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"^\| `(bbot_[a-z_]+)", page, re.M)) == printed


def test_each_rule_is_documented() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    rules = re.findall(r"- alert: (\S+)", RULES)
    assert len(rules) > 10
    assert sorted(re.findall(r"^\| `(Bbot[A-Za-z]+)", page, re.M)) == sorted(rules)


def test_no_panel_lies_on_another() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
