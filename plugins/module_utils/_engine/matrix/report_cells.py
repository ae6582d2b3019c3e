# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the parts of a report are made of."""

from __future__ import annotations

from .markup import Markup, tag
from .states import Entry
from .verdict import is_bad, word


def class_of(what: str) -> str:
    """The style of what has become of a combination."""
    if what == "success":
        return "good"
    if what in ("warning", "skip"):
        return "odd"
    return "" if what in ("waiting", "running", "cancelled") else "bad"


def state(entry: Entry) -> Markup:
    """What has become of a combination, with a link to why."""
    what = word(entry)
    # Not by the colour alone.
    sign = {"good": "✓ ", "bad": "✗ ", "odd": "! "}.get(class_of(what), "")
    shown = tag(
        "span", tag("span", sign, aria_hidden="true"), what, class_=f"state {class_of(what)}"
    )
    return tag("a", shown, href=f"#f-{entry['id']}") if is_bad(entry) else shown


def pair_text(axis: str, value: str) -> str:
    """An axis and a value on it, for people."""
    return f"{axis} {value}" if not axis.startswith("$") else f"{axis[1:]}={value}"


def value_of(entry: Entry, name: str) -> str:
    """The value of a combination on an axis; empty if it has none."""
    return str(entry["axes"].get(name) or "")


def tests_of(entry: Entry) -> str:
    """How many tests of a combination have come to what."""
    numbers = {"passed": 0, "failed": 0, "skipped": 0}
    for tests in (entry.get("tests") or {}).values():
        for name in numbers:
            numbers[name] += tests[name]
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number)


def wide(label: str, *content: Markup, class_: str | None = None) -> Markup:
    """A table that can be scrolled sideways."""
    # It can be scrolled by keyboard only if it takes the focus.
    table = tag("table", *content, class_=class_)
    return tag("div", table, class_="wide", role="region", aria_label=label, tabindex="0")


def cell(label: str, content: str, class_: str | None = None) -> Markup:
    """A cell of a table whose columns have labels."""
    # Where the screen is narrow there are no heads of columns.
    return tag("td", content, class_=class_, data_label=label)
