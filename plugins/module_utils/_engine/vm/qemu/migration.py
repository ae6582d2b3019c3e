# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A machine's state in a file: what one QEMU writes and another one reads.

QEMU's own migration, into a file that is handed over open: its sandbox forbids it
to start a program to write to, and not every version of it knows files by name.
"""

from __future__ import annotations

import dataclasses
import os
import time

from .qmp import Qmp, QmpError

# QEMU's limit for the rate at which it saves, in bytes a second; its default is low, for
# the sake of a machine that goes on running.
_NO_LIMIT = 1 << 40
# How long QEMU may take, in seconds, and how often it is asked.
_PATIENCE = 600.0
_INTERVAL = 0.005


@dataclasses.dataclass(frozen=True)
class SavedState:
    """The state of a machine in the file ``path``, fit for the same machine only.

    ``key`` stands for what the machine consists of (see vm/qemu/process.py), ``qemu`` for the
    version that has saved it. With ``ram_apart`` the RAM is not in the state but
    in the file that the machine's RAM was mapped from.
    """

    path: str
    key: str
    qemu: str
    ram_apart: bool = False


def save(qmp: Qmp, path: str, *, ram_apart: bool) -> None:
    """Write the state of the stopped machine at ``qmp`` to the new file ``path``.

    Raises QmpError, and OSError where the file cannot be made; there is no file then.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _choose(qmp, ram_apart=ram_apart)
        qmp.execute("migrate-set-parameters", **{"max-bandwidth": _NO_LIMIT})
        qmp.hand_over("state", fd)
        qmp.execute("migrate", uri="fd:state")
        _await_saved(qmp)
        os.fsync(fd)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _await_saved(qmp: Qmp) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        answer = qmp.execute("query-migrate")
        status = answer.get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled") or time.monotonic() >= deadline:
            reason = answer.get("error-desc") or f"it is {status} after {_PATIENCE:g} s"
            raise QmpError(f"QEMU did not save the machine: {reason}")
        time.sleep(_INTERVAL)


def load(qmp: Qmp, state: SavedState) -> None:
    """Read ``state`` into the machine at ``qmp``, which waits for it and is stopped afterwards.

    A state that QEMU cannot read is its end, hence a QmpError. Raises OSError too,
    where the file cannot be opened.
    """
    _choose(qmp, ram_apart=state.ram_apart)
    # QEMU would have the guest tell all the world where it has moved to.
    qmp.execute("migrate-set-parameters", **{"announce-rounds": 0})
    fd = os.open(state.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        qmp.hand_over("state", fd)
    finally:
        os.close(fd)
    qmp.execute("migrate-incoming", uri="fd:state")
    deadline = time.monotonic() + _PATIENCE
    while (status := qmp.execute("query-status")["status"]) == "inmigrate":
        if time.monotonic() >= deadline:
            raise QmpError(f"QEMU did not load the machine's state within {_PATIENCE:g} s")
        time.sleep(_INTERVAL)
    if status != "paused":
        raise QmpError(f"QEMU loaded the machine's state and is {status}, not paused")


def _choose(qmp: Qmp, *, ram_apart: bool) -> None:
    """Say whether RAM that is mapped from a file is part of the state."""
    capability = {"capability": "x-ignore-shared", "state": ram_apart}
    qmp.execute("migrate-set-capabilities", capabilities=[capability])
