# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The combinations of a matrix: what is built how, and on which machine."""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t

from ..errors import EngineError
from ..records.task import Task
from ..task.prepare import Prepared, vary
from .asked import MOST, Asked, MatrixError, choose_machines

# The axes of a matrix that are not variables of bbot.yml; those begin with a dollar sign.
PROJECT, CONFIG, MACHINE = "project", "config", "machine"

_VARIABLE = "config.bbot.matrix."
_LONGEST = 120


@dataclasses.dataclass(frozen=True)
class Combination:
    """One task of a matrix.

    ``id`` names it and its folder, ``axes`` say what it is a combination of, ``project`` is the
    number of its project, and ``fields`` are those of its task.
    """

    id: str
    axes: dict[str, str]
    project: int
    fields: dict[str, t.Any]

    @property
    def machine(self) -> str:
        """The machine that it is for."""
        return str(self.fields["machine"])


def plan(asked: Asked, prepared: t.Sequence[Prepared], known: t.Sequence[str]) -> list[Combination]:
    """Return all combinations, the projects of which are ``prepared``.

    ``known`` are the machines that there are for tasks. Raises MatrixError.
    """
    machines = choose_machines(asked.machines, known)
    found = []
    for number, (project, each) in enumerate(zip(asked.projects, prepared, strict=True)):
        own = machines or [_own_machine(each, known)]
        variables = each.looked.get("matrix") or {} if asked.variables else {}
        values = [[(name, value) for value in some] for name, some in variables.items()]
        for name, chosen, machine in itertools.product(
            asked.configs or [""], itertools.product(*values), own
        ):
            axes = {PROJECT: project.label, CONFIG: name, MACHINE: machine}
            axes |= {f"${variable}": value for variable, value in chosen}
            found.append(Combination("", axes, number, wanted_fields(asked, each, axes)))
            if len(found) > MOST:
                raise MatrixError(f"that would be more than {MOST} combinations")
        # What is wrong with one is wrong with all of its machines.
        check_fields(found[-1].fields)
    return _named(found)


def wanted_fields(asked: Asked, prepared: Prepared, axes: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Return the fields of the task for these values of the axes. Raises MatrixError."""
    name = axes.get(CONFIG) or ""
    if name and name not in asked.configs:
        raise MatrixError(f"there are no words '{name}' among the configs")
    settings = [
        f"{_VARIABLE}{axis[1:]}={value}" for axis, value in axes.items() if axis.startswith("$")
    ]
    return {**vary(prepared, asked.configs.get(name, ""), settings), "machine": axes[MACHINE]}


def check_fields(fields: t.Mapping[str, t.Any]) -> None:
    """Raise MatrixError if a task cannot have these ``fields``."""
    try:
        Task.from_mapping({str(name).replace("_", "-"): v for name, v in fields.items()}, "task")
    except EngineError as error:
        raise MatrixError(str(error)) from None


def _own_machine(prepared: Prepared, known: t.Sequence[str]) -> str:
    machine = prepared.fields.get("machine")
    if machine:
        return str(machine)
    if len(known) == 1:
        return known[0]
    there = ", ".join(known) or "none: provision it first"
    raise MatrixError(f"say which machines to use (machines=PATTERN); there are: {there}")


def varying(combinations: t.Iterable[t.Mapping[str, str]]) -> list[str]:
    """Return the axes on which the combinations with these axes differ, in order."""
    values: dict[str, set[str | None]] = {}
    every = list(combinations)
    for axes in every:
        for name in axes:
            values.setdefault(name, set())
    for axes in every:
        for name, some in values.items():
            some.add(axes.get(name))
    return [name for name, some in values.items() if len(some) > 1]


def _named(combinations: list[Combination]) -> list[Combination]:
    """Give each an id that can be a folder, of what tells it from the others."""
    differing = varying(combination.axes for combination in combinations) or [MACHINE]
    taken: set[str] = set()
    named = []
    for combination in combinations:
        words = [
            f"{name.removeprefix('$')}-{value}" if name.startswith("$") else value
            for name in differing
            if (value := combination.axes.get(name, ""))
        ]
        text = "_".join(re.sub("[^A-Za-z0-9.+-]+", "-", word).strip("-.") for word in words)
        name = stem = text[:_LONGEST].strip("_") or "task"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}.{number}"
        taken.add(name.lower())
        named.append(dataclasses.replace(combination, id=name))
    return named
