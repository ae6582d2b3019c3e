# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pictures: of the ratios, and of how what something takes grows."""

from __future__ import annotations

import statistics
import typing as t
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

from .figures import Figure

_REACHED, _MISSED, _FREE = "#2a7f62", "#c0392b", "#7f8c8d"


def _factor(figure: Figure) -> tuple[float, float | None]:
    """How many times better the product is, and should be; 1 is the baseline."""
    ratio, goal = figure.ratio or 1.0, figure.goal
    if figure.kind == "share":
        return 1 / ratio, 1 / goal if goal else None
    return ratio, goal


def draw(figures: t.Sequence[Figure], path: Path) -> None:
    """Draw how the product compares with each baseline, and where the goals are."""
    # The same figures make the same file.
    mpl.rcParams["svg.hashsalt"] = "bbot.agent"
    compared = [figure for figure in figures if figure.kind != "alone"][::-1]
    canvas, axes = pyplot.subplots(figsize=(9, 1 + 0.4 * len(compared)), layout="constrained")
    for place, figure in enumerate(compared):
        factor, goal = _factor(figure)
        colour = {True: _REACHED, False: _MISSED, None: _FREE}[figure.reached]
        axes.barh(place, factor - 1, left=1, color=colour, height=0.6)
        axes.text(1.05 * max(factor, 1), place, f"{factor:.3g}×", va="center")
        if goal is not None:
            axes.plot([goal, goal], [place - 0.4, place + 0.4], color="black", linewidth=2)
    axes.set_xscale("log")
    axes.set_xlim(0.4, 2 * max([_factor(figure)[0] for figure in compared], default=1))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(compared)), [f"{f.id} {f.name}" for f in compared])
    axes.set_xlabel("times better than the baseline; a black mark is the goal")
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)


def draw_curves(figures: t.Sequence[Figure], path: Path) -> None:
    """Draw what the product takes by size, and what it would if it had only been done so often."""
    mpl.rcParams["svg.hashsalt"] = "bbot.agent"
    canvas, panels = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for name in dict.fromkeys(figure.curve for figure in figures if figure.curve):
        points = [figure for figure in figures if figure.curve == name]
        sizes = [figure.size for figure in points]
        what, _comma, unit = name.partition(", ")
        taken = [statistics.median(figure.product) for figure in points]
        axes = panels[1 if unit else 0]
        (line,) = axes.plot(sizes, taken, "o-", label=what)
        as_often = [taken[0] / sizes[0] * size for size in sizes]
        axes.plot(sizes, as_often, ":", color=line.get_color(), linewidth=0.9)
    for axes, unit in zip(panels, ("seconds", "seconds of CPU time"), strict=True):
        axes.set_title(unit)
        axes.set_xlabel("hosts; dotted: as many times one host")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(visible=True, which="both", linewidth=0.3)
        axes.legend()
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)
