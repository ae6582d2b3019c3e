# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A machine that failed, kept for a person, who may have a root shell in it.

It stands still until somebody comes. The shell is one that the guest itself offers, if it knows how
(our images do): only its owner can ask for it, by a stream that nobody else has.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..host.host import Host
from ..host.locks import Lease
from ..vm.protocol import Vm
from .boot import Boot
from .look_in import passed_on
from .relay import Relay

# What asks the guest for a shell, or one that is there for its prompt.
_ASK = b"\n"

# For ever, in seconds.
_FOR_EVER = float("inf")


@contextlib.contextmanager
def inspected(
    host: Host, lease: Lease, vm: Vm, awake: t.Callable[[], None]
) -> t.Iterator[Relay | None]:
    """Let people in to a shell in `vm`, for the length of a with statement.

    `awake` is called when one comes. Returns what is to be watched, None if there is no way to the
    guest. Raises HostError.
    """
    if vm.inspection is None:
        yield None
        return

    def enter(relay: Relay) -> None:
        # Before the machine moves: one that has no shell says nothing.
        relay.say(f"{vm.hardware.name}: if its image has a root shell, that greets you.\r\n")
        awake()
        relay.tell_guest(_ASK)

    with passed_on(vm.held, vm.inspection, enter) as relay:
        lease.tell(shell=vm.held)
        host.report(f"info: for a shell in it: bbot-agent shell {lease.id}")
        yield relay


def hold(host: Host, lease: Lease, boot: Boot, seconds: float, reason: str) -> None:
    """Keep the machine of `boot`, which failed for `reason`, for so many `seconds`, or longer.

    That is as long as somebody is in it. Raises what Boot.serve() does, VmError and HostError.
    """
    vm = boot.vm
    asleep = True

    def awake() -> None:
        nonlocal asleep
        if asleep:
            asleep = False
            vm.resume()

    host.report(f"error: {reason} for machine {vm.hardware.directory}, suspending")
    for line in vm.info():
        host.report(f"info: {line}")
    vm.suspend()
    with inspected(host, lease, vm, awake) as relay:
        if relay is not None:
            boot.watch(relay)
        until = time.monotonic() + seconds

        def over() -> bool:
            busy = relay is not None and relay.busy
            return not vm.running() or (time.monotonic() >= until and not busy)

        boot.serve(over, _FOR_EVER)
    host.report("info: resuming after machine suspension")
