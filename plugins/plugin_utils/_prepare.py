# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the actions that read tasks share: their options, and errors as those of actions."""

from __future__ import annotations

import difflib
import os
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.prepare import (
    SETTINGS,
    Prepared,
    PrepareError,
    Wish,
    prepare,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.rerun import prepare_rerun

display = Display()

WORKER = str(Path(__file__).parents[2] / "roles" / "toolchain" / "worker")

# How alike a variable has to be to one of ours to be a slip of the fingers.
_ALIKE = 0.8

OPTIONS: dict[str, dict[str, t.Any]] = {
    "task": {"type": "raw"},
    "source": {"type": "raw", "default": ""},
    "directory": {"type": "path", "default": "."},
    "config": {"type": "str", "default": ""},
    "settings": {"type": "raw", "default": {}},
    "auxiliary_machines": {"type": "raw", "default": ""},
    "interactive": {"type": "str", "default": ""},
    "rerun": {"type": "str", "default": ""},
    "variables": {"type": "list", "elements": "str", "default": []},
    **{name: {"type": "str", "default": ""} for name in SETTINGS},
}


_NOT_WISHED = ("directory", "variables", "rerun")

# What makes several tasks of one.
MATRIX: dict[str, dict[str, t.Any]] = {
    "tasks": {"type": "raw", "default": []},
    "machines": {"type": "raw", "default": []},
    "configs": {"type": "raw", "default": {}},
    "resume": {"type": "str", "default": ""},
    "matrix": {"type": "bool", "default": True},
}


def is_matrix(options: t.Mapping[str, t.Any]) -> bool:
    """Whether these options, OPTIONS and MATRIX, ask for a matrix; bbot.yml may do so, too."""
    if any(options[name] for name in ("tasks", "machines", "configs", "resume")):
        return True
    task, source = options["task"], options["source"]
    if isinstance(task, str) and task and "\n" not in task:
        return os.path.isdir(os.path.join(options["directory"], os.path.expanduser(task)))
    return isinstance(task, list) or (isinstance(source, list) and len(source) > 1)


def has_matrix(options: t.Mapping[str, t.Any], prepared: Prepared) -> bool:
    """Whether the sources themselves have a matrix of more than one combination to be built."""
    variables = prepared.looked.get("matrix") or {}
    return bool(options["matrix"]) and any(len(values) > 1 for values in variables.values())


def check_variables(loader: t.Any, known: list[str]) -> None:
    """Refuse a variable of the command line that is nearly one of the ``known``."""
    for name in sorted(set(load_extra_vars(loader)) - set(known)):
        close = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if close:
            raise AnsibleActionFail(f"unknown variable '{name}': did you mean '{close[0]}'?")


def prepare_task(
    options: t.Mapping[str, t.Any], folder: str, host: str, *, foreign: bool
) -> Prepared:
    """Read the task of these OPTIONS and pack its source in ``folder``, telling people of it.

    ``foreign`` says that another worker than ours will build it. Raises AnsibleActionFail.
    """
    if options["rerun"]:
        return _prepare_rerun(options, host)
    if not options["source"] and options["task"] in (None, ""):
        raise AnsibleActionFail(
            "Say what to build: -e task=FILE for a task manifest or a YAML file, or -e "
            "source=FOLDER for a local folder, an archive, a .dsc file or a git reference."
        )
    wished = {name: options[name] for name in OPTIONS if name not in _NOT_WISHED}
    source = options["source"]
    wish = Wish(**{**wished, "source": str(source[0] if isinstance(source, list) else source)})
    worker = None if foreign else WORKER
    try:
        prepared = prepare(wish, options["directory"], folder, worker)
    except PrepareError as error:
        raise AnsibleActionFail(str(error)) from None
    tell_prepared(prepared, host)
    return prepared


def _prepare_rerun(options: t.Mapping[str, t.Any], host: str) -> Prepared:
    given = [name for name in (*OPTIONS, *MATRIX) if name not in (*_NOT_WISHED, "matrix")]
    given = [name for name in given if options.get(name)]
    if given:
        raise AnsibleActionFail(
            f"rerun does what was asked for then: it cannot be with {', '.join(given)}."
        )
    try:
        prepared = prepare_rerun(options["rerun"], options["directory"])
    except PrepareError as error:
        raise AnsibleActionFail(str(error)) from None
    tell_prepared(prepared, host)
    return prepared


def tell_prepared(prepared: Prepared, host: str) -> None:
    """Tell people what was packed, and how it will be built."""
    for warning in prepared.warnings:
        display.warning(warning)
    for line in prepared.describe("-e driver=NAME"):
        display.display(f"[{host}] {line}")
