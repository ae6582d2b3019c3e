# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B13: a matrix of tiny tasks, by a play and by the command, against as many plays."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from helpers import sources
from helpers.agents import COMMAND, engine, options
from helpers.build_host import BuildHost
from helpers.plays import PROGRAM, PYTHON

from .everyday import NOT_OF_RUN, PLAYBOOK, spent, surroundings
from .figures import Figure, interleave, say

# Configurations, each on the machines tiny and tiny2.
_CONFIGS = 6
_TASKS = 2 * _CONFIGS
# The least that a task can be.
_OPERATIONS = "configure"


class _Bench:
    """The three ways to have the same tasks performed, on machines that start warm."""

    def __init__(self, host: BuildHost, folder: Path) -> None:
        self._folder = folder
        self._host = host
        sources.make_source(folder / "hello")

    def _play(self, **told: t.Any) -> float:
        more = {
            "bbot_machine_options": {**self._host.options(), "retries": 0, "warm": ["*"]},
            "source": str(self._folder / "hello"),
            "operations": _OPERATIONS,
            **told,
        }
        command = [str(PROGRAM), "-e", PYTHON, "-e", json.dumps(more), PLAYBOOK]
        return spent(command, self._folder, surroundings(self._folder / "home"))[1]

    def plays(self) -> dict[str, float]:
        """One after another."""
        began = time.monotonic()
        for number in range(_TASKS):
            say(f"play {number + 1} of {_TASKS}")
            self._play(machine=("tiny", "tiny2")[number % 2], config=f"c{number // 2}")
        return {"seconds": time.monotonic() - began}

    def by_play(self) -> dict[str, float]:
        configs = {f"c{number}": f"c{number}" for number in range(_CONFIGS)}
        return {"seconds": self._play(machines="tiny*", configs=configs)}

    def by_command(self) -> dict[str, float]:
        words = options(self._host, **NOT_OF_RUN, warm=["*"])
        command = [sys.executable, str(COMMAND), "run", "hello", "--machine", "tiny*", *words]
        command += ["--operations", _OPERATIONS]
        command += ["--configs", "; ".join(f"c{number}: c{number}" for number in range(_CONFIGS))]
        return {"seconds": spent(command, self._folder, engine(self._host.root))[1]}


def measure(host: BuildHost, runs: int) -> list[Figure]:
    """B13 on the machines tiny and tiny2 of ``host``, which are saved for warm starts."""
    with tempfile.TemporaryDirectory(prefix="matrix-", dir=host.root) as name:
        bench = _Bench(host, Path(name))
        steps = {"plays": bench.plays, "play": bench.by_play, "command": bench.by_command}
        values = interleave(runs, steps)
    plays = values["plays"]["seconds"]
    theirs = f"{_TASKS} plays one after another"
    return [
        Figure(
            "B13",
            f"matrix of {_TASKS} tiny tasks, {what}",
            "s",
            "times",
            theirs,
            what,
            plays,
            values[step]["seconds"],
            6,
        )
        for what, step in (("one play", "play"), ("bbot-agent run", "command"))
    ]
