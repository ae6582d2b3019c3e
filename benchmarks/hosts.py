# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B15: plays on many build hosts, which are folders here and whose machines are never booted."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

from helpers import sources
from helpers.controller import Controller
from helpers.fleet import MACHINE, Fleet
from helpers.plays import PROGRAM, ROOT

from .everyday import spent, surroundings
from .figures import Figure, say

# How many hosts; each of the last two is compared with the one before it.
SIZES = (1, 10, 50, 100, 200)
FEW = (1, 2, 4)
# How many of them Ansible is at together.
_FORKS = 10
# What so many hosts take at most, as a share of so many times what one takes.
_GOAL = 0.5
# What twice as many take at most, as a share of twice: what grows with the square is seen.
_TWICE = 1.15


class _Bench:
    """The plays on ``count`` hosts in the folder ``root``."""

    def __init__(self, root: Path, count: int) -> None:
        self._root = root
        self._count = count
        self._fleet = Fleet(root / "fleet", count)
        sources.make_source(root / "hello")

    def status(self) -> tuple[float, float]:
        """All are asked how they are."""
        return self._play("status.yml")

    def round(self) -> tuple[float, float]:
        """Each asks a controller that has no task."""
        with Controller() as controller:
            passed = self._play("run-agent.yml", bbot_controllers=controller.url)
            if len(controller.requests) != self._count:
                raise AssertionError(f"{len(controller.requests)} of {self._count} have asked")
        return passed

    def matrix(self) -> tuple[float, float]:
        """They share as many tasks, which are over at once."""
        return self._play(
            "run-task.yml",
            source=str(self._root / "hello"),
            machines=MACHINE,
            configs={f"c{number}": f"c{number}" for number in range(self._count)},
            bbot_fail_on="never",
        )

    def _play(self, name: str, **told: t.Any) -> tuple[float, float]:
        """Seconds of the clock and of the CPU; the hosts' are in it, as they are here."""
        home = self._root / "home"
        words = self._fleet.told(bbot_results=str(self._root / "results"), **told)
        command = [str(PROGRAM), "-i", self._fleet.inventory(), "--forks", str(_FORKS), *words]
        command.append(str(ROOT / "playbooks" / name))
        output, passed, cpu = spent(command, home, surroundings(home))
        recap = [line for line in output.splitlines() if "failed=" in line]
        if len(recap) != self._count or not all("failed=0" in line for line in recap):
            raise AssertionError(output)
        return passed, cpu


_PLAYS = {"status": _Bench.status, "round": _Bench.round, "matrix": _Bench.matrix}
_WHAT = {
    "status": "status.yml",
    "round": "round of run-agent.yml",
    "matrix": "as many tasks by run-task.yml",
}


def measure(runs: int, sizes: t.Sequence[int] = SIZES) -> list[Figure]:
    """B15 for each of these numbers of hosts, the first of which is 1; many are done once."""
    taken: dict[str, dict[int, list[tuple[float, float]]]] = {name: {} for name in _PLAYS}
    for size in sizes:
        for name, play in _PLAYS.items():
            for number in range(runs if size == sizes[0] else 1):
                say(f"run {number + 1}: {name} of {size} hosts")
                # On hosts without a past.
                with tempfile.TemporaryDirectory(prefix="fleet-", dir="/var/tmp") as folder:
                    took = play(_Bench(Path(folder), size))
                say(f"{took[0]:.1f} s, {took[1]:.1f} s of CPU")
                taken[name].setdefault(size, []).append(took)
    return [figure for name, values in taken.items() for figure in _figures(name, values)]


def _figures(name: str, taken: t.Mapping[int, t.Sequence[tuple[float, float]]]) -> list[Figure]:
    """By seconds and by CPU time, against as many times one host, and the last against half."""
    found = []
    for place, (more, goal) in enumerate((("", _GOAL), (", CPU", None))):
        values = {size: [each[place] for each in took] for size, took in taken.items()}
        one, most = min(values), max(values)
        for size, ours in values.items():
            hosts = "1 host" if size == 1 else f"{size} hosts"
            found.append(
                Figure(
                    "B15", f"{_WHAT[name]}, {hosts}{more}", "s",
                    "alone" if size == one else "share", f"{size} times one host", hosts,
                    [] if size == one else [size * each for each in values[one]], ours,
                    goal if size == SIZES[-1] else None, curve=f"{name}{more}", size=size,
                )
            )  # fmt: skip
    if half := values.get(most // 2):
        found.append(
            Figure(
                "B15", f"{_WHAT[name]}, {most} hosts to {most // 2}, CPU", "s", "share",
                f"twice {most // 2} hosts", f"{most} hosts", [2 * each for each in half],
                values[most], _TWICE if most == SIZES[-1] else None,
            )
        )  # fmt: skip
    return found
