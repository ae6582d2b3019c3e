# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Who may use a machine."""

from __future__ import annotations

import os

from ..host.host import Host
from ..host.locks import Lock
from .bootstrap import Running
from .inventory import Machine


def task_lock(host: Host, machine: Machine, purpose: str, running: Running | None = None) -> Lock:
    """The right to perform a task on ``machine``: its snapshots all have its MAC address."""
    name = os.path.basename(machine.bootstrapped_path)
    patience, alive = (running.patience, running.alive) if running else (0.0, lambda: True)
    what = f"{purpose} on machine {machine.name}"
    return host.lock(f"task-{machine.volume}-{name}", what, patience, alive)
