# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Auxiliary machines: a database or the like, up beside a task's machine for as long as it takes.

No worker is in them. When one is ready it uploads a file by TFTP, under any name, with variables
for the environment of the build. The words are those of bpkg's manual, what goes over the wire is
from memory of bbot 0.17: it could not be tried with an image that was made for that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
import typing as t

from ..errors import EngineError
from ..host.guest_lines import GuestLines, Refusals
from ..host.host import Host, HostError
from ..host.locks import Lease
from ..host.room import OVERHEAD, claim
from ..linux.private import make_private
from ..network.attachment import Attachment
from ..network.bridge import random_mac
from ..network.segment import SharedSegment
from ..records.environment import LIMIT, EnvironmentFault, join_environments, read_environment
from ..records.machine import MachineManifest
from ..records.names import ANY, arrived_in
from ..records.task import Task
from ..tftp.server import Event, Limits
from ..vm.machines import make_vm
from ..vm.protocol import Hardware
from .boot import Boot, CompanionError
from .bootstrap import Running
from .conversation import Waits
from .fork import fork
from .inventory import Machine, find_machine
from .sweep import leased
from .toolchain import Toolchain

# What one may upload: a file of a few lines.
LIMITS = Limits(upload_bytes=LIMIT, total_upload_bytes=4 * LIMIT, files=10)
# Seconds until one is ready that has made its first request (bbot, from memory).
READY = 900.0


@dataclasses.dataclass(frozen=True)
class Companion:
    """A `machine` that is to be up beside a task's, which calls it `called`; maybe nothing."""

    called: str
    machine: Machine


@dataclasses.dataclass(frozen=True)
class Company:
    """The auxiliary machines that are up, each with its `boot`.

    `environment` is what the worker is told of them, `seat` the place of the task's own machine
    in their network.
    """

    environment: str
    seat: Attachment
    boots: t.Sequence[Boot]


def companions_of(task: Task, machines: t.Sequence[Machine]) -> list[Companion]:
    """Return those that `task` wants, of these `machines`. Raises HostError if one is not fit."""
    wanted = [("", name) for name in task.auxiliary_machines]
    wanted += task.named_auxiliary_machines.items()
    companions = []
    for called, name in wanted:
        machine = find_machine(machines, name)
        if machine.manifest is None or machine.manifest.role != "auxiliary":
            raise HostError(f"machine {name} is no auxiliary one: its manifest has another role")
        if machine.state != "current" or machine.bootstrapped is None:
            why = "; ".join(machine.reasons)
            raise AuxiliaryError(f"auxiliary machine {name} is not bootstrapped: {why}", name)
        companions.append(Companion(called, machine))
    return companions


class AuxiliaryError(EngineError):
    """An auxiliary machine that does not do its part; `machine` is its name."""

    def __init__(self, message: str, machine: str) -> None:
        super().__init__(message, culprit="machine")
        self.machine = machine


