# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""On what a task was performed: kept among its results, so that it can be repeated."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ..host.guest_lines import cut
from ..machine.bootstrap import Running
from ..machine.inventory import Machine
from ..machine.toolchain import Toolchain

FILE = "origin.json"
# A file of ours has some hundred bytes.
_MOST = 65536
# What the facts are called in sentences.
_WORDS = {
    "machine": "machine",
    "image": "image of the machine",
    "revision": "revision of the machine",
    "toolchain": "toolchain",
    "toolchain_id": "id of the toolchain",
    "cpu": "CPUs",
    "ram": "KiB of memory",
    "accelerator": "accelerator",
}


@dataclasses.dataclass(frozen=True)
class Origin:
    """The ``machine`` of a task by its name, with the id of its ``image`` and its ``revision``.

    The ``toolchain`` by name and id, and how the machine was run: ``ram`` is in KiB.
    """

    machine: str
    image: str
    revision: str
    toolchain: str
    toolchain_id: str
    cpu: int
    ram: int
    accelerator: str

    @classmethod
    def of(cls, machine: Machine, toolchain: Toolchain, running: Running) -> Origin:
        """Return that of a task on a bootstrapped machine."""
        manifest = machine.bootstrapped.machine if machine.bootstrapped else machine.manifest
        return cls(
            machine=machine.name,
            image=manifest.id if manifest else "",
            revision=os.path.basename(machine.revision or ""),
            toolchain=toolchain.name,
            toolchain_id=toolchain.id,
            cpu=running.cpu,
            ram=running.ram_of(manifest) if manifest else running.ram,
            accelerator=running.accelerator.name,
        )

    def write(self, logs: str) -> None:
        """Write it to the folder ``logs``. Raises OSError."""
        path = os.path.join(logs, FILE)
        with open(path, "w", encoding="utf-8", opener=_open_private) as file:
            json.dump(dataclasses.asdict(self), file, indent=2)
            file.write("\n")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def differences(former: str, now: str) -> list[str]:
    """Return in what the task with the results ``now`` was not that of ``former``, in lines.

    Both are folders. What an older version has not kept is told in a line as well.
    """
    before, after = _read(former), _read(now)
    if not before or not after:
        folder = now if before else former
        return [f"whether it was the same cannot be told: there is no {FILE} in {folder}"]
    return [
        f"not as before: {words} was {_shown(before.get(name))}, and is {_shown(after.get(name))}"
        for name, words in _WORDS.items()
        if before.get(name) != after.get(name)
    ]


def _read(folder: str) -> dict[str, t.Any]:
    """What is kept there; empty if that is nothing of ours."""
    try:
        with open(os.path.join(folder, FILE), encoding="utf-8") as file:
            found = json.loads(file.read(_MOST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _shown(value: t.Any) -> str:
    return cut(str(value), 100) if value not in (None, "") else "unknown"
