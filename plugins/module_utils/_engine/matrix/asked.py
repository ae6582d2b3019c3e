# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What people ask a matrix for, as plain data that a resumed one reads again."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import re
import typing as t

from ..errors import EngineError
from ..records.values import join_words, split_words
from ..task.prepare import Wish

# More is a slip of the fingers, or of a pattern.
MOST = 1000
_ENDINGS = (".yml", ".yaml", ".manifest")
_NAMED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9_.+-]*)\s*:(?=\s|$)\s*(.*)", re.DOTALL)
# What a wish says for all combinations alike.
_COMMON = tuple(
    field.name
    for field in dataclasses.fields(Wish)
    if field.name not in ("task", "source", "config")
)


class MatrixError(EngineError):
    """What was asked for is no matrix; the text says why."""

    culprit = "task"
    temporary = False


@dataclasses.dataclass(frozen=True)
class Project:
    """What is built in each combination of the other axes: a task, a source, or both."""

    label: str
    task: t.Any
    source: str


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a matrix is asked for.

    ``projects`` are built with each of the ``configs``, words for the build's tool by name, on
    each machine that one of the patterns ``machines`` fits; without patterns on that of the task.
    ``config`` are words for all, ``common`` the other fields of a Wish. ``directory`` is where
    relative paths begin. ``variables`` says whether the matrix in bbot.yml is expanded.
    ``fail_on`` is the least status that is a failure.
    """

    projects: tuple[Project, ...]
    configs: dict[str, str]
    machines: tuple[str, ...]
    directory: str
    config: str = ""
    common: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    variables: bool = True
    fail_on: str = "error"

    def wish(self, project: Project) -> Wish:
        """What people would write for this project alone."""
        return Wish(task=project.task, source=project.source, config=self.config, **self.common)

    def to_mapping(self) -> dict[str, t.Any]:
        """Return it as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, given: t.Any) -> Asked:
        """Undo to_mapping(). Raises MatrixError for what it has not made."""
        try:
            projects = tuple(Project(**project) for project in given["projects"])
            rest = {name: value for name, value in given.items() if name != "projects"}
            return cls(**{**rest, "projects": projects, "machines": tuple(given["machines"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise MatrixError(f"the index does not say what was asked for: {error}") from None


def common_of(given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Those of the options ``given`` that hold for all combinations alike."""
    return {name: given[name] for name in _COMMON if name in given}


def read_configs(given: t.Any) -> dict[str, str]:
    """Return words for the build's tool by the name of their set.

    ``given`` is a mapping of names to words (a text or a list), a list of texts, or a text with
    `NAME: WORDS` and semicolons between; words without a name are their own. Raises MatrixError.
    """
    found: dict[str, str] = {}
    if isinstance(given, dict):
        pairs = [(str(name), value) for name, value in given.items()]
    else:
        texts = given if isinstance(given, list) else [given or ""]
        parts = [part.strip() for text in texts for part in str(text).split(";") if part.strip()]
        pairs = [
            (match[1], match[2]) if (match := _NAMED.fullmatch(part)) else (part, part)
            for part in parts
        ]
    for name, value in pairs:
        words = join_words(map(str, value)) if isinstance(value, list) else str(value or "")
        try:
            split_words(words)
        except ValueError as error:
            raise MatrixError(f"configs: '{words}' cannot be split into words: {error}") from None
        if name in found:
            raise MatrixError(f"configs: there are two sets '{name}'")
        found[name] = words
    return found


def read_patterns(given: t.Any) -> tuple[str, ...]:
    """Return the patterns in a list, or in a text with commas between."""
    texts = given if isinstance(given, (list, tuple)) else [given or ""]
    return tuple(part for text in texts for part in str(text).replace(",", " ").split())


def find_projects(tasks: t.Any, sources: t.Sequence[str], directory: str) -> tuple[Project, ...]:
    """Return each of the ``tasks`` with each of the ``sources``, or either of them alone.

    ``tasks`` are what Wish.task may be, one or a list of them; a folder stands for the task files
    in it. Raises MatrixError.
    """
    given = tasks if isinstance(tasks, list) else [] if tasks in (None, "") else [tasks]
    found = [one for each in given for one in _tasks_in(each, directory)]
    pairs = [(task, source) for task in found or [""] for source in sources or [""]]
    if pairs == [("", "")]:
        raise MatrixError("there is nothing to build: name tasks or sources")
    labels: dict[str, None] = {}
    projects = []
    for task, source in pairs:
        label = _unique(_label(task, source, several=len(sources) > 1), labels)
        labels[label] = None
        projects.append(Project(label, task, source))
    return tuple(projects)


def _tasks_in(task: t.Any, directory: str) -> list[t.Any]:
    if not isinstance(task, str) or "\n" in task:
        return [task]
    path = os.path.join(directory, os.path.expanduser(task))
    if not os.path.isdir(path):
        return [task]
    found = sorted(name for name in os.listdir(path) if name.endswith(_ENDINGS))
    if not found:
        raise MatrixError(f"there are no tasks in {path}: no files *{', *'.join(_ENDINGS)}")
    return [os.path.join(path, name) for name in found]


def _label(task: t.Any, source: str, *, several: bool) -> str:
    words = []
    if isinstance(task, dict):
        words.append(str(task.get("name", "task")))
    elif task:
        name = "task" if "\n" in task or "{" in task else os.path.basename(task.rstrip("/"))
        words.append(re.sub(r"\.(?:ya?ml|manifest)$", "", name))
    if source and (several or not words):
        place, _hash, reference = source.partition("#")
        name = os.path.basename(os.path.abspath(place) if place in (".", "..") else place)
        words.append(f"{name or place}{f'#{reference}' if reference else ''}")
    plain = [re.sub("[^A-Za-z0-9_+.-]+", "-", word).strip("-_.") for word in words]
    return "-".join(filter(None, plain)) or "project"


def _unique(label: str, taken: t.Container[str]) -> str:
    number, found = 1, label
    while found in taken:
        number += 1
        found = f"{label}.{number}"
    return found


def choose_machines(patterns: t.Sequence[str], known: t.Sequence[str]) -> list[str]:
    """Return those of the machines ``known`` that one of the ``patterns`` fits, in their order.

    `all` is each. Raises MatrixError for a pattern that fits none.
    """
    names: dict[str, None] = {}
    for pattern in patterns:
        wanted = "*" if pattern == "all" else pattern
        found = [name for name in known if fnmatch.fnmatchcase(name, wanted)]
        if not found:
            there = ", ".join(known) or "none"
            raise MatrixError(f"no machine {pattern} on this host; there are: {there}")
        names |= dict.fromkeys(found)
    return list(names)
