# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What people write to have something built, made a task: fields, and files for its guest."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..errors import EngineError
from ..formats.manifest.model import ManifestError
from ..records.task import Task
from ..records.values import join_words, split_words
from .inspection import inspect
from .pack import SourceError
from .source import TaskSource, find_source

PREFIX = "config.bbot."
# Options that are settings of our worker, by their names there.
SETTINGS = {
    "artifacts": "artifacts",
    "driver": "driver",
    "operations": "operations",
    "subfolder": "subfolder",
    "test_command": "test",
}
_REPOSITORY = ("repository", "repository-url", "repository-type", "repository-checksum")


class PrepareError(EngineError):
    """What was written is no task; the text says why."""

    culprit = "task"
    temporary = False


@dataclasses.dataclass(frozen=True)
class Wish:
    """What people write.

    ``task`` is a manifest file, a YAML file, the text of either, or a mapping; ``source`` as
    find_source() takes it; both may be empty, though not at once. ``settings`` are more of the
    worker's, a mapping or words `name=value`, ``auxiliary_machines`` a mapping of names to
    machines or words `NAME=MACHINE`. The others are texts.
    """

    task: t.Any = ""
    source: str = ""
    config: str = ""
    settings: t.Any = ""
    auxiliary_machines: t.Any = ""
    interactive: str = ""
    artifacts: str = ""
    driver: str = ""
    operations: str = ""
    subfolder: str = ""
    test_command: str = ""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A task: its ``fields``, and the ``files`` to be offered to its guest, by name.

    ``looked`` is what the worker says of the sources, empty if nothing is known of it.
    ``notes`` and ``warnings`` are lines for people.
    """

    fields: dict[str, t.Any]
    files: dict[str, str]
    looked: dict[str, t.Any]
    notes: list[str]
    warnings: list[str]

    @property
    def auxiliary_machines(self) -> list[str]:
        """The names of the auxiliary machines that the task wants, each once."""
        names: list[str] = []
        for field, value in self.fields.items():
            if _dashed(field).startswith("auxiliary-machine"):
                names += [str(each) for each in (value if isinstance(value, list) else [value])]
        return sorted(set(names))

    def describe(self, option: str) -> list[str]:
        """Lines on what was packed, how it will be built, and how else by ``option``."""
        lines, looked = list(self.notes), self.looked
        if looked.get("driver"):
            reason = f" ({looked['reason']})" if looked.get("reason") else ""
            lines.append(f"driver {looked['driver']}{reason}")
        if looked.get("others"):
            others = ", ".join(f"{each['driver']} ({each['reason']})" for each in looked["others"])
            lines.append(f"also possible: {others}: choose with {option}")
        return lines


def prepare(wish: Wish, directory: str, folder: str, worker: str | None) -> Prepared:
    """Make a task of the ``wish``, whose relative paths begin at ``directory``.

    The source is packed in ``folder``. ``worker`` is asked how it would build it; None if that
    is another one than ours. Raises PrepareError.
    """
    task = _read_task(wish.task, directory)
    source: TaskSource | None = None
    if wish.source:
        try:
            source = find_source(wish.source, directory, folder)
        except SourceError as error:
            raise PrepareError(f"{error}.") from None
        task = {"name": source.name, "version": source.version, **task}
        task = {name: value for name, value in task.items() if _dashed(name) not in _REPOSITORY}
        task |= source.fields
    task |= _auxiliary(wish.auxiliary_machines)
    if wish.interactive:
        task["interactive"] = wish.interactive
    words = _configure(task, wish)
    looked = {} if worker is None else _look(worker, source, words)
    return Prepared(
        fields=task,
        files=source.files if source else {},
        looked=looked,
        notes=source.notes if source else [],
        warnings=source.warnings if source else [],
    )


def vary(prepared: Prepared, config: str, words: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """Return the fields of the ``prepared`` task with more words in its target-config.

    ``config`` is a text of words, ``words`` are some. Settings of our worker replace those of the
    same name. Raises PrepareError.
    """
    task = dict(prepared.fields)
    new = [*_split(config), *words]
    settings = {}
    for word in new:
        if word.startswith(PREFIX):
            name, _sign, value = word.removeprefix(PREFIX).partition("=")
            settings[name] = value
    if not new:
        return task
    plain = join_words(word for word in new if not word.startswith(PREFIX))
    _configure(task, Wish(config=plain, settings=settings))
    return task


def _dashed(name: str) -> str:
    return str(name).replace("_", "-")


def _read_task(given: t.Any, directory: str) -> dict[str, t.Any]:
    """Return the fields of a task that is a file, a text, or a mapping already."""
    if given in (None, ""):
        return {}
    if isinstance(given, dict):
        return dict(given)
    if not isinstance(given, str):
        raise PrepareError(f"task is {type(given).__name__}: a file or a mapping is wanted")
    where = "the task"
    text = given
    if "\n" not in given and "{" not in given:
        where = os.path.join(directory, os.path.expanduser(given))
        try:
            with open(where, encoding="utf-8-sig") as file:
                text = file.read()
        except (OSError, UnicodeError) as error:
            raise PrepareError(f"There is no task file {where} to be read: {error}") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        if lines and lines[0].lstrip().startswith(":"):
            return _fields(Task.parse(text, where))
    except ManifestError as error:
        raise PrepareError(f"{where} cannot be read: {error}") from None
    content = _read_yaml(text, where)
    if not isinstance(content, dict):
        raise PrepareError(
            f"{where} is neither a task manifest nor a YAML mapping of a task's fields."
        )
    return content


def _read_yaml(text: str, where: str) -> t.Any:
    try:
        # Not every build host has it, and manifests do without.
        import yaml
    except ImportError:
        raise PrepareError(
            f"{where} is YAML, which takes the Debian package python3-yaml; install it or write a "
            "task manifest"
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise PrepareError(f"{where} cannot be read: {error}") from None


def _fields(task: Task) -> dict[str, t.Any]:
    """The task's pairs as a mapping; those that repeat are lists."""
    fields: dict[str, t.Any] = {}
    for pair in task.to_manifest():
        known = fields.get(pair.name)
        if known is None:
            fields[pair.name] = pair.value
        else:
            fields[pair.name] = [*(known if isinstance(known, list) else [known]), pair.value]
    return fields


