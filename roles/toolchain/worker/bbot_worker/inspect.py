# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sources would be built, said before a machine is booted for them."""

from __future__ import annotations

import json
import os
import tempfile

from .account import Account
from .drivers import choose, driver_named
from .drivers.tree import Tree
from .errors import NotHere, WorkerError
from .sources.archive import unpack
from .task import Task

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import Any

# Bytes. It would take longer to look into a larger archive than people like to wait.
_ARCHIVE_MOST = 200 << 20


def inspect(path: str, configuration: str) -> str:
    """Return JSON about the sources in the directory or archive *path* with this target-config.

    ``driver`` and the ``reason`` for it, ``others`` that are possible, and a ``matrix`` of
    variables if there is one; or an ``error``. With an empty *path* the target-config alone is
    checked, as it is with an archive that is too much for this machine.
    """
    task = Task([("name", "x"), ("version", "0"), ("target-config", configuration)])
    try:
        task.read_configuration()
        wanted = task.settings.get("driver") or "auto"
        if wanted != "auto":
            driver_named(wanted)
        return json.dumps(_look(task, path) if path else {})
    except WorkerError as error:
        return json.dumps({"error": str(error)})


def _look(task: Task, path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        return _choose(task, path)
    if os.stat(path).st_size > _ARCHIVE_MOST:
        return {}
    with tempfile.TemporaryDirectory(prefix="bbot-inspect.") as folder:
        account = Account(home=folder)
        account.ids = None  # It is to be looked at, by us.
        try:
            return _choose(task, unpack(path, os.path.join(folder, "tree"), account))
        except NotHere:
            return {}


def _choose(task: Task, path: str) -> dict[str, Any]:
    tree = Tree(path)
    if task.settings.get("subfolder"):
        tree = tree.within(task.settings["subfolder"])
    choice = choose(task, tree)
    choice.driver.review(tree, task)
    others = [{"driver": name, "reason": reason} for name, reason in choice.others]
    said = {"driver": choice.driver.name, "reason": choice.reason, "others": others}
    matrix = choice.driver.matrix(tree)
    return {**said, "matrix": matrix} if matrix else said
