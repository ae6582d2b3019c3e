# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the combinations that fail have in common, and how they differ from those that do not."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t

from .states import DONE, FAILED, Entry, Index
from .verdict import is_bad, why

# Axes that are looked at together.
_TOGETHER = 3
_VARIABLE_PARTS = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{12,}\b|\d+(?:\.\d+)*")


@dataclasses.dataclass(frozen=True)
class Finding:
    """All combinations with these ``axes`` fail, ``ids`` of them; with none it is all there are."""

    axes: dict[str, str]
    ids: tuple[str, ...]


def in_common(index: Index) -> list[Finding]:
    """Return what says which combinations fail, in as few and as short statements as there are.

    Only what has ended counts. Each statement is true of all combinations that it is about.
    """
    judged = [entry for entry in index["combinations"] if entry["state"] in (DONE, FAILED)]
    bad = [entry for entry in judged if is_bad(entry)]
    if not bad:
        return []
    if len(bad) == len(judged) and len(bad) > 1:
        return [Finding({}, tuple(entry["id"] for entry in bad))]
    names = index["varying"]
    left = {entry["id"] for entry in bad}
    found: list[Finding] = []
    sizes = [size for size in range(1, len(names) + 1) if size <= _TOGETHER or size == len(names)]
    for size in sizes:
        while left:
            best = max(_statements(judged, names, size), key=lambda f: _gain(f, left), default=None)
            if best is None or _gain(best, left) == 0:
                break
            found.append(best)
            left -= set(best.ids)
    rest = tuple(entry["id"] for entry in bad if entry["id"] in left)
    return [*found, *(Finding({}, (key,)) for key in rest)]


def _gain(finding: Finding, left: t.Collection[str]) -> int:
    return sum(key in left for key in finding.ids)


def _statements(judged: list[Entry], names: t.Sequence[str], size: int) -> t.Iterator[Finding]:
    """All that can be said of failures by the values on so many axes."""
    for some in itertools.combinations(names, size):
        groups: dict[tuple[str | None, ...], list[Entry]] = {}
        for entry in judged:
            groups.setdefault(tuple(entry["axes"].get(name) for name in some), []).append(entry)
        for values, entries in groups.items():
            if all(map(is_bad, entries)):
                pairs = zip(some, values, strict=True)
                axes = {name: value for name, value in pairs if value is not None}
                yield Finding(axes, tuple(entry["id"] for entry in entries))


def alike(index: Index) -> list[tuple[str, list[str]]]:
    """Return the ways in which combinations fail: why, and the ids; the most frequent first."""
    groups: dict[str, tuple[str, list[str]]] = {}
    for entry in index["combinations"]:
        if is_bad(entry):
            text = why(entry)
            _first, ids = groups.setdefault(_VARIABLE_PARTS.sub("#", text), (text, []))
            ids.append(entry["id"])
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def neighbours(index: Index, entry: Entry) -> list[dict[str, str]]:
    """Return by which single value combinations that went well differ from this one."""
    names = index["varying"]
    found = []
    for other in index["combinations"]:
        if other["state"] != DONE or is_bad(other):
            continue
        differing = [n for n in names if other["axes"].get(n) != entry["axes"].get(n)]
        if len(differing) == 1:
            found.append({differing[0]: other["axes"].get(differing[0]) or ""})
    return found