def share_ram(
    manifests: t.Sequence[MachineManifest], usual: int, budget: int | None = None
) -> list[int]:
    """Return how much memory each machine has, in KiB.

    That is `usual`, within the machine's own bounds; where there is a `budget`, at least its
    minimum, and of what is left of that an equal part of what it lacks to its maximum. Raises
    HostError if the minimums are more than that.
    """
    most = [each.ram_within(usual) for each in manifests]
    if budget is None or sum(most) <= budget:
        return most
    shares = [
        each.ram_minimum or min(much, budget // len(manifests))
        for much, each in zip(most, manifests, strict=True)
    ]
    left = budget - sum(shares)
    if left < 0:
        raise HostError(
            f"the auxiliary machines of the task take {sum(shares) >> 10} MiB, and may have "
            f"{budget >> 10} MiB (auxiliary-ram)"
        )
    lacking = sum(most) - sum(shares)
    return [
        share + left * (much - share) // lacking if lacking else share
        for share, much in zip(shares, most, strict=True)
    ]


@contextlib.contextmanager
def company(
    host: Host,
    own: Lease,
    companions: t.Sequence[Companion],
    toolchain: Toolchain,
    running: Running,
    waits: Waits,
    logs: str,
    mac: str,
    ram: int,
) -> t.Iterator[Company | None]:
    """Have the `companions` of a task up and ready for the length of a with statement.

    It yields None where there are none. `mac` and `ram` are those of the task's own machine,
    `own` its lease. Raises AuxiliaryError if one does not get ready, and what converse() does.
    """
    if not companions:
        yield None
        return
    if host.bridge is not None:
        raise HostError(
            "auxiliary machines need a network of the task's own: have no bridge for guests"
        )
    manifests = [
        each.machine.bootstrapped.machine for each in companions if each.machine.bootstrapped
    ]
    shares = share_ram(manifests, running.ram, running.auxiliary_ram)
    total = ram + sum(shares) + OVERHEAD * len(shares)
    claim(host, own, total, running.patience, running.alive, writes=running.writes)
    macs = [mac]
    for manifest in manifests:
        macs.append(manifest.mac if manifest.mac and manifest.mac not in macs else random_mac())
    with contextlib.ExitStack() as stack:
        stay = stack.enter_context
        segment = stay(
            contextlib.closing(
                SharedSegment(macs, os.path.join(host.runtime, own.id), host.run, host.egress)
            )
        )
        members = [
            _Member(host, stay(_leased(host, own, each)), each, toolchain, logs, number)
            for number, each in enumerate(companions, 1)
        ]
        for member, manifest, share, seat in zip(
            members, manifests, shares, segment.seats[1:], strict=True
        ):
            hardware = running.hardware(manifest, toolchain.name, member.place, "")
            member.settle(seat, dataclasses.replace(hardware, ram=share, mac=macs[member.number]))
        boots = _have_ready(host, stack, members, running, waits)
        environment = join_environments((each.called, each.environment()) for each in members)
        try:
            yield Company(environment, segment.seats[0], boots)
        except CompanionError as error:
            name = members[boots.index(error.boot)].companion.machine.name
            raise AuxiliaryError(str(error), name) from error


def _leased(host: Host, own: Lease, companion: Companion) -> t.ContextManager[Lease]:
    machine = companion.machine.name
    facts = {each: own.record.get(each) for each in ("task", "place")}
    return leased(host, what="auxiliary", machine=machine, **facts)


def _have_ready(
    host: Host,
    stack: contextlib.ExitStack,
    members: t.Sequence[_Member],
    running: Running,
    waits: Waits,
) -> list[Boot]:
    """Boot the machines, again if need be, until all are ready; they go down with `stack`."""
    attempt = 0
    while True:
        up = contextlib.ExitStack()
        try:
            boots = [up.enter_context(each.up(running)) for each in members]
            late = _first_to_fail(members, boots, waits)
        except BaseException:
            up.close()
            raise
        if late is None:
            stack.push(up)
            return boots
        member, reason, again = late
        up.close()
        name = member.companion.machine.name
        if not again or attempt > waits.retries:
            raise AuxiliaryError(f"auxiliary machine {name} does not get ready: {reason}", name)
        host.report(f"warning: auxiliary machine {name} appears to have mis-booted ({reason})")
        attempt += 1


def _first_to_fail(
    members: t.Sequence[_Member], boots: t.Sequence[Boot], waits: Waits
) -> tuple[_Member, str, bool] | None:
    """Return who does not get ready, why, and whether another attempt may help; None if all do."""
    first, *others = boots
    first.accompany(others)
    try:
        for condition, seconds, missing, again in (
            (_Member.heard, waits.startup, f"no request within {waits.startup:g} s", True),
            (_Member.ready, READY, f"no environment within {READY:g} s", False),
        ):
            outcome = first.serve(functools.partial(_all, condition, members), seconds)
            if outcome == "ended":
                return members[0], f"it ended with status {first.vm.exit_status}", True
            if outcome == "timeout":
                late = next(each for each in members if not condition(each))
                said = boots[members.index(late)].last_words()
                words = f"; the last line of its console is {said!r}" if said else ""
                return late, missing + words, again
    except CompanionError as error:
        late = members[list(boots).index(error.boot)]
        return late, f"it ended with status {error.boot.vm.exit_status}", True
    finally:
        first.accompany(())
    return None


def _all(condition: t.Callable[[_Member], bool], members: t.Sequence[_Member]) -> bool:
    return all(map(condition, members))


class _Member:
    """A companion and what is its own: a lease, folders, a place in the network."""

    def __init__(
        self,
        host: Host,
        lease: Lease,
        companion: Companion,
        toolchain: Toolchain,
        logs: str,
        number: int,
    ) -> None:
        self.companion = companion
        self.number = number
        self.called = companion.called
        self.place = f"{companion.machine.bootstrapped_path}-{lease.id}"
        self._host = host
        self._lease = lease
        self._put = os.path.join(host.tftp, "build", f"{toolchain.name}-{lease.id}")
        self._logs = os.path.join(logs, f"auxiliary-{number}")
        self._heard = False
        self._seat: Attachment
        self._hardware: Hardware

    def settle(self, seat: Attachment, hardware: Hardware) -> None:
        """Have a place in the network, and `hardware`."""
        self._seat, self._hardware = seat, hardware
        self._lease.note(folders=[self._put], snapshot=self.place)
        make_private(self._logs)

    def heard(self) -> bool:
        """Whether the machine has asked for anything."""
        return self._heard

    def ready(self) -> bool:
        """Whether it has uploaded what the build is to know."""
        return arrived_in(self._put, ANY) is not None

    def environment(self) -> dict[str, str]:
        """What it has uploaded. Raises AuxiliaryError."""
        name = self.companion.machine.name
        try:
            with open(arrived_in(self._put, ANY) or self._put, "rb") as file:
                return read_environment(file.read(LIMIT + 1), name)
        except EnvironmentFault as error:
            raise AuxiliaryError(str(error), name) from error

    @contextlib.contextmanager
    def up(self, running: Running) -> t.Iterator[Boot]:
        """Have it booted, and be served as long as somebody serves the Boot."""
        host, name = self._host, self.companion.machine.name
        self._heard = False
        refusals = Refusals(host.report)
        lines = GuestLines(lambda line: running.progress(f"{name}: {line}"))

        def note(event: Event) -> None:
            if event.kind == "request":
                self._heard = True
                server.peer = event.peer[0]
            elif event.kind in ("failed", "refused"):
                refusals.tell(event.operation, event.name, event.error)

        # Of an attempt before.
        host.storage.discard(self.place)
        shutil.rmtree(self._put, ignore_errors=True)
        make_private(self._put)
        fork(host, self.companion.machine.bootstrapped_path, self._hardware)
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(
                self._seat.serve(get_root=None, put_root=self._put, limits=LIMITS, on_event=note)
            )
            vm = make_vm(host, self._lease, self._hardware, running.accelerator, self._logs)
            stack.callback(vm.close)
            vm.start(self._seat)
            stack.callback(refusals.close)
            stack.callback(lines.close)
            boot = Boot(host, vm, self._seat, server, lines.say, running.alive)
            stack.callback(boot.close)
            boot.listen(self._logs)
            yield boot
