# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the journal tells of the past, to those who only look: pages of it, and figures."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import typing as t

from .entries import Row, columns, read
from .schema import reading

# Names that a person chooses from; who has more searches.
_CHOICES = 200


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which tasks are wanted: those that all of these words hold for that are not empty.

    ``text`` is a part of name, version or reason, in any case of its letters. ``outcome`` is a
    status, a state, or `bad` for whatever is graver than a warning.
    """

    text: str = ""
    outcome: str = ""
    machine: str = ""
    toolchain: str = ""


@dataclasses.dataclass(frozen=True)
class Page:
    """Some tasks, the newest first, and whether there are ``newer`` and ``older`` ones."""

    rows: list[Row]
    newer: bool
    older: bool


@dataclasses.dataclass(frozen=True)
class Choices:
    """The machines and toolchains of which there are tasks, and how many tasks there are."""

    machines: tuple[str, ...] = ()
    toolchains: tuple[str, ...] = ()
    tasks: int = 0


class Glance(t.NamedTuple):
    """What figures are made of, of one task; see Row."""

    received: float
    status: str
    culprit: str
    phases: dict[str, float]


class History:
    """The past, of the journal in the file ``path``; each question opens it once."""

    def __init__(self, path: str) -> None:
        self.path = path

    def page(self, wanted: Wanted, count: int, *, before: int = 0, after: int = 0) -> Page:
        """Return up to ``count`` of the tasks that are wanted, the newest first.

        Those that are older than the task ``before``, or newer than ``after``, or the last ones.
        Raises JournalError.
        """
        if not os.path.exists(self.path):
            return Page([], newer=False, older=False)
        condition, values = _condition(wanted)
        place, order = "1", "DESC"
        if before:
            place = f"id < {int(before)}"
        elif after:
            place, order = f"id > {int(after)}", "ASC"
        query = f"SELECT {columns(Row)} FROM tasks WHERE {place} AND {condition}"
        with reading(self.path) as db:
            found = db.execute(f"{query} ORDER BY id {order} LIMIT ?", (*values, count + 1))
            rows = [read(Row, each)[0] for each in found]
        more = len(rows) > count
        rows = rows[:count]
        if after:
            return Page(rows[::-1], newer=more, older=True)
        return Page(rows, newer=bool(before), older=more)

    def choices(self) -> Choices:
        """Return what one can choose from. Raises JournalError."""
        if not os.path.exists(self.path):
            return Choices()
        with reading(self.path) as db:
            found = db.execute(
                "SELECT machine, toolchain, count(*) FROM tasks GROUP BY machine, toolchain"
            ).fetchall()
        return Choices(
            machines=_names(each[0] for each in found),
            toolchains=_names(each[1] for each in found),
            tasks=sum(each[2] for each in found),
        )

    def since(self, moment: float) -> list[Glance]:
        """Return the tasks that were received since a time and have a status, but damaged ones.

        The oldest first. Raises JournalError.
        """
        if not os.path.exists(self.path):
            return []
        with reading(self.path) as db:
            found = db.execute(
                "SELECT received, status, culprit, phases FROM tasks"
                " WHERE received >= ? AND status IS NOT NULL ORDER BY id",
                (moment,),
            ).fetchall()
        glances = []
        for (received, status, culprit, _text), phases in zip(
            found, _objects([each[3] for each in found]), strict=True
        ):
            with contextlib.suppress(AttributeError, TypeError, ValueError, OverflowError):
                if math.isfinite(received) and math.isfinite(math.fsum(phases.values())):
                    glances.append(Glance(received, status.decode(), culprit.decode(), phases))
        return glances


def _objects(texts: list[t.Any]) -> list[t.Any]:
    """Return what these texts are as JSON, None for what is none."""
    # At once: one by one they take ten times as long.
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        found = json.loads(b"[" + b",".join(texts) + b"]")
        if len(found) == len(texts):
            return t.cast("list[t.Any]", found)
    return [_object(text) for text in texts]


def _object(text: t.Any) -> t.Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _names(values: t.Iterable[t.Any]) -> tuple[str, ...]:
    names = {each.decode(errors="replace") for each in values if isinstance(each, bytes)}
    return tuple(sorted(names)[:_CHOICES])


def _condition(wanted: Wanted) -> tuple[str, tuple[str, ...]]:
    parts, values = ["1"], []
    if wanted.text:
        # The version stands behind the name as people write it.
        parts.append("instr(lower(name || '/' || version || ' ' || reason), lower(?)) > 0")
        values.append(wanted.text)
    if wanted.outcome == "bad":
        parts.append("status IN ('error', 'abort', 'abnormal')")
    elif wanted.outcome:
        parts.append("(status = ? OR state = ?)")
        values += [wanted.outcome, wanted.outcome]
    for name in ("machine", "toolchain"):
        if value := getattr(wanted, name):
            parts.append(f"{name} = ?")
            values.append(value)
    return " AND ".join(parts), tuple(values)