def _configure(task: dict[str, t.Any], wish: Wish) -> str:
    """Put settings and words of the wish into the task's target-config; its words."""
    settings = _settings(wish.settings)
    given = {there: getattr(wish, here) for here, there in SETTINGS.items()}
    settings |= {name: value for name, value in given.items() if value}
    name = next((key for key in task if _dashed(key) in ("target-config", "config")), "")
    old = task.get(name) or "" if name else ""
    words = [str(word) for word in old] if isinstance(old, list) else _split(str(old))
    words += _split(wish.config)
    replaced = tuple(f"{PREFIX}{setting}=" for setting in settings)
    if replaced:
        words = [word for word in words if not word.startswith(replaced)]
    words += [f"{PREFIX}{setting}={value}" for setting, value in settings.items()]
    if words:
        task.pop(name, None)
        task["target-config"] = words
    return join_words(words)


def _split(text: str) -> list[str]:
    try:
        return split_words(text)
    except ValueError as error:
        raise PrepareError(f"'{text}' cannot be split into words: {error}") from None


def _settings(given: t.Any) -> dict[str, str]:
    """Settings by name, of a mapping or of words `name=value`."""
    if isinstance(given, dict):
        return {str(name): str(value) for name, value in given.items()}
    settings = {}
    for word in _split(str(given)):
        name, sign, value = word.removeprefix(PREFIX).partition("=")
        if not sign:
            raise PrepareError(f"settings: '{word}' is not name=value")
        settings[name] = value
    return settings


def _auxiliary(given: t.Any) -> dict[str, t.Any]:
    """Fields for auxiliary machines: a mapping of names to machines, or words `NAME=MACHINE`.

    One without a name, whose variables get no prefix, is just `MACHINE`.
    """
    if isinstance(given, dict):
        return {f"auxiliary-machine-{name}": str(machine) for name, machine in given.items()}
    words = given if isinstance(given, list) else _split(str(given).replace(",", " "))
    fields: dict[str, t.Any] = {}
    nameless = []
    for word in words:
        name, sign, machine = str(word).partition("=")
        if sign:
            fields[f"auxiliary-machine-{name}"] = machine
        else:
            nameless.append(name)
    return fields | ({"auxiliary-machine": nameless} if nameless else {})


def _look(worker: str, source: TaskSource | None, words: str) -> dict[str, t.Any]:
    looked = inspect(worker, source.tree if source else "", words)
    if "error" in looked:
        raise PrepareError(looked["error"])
    return looked
