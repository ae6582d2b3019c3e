# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the actions that read tasks share: their options, and errors as those of actions."""

from __future__ import annotations

import difflib
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

display = Display()

_WORKER = Path(__file__).parents[2] / "roles" / "toolchain" / "worker"

# How alike a variable has to be to one of ours to be a slip of the fingers.
_ALIKE = 0.8

OPTIONS: dict[str, dict[str, t.Any]] = {
    "task": {"type": "raw"},
    "source": {"type": "str", "default": ""},
    "directory": {"type": "path", "default": "."},
    "config": {"type": "str", "default": ""},
    "settings": {"type": "raw", "default": {}},
    "auxiliary_machines": {"type": "raw", "default": ""},
    "interactive": {"type": "str", "default": ""},
    "variables": {"type": "list", "elements": "str", "default": []},
    **{name: {"type": "str", "default": ""} for name in SETTINGS},
}


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
    if not options["source"] and options["task"] in (None, ""):
        raise AnsibleActionFail(
            "Say what to build: -e task=FILE for a task manifest or a YAML file, or -e "
            "source=FOLDER for a local folder, an archive, a .dsc file or a git reference."
        )
    wish = Wish(
        **{name: options[name] for name in OPTIONS if name not in ("directory", "variables")}
    )
    worker = None if foreign else str(_WORKER)
    try:
        prepared = prepare(wish, options["directory"], folder, worker)
    except PrepareError as error:
        raise AnsibleActionFail(str(error)) from None
    for warning in prepared.warnings:
        display.warning(warning)
    for line in prepared.describe("-e driver=NAME"):
        display.display(f"[{host}] {line}")
    return prepared
