# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A single machine, without a conversation."""

from __future__ import annotations

import contextlib
import select
import time
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.attach import attach
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import leased
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.attachment import (
    Attachment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.process import Vm

from .build_host import RAM, TCG, BuildHost
from .waiting import PATIENCE

MAC = "02:00:00:00:00:21"


@contextlib.contextmanager
def a_vm(host: BuildHost, place: Path, /, **changes: t.Any) -> t.Iterator[tuple[Vm, Attachment]]:
    """A machine in ``place``, not started yet, and the network to start it in."""
    engine = host.engine(**{k: changes.pop(k) for k in ("user", "bridge") if k in changes})
    facts = {"name": "tiny-default", "directory": str(place), "mac": MAC, "ram": RAM}
    with leased(engine, what="test") as lease:
        hardware = Hardware(**{**facts, **changes})
        with contextlib.closing(attach(engine, lease, hardware.mac)) as network:
            vm = Vm(engine, lease, hardware, TCG, str(host.logs))
            try:
                yield vm, network
            finally:
                vm.close()


def options(bootstrapped: Machine) -> list[str]:
    """QEMU's options as the machine wants them."""
    if bootstrapped.manifest is None:
        raise AssertionError(f"machine {bootstrapped.name} has no manifest")
    return bootstrapped.manifest.option_words


def status(vm: Vm) -> str:
    """What QEMU says it does."""
    if vm._qmp is None:
        raise AssertionError("the machine has not been started")
    return str(vm._qmp.execute("query-status")["status"])


def read_console(vm: Vm, words: bytes) -> bytes:
    """Wait for ``words`` on the machine's console; what came before them, and they."""
    seen = b""
    end = time.monotonic() + PATIENCE
    while words not in seen:
        if not select.select([vm.console], [], [], end - time.monotonic())[0]:
            raise AssertionError(f"not within {PATIENCE:g} s: {words!r}, but {seen!r}")
        seen += vm.console.recv(65536)
    return seen
