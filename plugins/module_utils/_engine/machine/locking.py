# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Who may use a machine."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..host.host import Host
from ..host.locks import Lock
from .bootstrap import Running
from .inventory import Machine


def task_lock(
    host: Host, machine: Machine, purpose: str, running: Running
) -> t.ContextManager[object]:
    """The right to boot a snapshot of ``machine``.

    In segments of their own any number of snapshots runs at once. Nothing has to be kept from
    the machine meanwhile either: who replaces it leaves snapshots as they are. On a bridge, one
    runs at a time, as all have the machine's MAC address.
    """
    if host.bridge is None:
        return contextlib.nullcontext()
    return _lock(host, machine, purpose, running.patience, running.alive)


def is_free(host: Host, machine: Machine) -> bool:
    """Whether a task could begin on ``machine`` now."""
    return host.bridge is None or not _lock(host, machine, "look at it").held()


def _lock(
    host: Host,
    machine: Machine,
    purpose: str,
    patience: float = 0,
    alive: t.Callable[[], bool] = lambda: True,
) -> Lock:
    name = os.path.basename(machine.bootstrapped_path)
    what = f"{purpose} on machine {machine.name}"
    return host.lock(f"task-{machine.volume}-{name}", what, patience, alive)
