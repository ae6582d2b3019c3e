# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures: values of a baseline and of the product, taken in turn, and what they come to."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import statistics
import sys
import time
import typing as t

# What is better about the product: it takes less time than the baseline by a factor (`times`),
# it is quicker by a factor (`rate`), or it takes a part of the baseline's time (`share`).
# `alone` is compared with nothing: its goal is not to be exceeded.
Kind = t.Literal["times", "rate", "share", "alone"]

Values = t.Sequence[float]

_libc = ctypes.CDLL(None)


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure. ``baseline`` and ``product`` have one value of ``unit`` for each run.

    ``goal`` is what the ratio is to reach, or for a share not to exceed, or what the product is
    not to exceed alone; None if nothing is demanded. ``theirs`` and ``ours`` say what was measured.
    One that is a point of a ``curve`` is that for ``size``.
    """

    id: str
    name: str
    unit: str
    kind: Kind
    theirs: str
    ours: str
    baseline: Values
    product: Values
    goal: float | None = None
    curve: str = ""
    size: int = 0

    @property
    def ratio(self) -> float | None:
        """How the product compares; see Kind."""
        if self.kind == "alone":
            return None
        base, ours = statistics.median(self.baseline), statistics.median(self.product)
        return base / ours if self.kind == "times" else ours / base

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        if self.kind == "alone":
            return statistics.median(self.product) <= self.goal
        ratio = self.ratio or 0.0
        return ratio <= self.goal if self.kind == "share" else ratio >= self.goal

    def describe(self) -> dict[str, t.Any]:
        """Everything as plain data."""
        facts = dataclasses.asdict(self)
        return {**facts, "ratio": self.ratio, "reached": self.reached}


class Run(t.Protocol):
    """A measurement: one value for each of its aspects, by name."""

    def __call__(self) -> t.Mapping[str, float]: ...


def interleave(runs: int, steps: t.Mapping[str, Run]) -> dict[str, dict[str, list[float]]]:
    """Take every step in turn, again and again; the values by step and aspect."""
    values: dict[str, dict[str, list[float]]] = {name: {} for name in steps}
    for number in range(runs):
        for name, step in steps.items():
            say(f"run {number + 1} of {runs}: {name}")
            for aspect, value in step().items():
                values[name].setdefault(aspect, []).append(value)
    return values


def say(line: str) -> None:
    """Tell a person what goes on; a table goes to the other stream."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def timed() -> t.Iterator[list[float]]:
    """The seconds that a with statement has taken, as the list's only item, at its end."""
    passed: list[float] = []
    began = time.perf_counter()
    yield passed
    passed.append(time.perf_counter() - began)


def cpu_seconds(pid: int) -> float:
    """The CPU time that process ``pid`` has had, with all its threads."""
    # /proc counts in hundredths of a second, which is coarse for a warm start.
    clock = ctypes.c_int()
    failed = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if failed:
        raise OSError(failed, os.strerror(failed))
    return time.clock_gettime(clock.value)


def cell(values: Values) -> str:
    """Median, least and most."""
    if not values:
        return "–"
    digits = 0 if statistics.median(values) >= 100 else 1 if statistics.median(values) >= 10 else 3
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), _median(values), max(values)))
    return f"{middle} ({low}–{high})"


def _median(values: Values) -> float:
    return statistics.median(values)


def verdict(figure: Figure) -> str:
    """The goal, and whether it was reached."""
    if figure.goal is None:
        return ""
    sign = "≤" if figure.kind in ("share", "alone") else "≥"
    return f"{sign} {figure.goal:g}{'' if figure.reached else ' MISSED'}"


def table(figures: t.Sequence[Figure]) -> list[list[str]]:
    """The rows of a table, its head first."""
    rows = [["", "unit", "n", "baseline", "product", "ratio", "goal"]]
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3g}"
        counts = str(len(figure.product))
        cells = [cell(figure.baseline), cell(figure.product), ratio, verdict(figure)]
        rows.append([f"{figure.id} {figure.name}", figure.unit, counts, *cells])
    return rows
