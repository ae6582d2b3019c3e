# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The tables of a report: two axes across each other, and all combinations."""

from __future__ import annotations

from .markup import Markup, link_to, tag, text
from .report_cells import cell, pair_text, state, tests_of, value_of, wide
from .states import DONE, Entry, Index

# Rows, and columns, of the table that crosses two axes.
_CROSSED = 60


def crossed(index: Index) -> Markup:
    """Return two axes across each other, a table for each value of the rest."""
    names = list(index["varying"])
    if len(names) < 2 or len(index["combinations"]) > 400:
        return text(None)
    values = {
        name: list(dict.fromkeys(value_of(e, name) for e in index["combinations"]))
        for name in names
    }
    # The longer one goes down.
    across, down = sorted(names, key=lambda name: len(values[name]))[-2:]
    if "machine" in names and "machine" not in (across, down):
        across = "machine"
    if len(values[across]) > _CROSSED or len(values[down]) > _CROSSED:
        return text(None)
    rest = [name for name in names if name not in (across, down)]
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in index["combinations"]:
        groups.setdefault(tuple(value_of(entry, name) for name in rest), []).append(entry)
    tables = []
    for key, entries in groups.items():
        where = {(value_of(e, down), value_of(e, across)): e for e in entries}
        rows = [
            tag(
                "tr",
                tag("th", row or "–", scope="row"),
                [
                    tag("td", state(where[row, column]) if (row, column) in where else "–")
                    for column in values[across]
                ],
            )
            for row in values[down]
        ]
        heads = [tag("th", column or "–", scope="col") for column in values[across]]
        of = ", ".join(pair_text(*pair) for pair in zip(rest, key, strict=True))
        caption = f"{down.lstrip('$')} by {across.lstrip('$')}{f', with {of}' if of else ''}"
        tables.append(
            wide(
                caption,
                tag("caption", caption),
                tag("thead", tag("tr", tag("th", down.lstrip("$"), scope="col"), heads)),
                tag("tbody", rows),
            )
        )
    return tag("section", tag("h2", "At a glance", id="glance"), tables, aria_labelledby="glance")


def listed(index: Index) -> Markup:
    """Return all combinations."""
    names = index["varying"] or ["machine"]
    heads = [*(name.lstrip("$") for name in names), "result", "tests", "seconds", "host", "files"]
    rows = []
    for entry in index["combinations"]:
        first, *others = names
        rows.append(
            tag(
                "tr",
                tag("th", value_of(entry, first) or "–", scope="row"),
                [cell(name.lstrip("$"), value_of(entry, name) or "–") for name in others],
                cell("result", state(entry)),
                cell("tests", tests_of(entry)),
                cell("seconds", f"{entry['seconds']:.1f}" if "seconds" in entry else "", "number"),
                cell("host", str(entry.get("host") or "")),
                cell("files", _files(entry)),
            )
        )
    table = wide(
        "All combinations",
        tag("caption", "All combinations"),
        tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads])),
        tag("tbody", rows),
        class_="list",
    )
    return tag(
        "section",
        tag("h2", "Combinations", id="combinations", tabindex="-1"),
        table,
        aria_labelledby="combinations",
    )


def _files(entry: Entry) -> Markup:
    if entry["state"] != DONE:
        return text(None)
    label = f"results of {entry['id']}"
    return tag("a", "results", href=f"{link_to(entry['id'])}/", aria_label=label)
