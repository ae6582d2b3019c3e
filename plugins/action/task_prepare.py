# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: read what people want to be built, and pack it, on the control node."""

from __future__ import annotations

import difflib
import os
import typing as t

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import (
    join_words,
    split_words,
)
from ansible_collections.bbot.agent.plugins.plugin_utils._inspect import inspect
from ansible_collections.bbot.agent.plugins.plugin_utils._source import SourceError
from ansible_collections.bbot.agent.plugins.plugin_utils._task_source import (
    TaskSource,
    find_source,
    new_folder,
    remove_folder,
)

display = Display()

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
# How alike a variable has to be to one of ours to be a slip of the fingers.
_ALIKE = 0.8


class ActionModule(ActionBase):
    """Turns the options into a task, and files for its guest."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={
                "task": {"type": "raw"},
                "source": {"type": "str", "default": ""},
                "directory": {"type": "path", "default": "."},
                "config": {"type": "str", "default": ""},
                "settings": {"type": "raw", "default": {}},
                "auxiliary_machines": {"type": "raw", "default": ""},
                "interactive": {"type": "str", "default": ""},
                "variables": {"type": "list", "elements": "str", "default": []},
                "foreign": {"type": "bool", "default": False},
                **{name: {"type": "str", "default": ""} for name in SETTINGS},
            }
        )
        self._check_variables(options["variables"])
        # In check mode nothing is handed over.
        folder = new_folder()
        try:
            result.update(self._prepare(options, folder))
        except BaseException:
            remove_folder(folder)
            raise
        if self._task.check_mode or not result["files"]:
            remove_folder(folder)
            result["files"] = []
        else:
            result["folder"] = folder
        return result

    def _check_variables(self, known: list[str]) -> None:
        """Refuse a variable of the command line that is nearly one of the ``known``."""
        for name in sorted(set(load_extra_vars(self._loader)) - set(known)):
            close = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
            if close:
                raise AnsibleActionFail(f"unknown variable '{name}': did you mean '{close[0]}'?")

    def _prepare(self, options: dict[str, t.Any], folder: str) -> dict[str, t.Any]:
        if not options["source"] and options["task"] in (None, ""):
            raise AnsibleActionFail(
                "Say what to build: -e task=FILE for a task manifest or a YAML file, or -e "
                "source=FOLDER for a local folder, an archive, a .dsc file or a git reference."
            )
        directory = options["directory"]
        task = _read_task(options["task"], directory)
        source: TaskSource | None = None
        if options["source"]:
            try:
                source = find_source(options["source"], directory, folder)
            except SourceError as error:
                raise AnsibleActionFail(f"{error}.") from None
            task = {"name": source.name, "version": source.version, **task}
            task = {name: value for name, value in task.items() if _dashed(name) not in _REPOSITORY}
            task |= source.fields
        task |= _auxiliary(options["auxiliary_machines"])
        if options["interactive"]:
            task["interactive"] = options["interactive"]
        words = _configure(task, options)
        notes = source.notes if source else []
        looked = {} if options["foreign"] else _look(source, words)
        for warning in source.warnings if source else []:
            display.warning(warning)
        for note in [*notes, *_describe(looked)]:
            display.display(f"[{self._task_host()}] {note}")
        return {
            "changed": False,
            "task": task,
            "driver": looked.get("driver", ""),
            "others": looked.get("others", []),
            "auxiliary_machines": _names_of_auxiliary(task),
            "files": [
                {"name": name, "path": path}
                for name, path in (source.files if source else {}).items()
            ],
            "warnings": source.warnings if source else [],
        }

    def _task_host(self) -> str:
        return str(self._play_context.remote_addr or "localhost")


def _dashed(name: str) -> str:
    return str(name).replace("_", "-")


def _read_task(given: t.Any, directory: str) -> dict[str, t.Any]:
    """Return the fields of a task that is a file, a text, or a mapping already."""
    if given in (None, ""):
        return {}
    if isinstance(given, dict):
        return dict(given)
    if not isinstance(given, str):
        raise AnsibleActionFail(f"task is {type(given).__name__}: a file or a mapping is wanted")
    where = "the task"
    text = given
    if "\n" not in given and "{" not in given:
        where = os.path.join(directory, os.path.expanduser(given))
        try:
            with open(where, encoding="utf-8-sig") as file:
                text = file.read()
        except (OSError, UnicodeError) as error:
            raise AnsibleActionFail(f"There is no task file {where} to be read: {error}") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        if lines and lines[0].lstrip().startswith(":"):
            return _fields(Task.parse(text, where))
        content = yaml.safe_load(text)
    except (ManifestError, yaml.YAMLError, RecursionError) as error:
        raise AnsibleActionFail(f"{where} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise AnsibleActionFail(
            f"{where} is neither a task manifest nor a YAML mapping of a task's fields."
        )
    return content


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


def _configure(task: dict[str, t.Any], options: dict[str, t.Any]) -> str:
    """Put settings and words of the options into the task's target-config; its words."""
    settings = _settings(options["settings"])
    settings |= {there: options[here] for here, there in SETTINGS.items() if options[here]}
    name = next((key for key in task if _dashed(key) in ("target-config", "config")), "")
    given = task.get(name) or "" if name else ""
    words = [str(word) for word in given] if isinstance(given, list) else _split(str(given))
    words += _split(options["config"])
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
        raise AnsibleActionFail(f"'{text}' cannot be split into words: {error}") from None


def _settings(given: t.Any) -> dict[str, str]:
    """Settings by name, of a mapping or of words `name=value`."""
    if isinstance(given, dict):
        return {str(name): str(value) for name, value in given.items()}
    settings = {}
    for word in _split(str(given)):
        name, sign, value = word.removeprefix(PREFIX).partition("=")
        if not sign:
            raise AnsibleActionFail(f"settings: '{word}' is not name=value")
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


def _names_of_auxiliary(task: dict[str, t.Any]) -> list[str]:
    """The auxiliary machines that the task wants, each once."""
    names: list[str] = []
    for field, value in task.items():
        if _dashed(field).startswith("auxiliary-machine"):
            names += [str(each) for each in (value if isinstance(value, list) else [value])]
    return sorted(set(names))


def _look(source: TaskSource | None, words: str) -> dict[str, t.Any]:
    looked = inspect(source.tree if source else "", words)
    if "error" in looked:
        raise AnsibleActionFail(looked["error"])
    return looked


def _describe(looked: dict[str, t.Any]) -> list[str]:
    """Lines on how it will be built, and how else it could be."""
    if not looked.get("driver"):
        return []
    reason = f" ({looked['reason']})" if looked.get("reason") else ""
    lines = [f"driver {looked['driver']}{reason}"]
    if looked.get("others"):
        others = ", ".join(f"{each['driver']} ({each['reason']})" for each in looked["others"])
        lines.append(f"also possible: {others}: choose with -e driver=NAME")
    return lines
