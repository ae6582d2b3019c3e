# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a report says of failures: what they have in common, how they differ, and their logs."""

from __future__ import annotations

import os
import typing as t

from .collect import excerpt
from .differences import alike, in_common, neighbours
from .markup import Markup, link_to, tag, text
from .report_cells import pair_text, tests_of
from .states import Entry, Index
from .verdict import title, why, word

# Lines of a log that are shown, and failures of which they are.
_LINES, _FAILURES = 30, 100


def differences(index: Index, bad: list[Entry]) -> Markup:
    """Return what fails, and in how many ways; nothing if nothing does."""
    if not bad:
        return text(None)
    total = len(index["combinations"])
    statements = []
    for finding in in_common(index):
        number = len(finding.ids)
        if finding.axes:
            what = ", ".join(pair_text(*pair) for pair in finding.axes.items())
            verb = f"all {number} combinations fail" if number > 1 else "the one combination fails"
            statements.append(tag("li", tag("strong", what), f": {verb}"))
        elif number > 1:
            statements.append(tag("li", tag("strong", "everything"), f": all {number} fail"))
        else:
            statements.append(tag("li", _reference(index, finding.ids[0]), " fails"))
    reasons = [
        tag(
            "li",
            tag("code", reason or "no reason was given"),
            f" ({len(ids)} of {total}) ",
            _references(index, ids),
        )
        for reason, ids in alike(index)
    ]
    return tag(
        "section",
        tag("h2", "What fails", id="what"),
        tag("ul", statements, class_="findings"),
        tag("h2", f"How it fails: {len(reasons)} way{'s' if len(reasons) > 1 else ''}", id="how"),
        tag("ul", reasons, class_="findings"),
        aria_labelledby="what",
    )


def _reference(index: Index, key: str) -> Markup:
    entry = next(each for each in index["combinations"] if each["id"] == key)
    return tag("a", title(entry, index["varying"]), href=f"#f-{key}")


def _references(index: Index, keys: t.Sequence[str]) -> list[Markup | str]:
    parts: list[Markup | str] = []
    for key in keys[:12]:
        parts += [", " if parts else "", _reference(index, key)]
    return [*parts, f" and {len(keys) - 12} more"] if len(keys) > 12 else parts


def failures(index: Index, bad: list[Entry], folder: str) -> Markup:
    """Return each failure with the end of its log."""
    if not bad:
        return text(None)
    shown = [_failure(index, entry, folder) for entry in bad[:_FAILURES]]
    if len(bad) > _FAILURES:
        shown.append(tag("p", f"and {len(bad) - _FAILURES} more: see index.json"))
    return tag("section", tag("h2", "Failures", id="failures"), shown, aria_labelledby="failures")


def _failure(index: Index, entry: Entry, folder: str) -> Markup:
    key = entry["id"]
    others = neighbours(index, entry)
    parts = [
        tag(
            "h3", title(entry, index["varying"]), " ", tag("span", word(entry), class_="state bad")
        ),
        tag("p", tag("code", why(entry) or "no reason was given")),
    ]
    if others:
        passes = " or ".join(
            pair_text(axis, value or "–") for each in others for axis, value in each.items()
        )
        parts.append(tag("p", f"It goes well with {passes} instead."))
    tests = tests_of(entry)
    if tests:
        parts.append(tag("p", f"Tests: {tests}"))
    for operation in entry.get("operations") or []:
        if operation["status"] in ("error", "abort", "abnormal"):
            lines = excerpt(os.path.join(folder, key), operation["log"])[-_LINES:]
            summary = f"The last lines of {operation['operation']} ({operation['status']})"
            parts.append(
                tag(
                    "details",
                    tag("summary", summary),
                    tag(
                        "pre",
                        "\n".join(lines),
                        tabindex="0",
                        role="region",
                        aria_label=f"{summary} of {key}",
                    ),
                    tag("p", tag("a", operation["log"], href=link_to(key, operation["log"]))),
                )
            )
    return tag("article", parts, class_="failure", id=f"f-{key}")
