# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sources would be built, said before a machine is booted for them."""

from __future__ import annotations

import json

from .drivers import choose
from .drivers.tree import Tree
from .errors import WorkerError
from .task import Task


def inspect(directory: str, configuration: str) -> str:
    """Return JSON about the sources in *directory* with this target-config.

    ``driver`` and the ``reason`` for it, ``others`` that are possible; or an ``error``.
    """
    task = Task([("name", "x"), ("version", "0"), ("target-config", configuration)])
    try:
        task.read_configuration()
        choice = choose(task, Tree(directory))
    except WorkerError as error:
        return json.dumps({"error": str(error)})
    others = [{"driver": name, "reason": reason} for name, reason in choice.others]
    return json.dumps({"driver": choice.driver.name, "reason": choice.reason, "others": others})
