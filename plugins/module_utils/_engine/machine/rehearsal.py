# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A rehearsal: all that a task needs of the host, without a task."""

from __future__ import annotations

import contextlib
import os

from ..host.attach import attach
from ..host.host import Host, HostError
from ..linux.private import make_private
from ..network.bridge import random_mac
from ..vm.machines import make_vm
from .bootstrap import Running
from .fork import fork
from .inventory import Machine
from .locking import task_lock
from .sweep import leased
from .toolchain import Toolchain

# What a task writes before anything else is of this order: a disk with less room is full.
_ROOM = 1 << 20


def rehearse(
    host: Host, machine: Machine, toolchain: Toolchain, running: Running, logs: str
) -> None:
    """Do for ``machine`` what a task does, up to QEMU's start, and take it all back.

    ``logs`` is the folder of logs. Raises whatever keeps a task from being performed, and
    LockError while one is on the machine.
    """
    manifest, source = machine.manifest, machine.revision
    if machine.bootstrapped is not None:
        manifest, source = machine.bootstrapped.machine, machine.bootstrapped_path
    if manifest is None or source is None:
        raise HostError(f"there is nothing of machine {machine.name} to start", culprit="machine")
    with (
        task_lock(host, machine, "rehearse", running),
        leased(host, what="rehearsal", machine=machine.name) as lease,
    ):
        folder = os.path.join(host.tftp, "build", f"{toolchain.name}-{lease.id}")
        path = f"{machine.bootstrapped_path}-{lease.id}"
        lease.note(folders=[folder], snapshot=path)
        make_private(folder)
        mac = manifest.mac or random_mac()
        hardware = running.hardware(manifest, toolchain.name, path, mac)
        fork(host, source, hardware)
        make_private(logs)
        for place in (folder, path, logs):
            _write(place)
        with (
            contextlib.closing(attach(host, lease, mac, running.port)) as network,
            network.serve(get_root=folder, put_root=folder),
            contextlib.closing(make_vm(host, lease, hardware, running.accelerator, folder)) as vm,
        ):
            vm.start(network)


def _write(folder: str) -> None:
    """See that there is room in ``folder``. Raises OSError."""
    path = os.path.join(folder, f".rehearsal-{os.getpid()}")
    try:
        with open(path, "xb") as file:
            file.write(os.urandom(_ROOM))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
