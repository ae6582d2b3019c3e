# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmarks still run; how fast is not judged here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.figures import Figure, interleave, table


def ran(*arguments: str, timeout: float) -> list[str]:
    """The rows of the table of benchmarks that were run with these arguments."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--runs", "1", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("| B")]


def test_the_quick_ones_run() -> None:
    rows = ran("--quick", timeout=120)
    assert {row.split()[1] for row in rows} == {"B4", "B4a", "B4b", "B5a", "B5b", "B6"}
    for row in rows:
        assert re.search(r"\| 1 \|.*\d \(.*\|.*\d \(.*\| [0-9.e+]+ \|", row), row


def test_that_of_the_page_runs() -> None:
    rows = ran("web", timeout=120)
    assert {row.split()[1] for row in rows} == {"B14"}
    assert len(rows) == 7


@pytest.mark.long
def test_those_of_many_hosts_run() -> None:
    """In their small form."""
    rows = ran("hosts", "--quick", timeout=900)
    assert {row.split()[1] for row in rows} == {"B15"}
    # Three plays, on 1, 2 and 4 hosts, by seconds and by CPU time, and the last two compared.
    assert len(rows) == 21


@pytest.mark.long
def test_those_with_machines_run() -> None:
    rows = ran("starts", "throughput", "together", timeout=900)
    assert {row.split()[1] for row in rows} == {"B1", "B2", "B3", "B7", "B9"}


@pytest.mark.parametrize(
    ("kind", "baseline", "product", "goal", "ratio", "reached"),
    [
        ("times", [8.0, 10.0, 99.0], [1.0, 2.0, 3.0], 5, 5, True),
        ("times", [10.0], [2.5], 5, 4, False),
        ("rate", [10.0], [20.0], 2, 2, True),
        ("share", [10.0], [0.5], 0.05, 0.05, True),
        ("share", [10.0], [1.0], 0.05, 0.1, False),
        ("times", [1.0], [1.0], None, 1, None),
        ("alone", [], [7.0], None, None, None),
        ("alone", [3.0], [7.0, 1.0, 2.0], 2, None, True),
        ("alone", [3.0], [2.5], 2, None, False),
    ],
)
def test_what_a_figure_comes_to(
    kind: str,
    baseline: list[float],
    product: list[float],
    goal: float | None,
    ratio: float | None,
    reached: bool | None,
) -> None:
    figure = Figure("B0", "x", "s", kind, "", "", baseline, product, goal)  # type: ignore[arg-type]
    assert (figure.ratio, figure.reached) == (ratio, reached)
    _head, row = table([figure])
    assert ("MISSED" in row[-1]) is (reached is False)


def test_steps_are_taken_in_turn() -> None:
    order: list[str] = []

    def step(name: str) -> dict[str, float]:
        order.append(name)
        return {"seconds": len(order)}

    values = interleave(2, {"a": lambda: step("a"), "b": lambda: step("b")})
    assert order == ["a", "b", "a", "b"]
    assert values == {"a": {"seconds": [1, 3]}, "b": {"seconds": [2, 4]}}
