# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Perform one task in a snapshot of a bootstrapped machine, and throw that away."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import time
import typing as t

from ..controller.journal import Journal, JournalError
from ..errors import EngineError, Interrupted, sentence
from ..formats.manifest.model import ManifestError
from ..host.guest_lines import cut
from ..host.host import Host, HostError
from ..host.locks import Lease
from ..host.phases import Phases
from ..linux.private import make_private
from ..machine.auxiliary import Companion, company
from ..machine.bootstrap import Running
from ..machine.conversation import SoftFailure, Start, Talk, Waits, converse
from ..machine.fork import fork
from ..machine.inventory import Machine
from ..machine.locking import task_lock
from ..machine.look_in import LookIn
from ..machine.sweep import leased
from ..machine.template import Clone, clone
from ..machine.toolchain import Toolchain
from ..network.proxy import Proxy, variables
from ..network.segment import GATEWAY
from ..records import names
from ..records.arrived import RESULT_LIMIT, read_arrived
from ..records.report import ReportError, TaskReport, check_uploads, read_report
from ..records.result import Result
from ..records.task import Task
from ..records.values import Status
from ..tftp.server import Limits
from ..vm.protocol import NSPAWN, Hardware

# Seconds that bbot waits for a task's first request, and what emulation takes instead.
STARTUP = {"kvm": 60.0, "tcg": 300.0}

Culprit = t.Literal["none", "task", "machine", "host"]

# Seconds between attempts to write a result to a disk that is full.
_STORE_PAUSE, _STORE_PAUSE_MOST = 1.0, 30.0


@dataclasses.dataclass(frozen=True)
class Booking:
    """The ``entry`` of a task in the ``journal``.

    ``awaited`` says whether a controller waits for its result, which must not be lost then.
    """

    journal: Journal
    entry: int
    awaited: bool = True

    def give_up(self, task: Task, culprit: str, reason: str) -> None:
        """See to it that a task which an error has ended does not stay without a result.

        It is aborted if it is at fault itself, else given back. A journal that cannot be written
        does not matter: the next recovery will do it.
        """
        with contextlib.suppress(JournalError):
            if culprit == "task":
                result = Result.for_task(task)
                self.journal.store(self.entry, result, culprit=culprit, reason=reason)
            else:
                self.journal.give_back(self.entry, task, culprit="host", reason=reason)

    def describe(self, outcome: Outcome) -> None:
        """Add what is known only after the machine is down; a failure does not matter."""
        with contextlib.suppress(JournalError):
            self.journal.describe(
                self.entry, culprit=outcome.culprit, reason=outcome.reason, phases=outcome.phases
            )


def book(host: Host, journal: Journal, task: Task, toolchain: str, logs: str) -> Booking | None:
    """Note in the ``journal`` that ``task`` is performed for this host's own people.

    It is performed all the same, with a warning, if that cannot be done.
    """
    try:
        number = journal.note(task, toolchain=toolchain, logs=logs)
    except JournalError as error:
        host.report(f"warning: the task is not in the list of tasks: {error}")
        return None
    return Booking(journal, number, awaited=False)


def perform_booked(
    booking: Booking | None, task: Task, performance: t.Callable[[], Outcome]
) -> Outcome:
    """Return what `performance` does, having noted it in `booking` if there is one.

    A task that ends with an error, which is raised again, has got its result there.
    """
    try:
        outcome = performance()
    except (EngineError, Interrupted, OSError) as error:
        if booking is not None:
            booking.give_up(task, "host", sentence(error))
        raise
    if booking is not None:
        booking.describe(outcome)
    return outcome


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a task, and who is to blame if it did not go well.

    ``culprit`` is `task` if the package or its time limit is at fault and
    `machine` if the image or its worker is; a fault of the host is an exception.
    ``artifacts`` are further files that the guest sent, by name. ``start`` says how the
    machine came up, None if it did not, ``report`` what the worker told beside its result.
    """

    result: Result
    culprit: Culprit
    reason: str
    failure: SoftFailure | None
    phases: dict[str, float]
    artifacts: dict[str, str]
    start: Start | None = None
    report: TaskReport = dataclasses.field(default_factory=TaskReport)


def perform(
    host: Host,
    task: Task,
    machine: Machine,
    toolchain: Toolchain,
    running: Running,
    waits: Waits,
    limits: Limits,
    logs: str,
    files: t.Mapping[str, str],
    *,
    booking: Booking | None = None,
    companions: t.Sequence[Companion] = (),
    fake: bool = False,
) -> Outcome:
    """Perform ``task`` on the current ``machine``.

    Where there is a ``booking``, the result is in the journal before the machine goes.

    The ``companions`` are up beside it meanwhile. ``files`` are further files for the guest
    to fetch, by the name it asks for.
    The machine's own logs are in `machine` in the directory ``logs`` afterwards,
    and what else the guest uploaded in `artifacts`.
    ``fake`` does without a machine and gives the result of an aborted task. The
    task of which no result arrived gets that result, too. Raises what converse()
    does, and StorageError and OSError.
    """
    phases = Phases(host.report)
    if fake:
        return faked(task, booking)
    _check_trust([machine, *(each.machine for each in companions)], running, booking)
    look_in = running.look_in if task.is_interactive else None
    if look_in is not None:
        # A person takes their time, and needs nothing kept of a machine that they have seen.
        waits = dataclasses.replace(waits, total=math.inf)
        running = dataclasses.replace(running, hold=0, park=None, warm=())
    machine_logs = os.path.join(logs, "machine")
    make_private(logs)
    make_private(machine_logs)
    title = f"{task.name}/{task.version}"
    with (
        task_lock(host, machine, f"perform {title}", running),
        leased(host, what="task", machine=machine.name, task=title, logs=logs) as own,
    ):
        phases.watch = lambda name: own.tell(phase=name)
        folder = os.path.join(host.tftp, "build", f"{toolchain.name}-{own.id}")
        own.note(folders=[folder])
        get, put = os.path.join(folder, "get"), os.path.join(folder, "put")
        delivery = Delivery(task, put)
        if booking is not None:
            if booking.awaited:
                # The name stands for all that the result may have.
                delivered = os.path.join(put, names.OLD)
                own.note(journal=[booking.journal.path, booking.entry], delivery=delivered)
            booking.journal.own(booking.entry, own.name, logs)
        make_private(folder)
        os.mkdir(get)
        os.mkdir(put)
        for name, path in files.items():
            shutil.copyfile(path, os.path.join(get, name))
        place = _Place(host, own, machine, toolchain, running, look_in)
        starts: list[Start] = []
        keeper = _Keeper(host, task, booking, delivery, running.alive, phases)

        def judge() -> SoftFailure | None:
            failure = delivery.judge()
            if booking is not None:
                # Artifacts go to the controller before the result does.
                _collect(put, logs)
                keeper.keep(*_blame(delivery, failure, look_in))
            return failure

        talk = Talk(
            what="build",
            prepare=place.snapshot,
            get_root=get,
            put_root=put,
            awaited=names.RESULT,
            waits=waits,
            limits=for_result(limits),
            logs=machine_logs,
            judge=judge,
            clean=False,
            port=running.port,
            hold=running.hold,
            park=running.parking(host, own, f"task {title}", logs),
            alive=running.alive,
            progress=running.progress,
            resume=place.clone if running.starts_warm(machine.name, machine.kind) else None,
            started=starts.append,
            ram=place.ram,
            writes=running.writes,
            patience=running.patience,
            look_in=look_in,
        )
        try:
            if companions:
                phases.begin("auxiliary")
            with company(
                host, own, companions, toolchain, running, waits, machine_logs, place.mac, place.ram
            ) as others:
                if others is not None:
                    task = task.with_auxiliary_environment(others.environment)
                    talk.network, talk.companions = others.seat, others.boots
                offer_task(_told_of_proxy(task, host), get)
                failure = converse(host, own, running.accelerator, talk, phases)
        except (EngineError, OSError) as error:
            keeper.keep("host", sentence(error))
            raise
        culprit, reason = _blame(delivery, failure, look_in)
        keeper.keep(culprit, reason)
        phases.begin("delete")
        artifacts = _collect(put, logs)
    phases.end()
    seconds, start = phases.seconds(), starts[-1] if starts else None
    return Outcome(
        delivery.result,
        culprit,
        reason,
        failure,
        seconds,
        artifacts,
        start,
        delivery.report,
    )


def _check_trust(machines: t.Sequence[Machine], running: Running, booking: Booking | None) -> None:
    """Raise HostError if a controller's task would come to a machine whose walls are too weak."""
    if booking is None or not booking.awaited or running.trusts_containers:
        return
    for machine in machines:
        if machine.kind == NSPAWN:
            raise HostError(
                f"machine {machine.name} is of type nspawn, which takes no tasks of controllers "
                "unless the operator says so (option nspawn: all)",
                culprit="machine",
            )


def for_result(limits: Limits) -> Limits:
    """``limits`` with that of the result, which is parsed, beside those of other uploads."""
    return dataclasses.replace(limits, named=dict.fromkeys(names.RESULT, RESULT_LIMIT))


def _told_of_proxy(task: Task, host: Host) -> Task:
    """Return the task with what its build has to know of the proxy that it reaches, if it does.

    It is told as auxiliary machines' variables are, which workers know of.
    """
    if not isinstance(host.egress, Proxy) or host.bridge is not None:
        return task
    lines = [f"{name}={value}" for name, value in variables(str(GATEWAY.ip)).items()]
    if task.auxiliary_environment:
        lines.append(task.auxiliary_environment)
    return task.with_auxiliary_environment("\n".join(lines))


def offer_task(task: Task, folder: str) -> None:
    """Write the task into ``folder``, by all names a worker may ask for. Raises OSError."""
    for name in names.TASK:
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as file:
            file.write(task.to_text())


def faked(task: Task, booking: Booking | None) -> Outcome:
    """What bbot's `--fake-build` makes of a task."""
    result, reason = Result.for_task(task), "no machine was asked for"
    if booking is not None:
        booking.journal.store(booking.entry, result, reason=reason)
    return Outcome(result, "none", reason, None, {}, {})


class _Place:
    """Where the task's machine is: a snapshot of its own, deleted with the lease."""

    def __init__(
        self,
        host: Host,
        lease: Lease,
        machine: Machine,
        toolchain: Toolchain,
        running: Running,
        look_in: LookIn | None,
    ) -> None:
        manifest = machine.bootstrapped.machine if machine.bootstrapped else None
        if manifest is None or manifest.mac is None:
            raise HostError(
                f"machine {machine.name} is not bootstrapped, or has no MAC address",
                culprit="machine",
            )
        self._path = f"{machine.bootstrapped_path}-{lease.id}"
        hardware = running.hardware(manifest, toolchain.name, self._path, manifest.mac)
        self._hardware = hardware if look_in is None else look_in.fit(hardware)
        self._host = host
        self._lease = lease
        self._machine = machine
        self._accelerator = running.accelerator

    @property
    def ram(self) -> int:
        """What the machine has, in KiB."""
        return self._hardware.ram

    @property
    def mac(self) -> str:
        """Its Ethernet address."""
        return self._hardware.mac

    def snapshot(self, _attempt: int) -> Hardware:
        """A fresh snapshot of the machine, to be booted."""
        self._host.storage.discard(self._path)
        self._lease.note(snapshot=self._path)
        fork(self._host, self._machine.bootstrapped_path, self._hardware)
        return self._hardware

    def clone(self) -> Clone:
        """A clone of the machine's template, to be resumed."""
        return clone(self._host, self._machine, self._hardware, self._accelerator, self._lease)


class Delivery:
    """The result, as far as one has arrived in ``folder``; an aborted task's until then."""

    def __init__(self, task: Task, folder: str) -> None:
        self.folder = folder
        self.result = Result.for_task(task)
        self.report = TaskReport()
        self.complaint = ""
        self.arrived = False
        self._task = task

    def judge(self) -> SoftFailure | None:
        """Read what has arrived. A garbled or abnormal one is a soft failure."""
        self.arrived = True
        try:
            result = read_arrived(self.folder, self._task)
        except ManifestError as error:
            self.complaint = f"the result cannot be used: {cut(str(error))}"
        else:
            self.complaint = self._objection(result)
        aborted = Result.for_task(self._task, Status.ABNORMAL)
        self.result = aborted if self.complaint else dataclasses.replace(result, report=None)
        if self.result.status is not Status.ABNORMAL:
            return None
        return SoftFailure("terminated abnormally", "build terminated abnormally")

    def _objection(self, result: Result) -> str:
        """What is wrong with the report in the result; empty if nothing is."""
        if result.report is None:
            return ""
        try:
            self.report = read_report(result.report)
        except ReportError as error:
            return f"the report in the result is not as it should be: {cut(str(error))}"
        return check_uploads(self.report, self.folder)


class _Keeper:
    """Has the result of a booked task in the journal, however full the disk is."""

    def __init__(
        self,
        host: Host,
        task: Task,
        booking: Booking | None,
        delivery: Delivery,
        alive: t.Callable[[], bool],
        phases: Phases,
    ) -> None:
        self._host = host
        self._task = task
        self._booking = booking
        self._delivery = delivery
        self._alive = alive
        self._phases = phases
        self._kept = False

    def keep(self, culprit: Culprit, reason: str) -> None:
        """Store the result, if none is yet, trying again until that succeeds.

        Raises Interrupted: a result that has arrived is left for the next sweep then.
        """
        if self._booking is None or self._kept:
            return
        self._phases.begin("store")
        journal, entry = self._booking.journal, self._booking.entry
        pause = _STORE_PAUSE
        while True:
            try:
                if culprit == "host" and not self._delivery.arrived:
                    journal.give_back(entry, self._task, culprit=culprit, reason=reason)
                else:
                    journal.store(entry, self._delivery.result, culprit=culprit, reason=reason)
                self._kept = True
                return
            except JournalError as error:
                if not self._booking.awaited:
                    self._host.report(f"warning: {error}")
                    return
                self._host.report(f"error: {error}; trying again in {pause:g} s")
            until = time.monotonic() + pause
            while time.monotonic() < until:
                if not self._alive():
                    raise Interrupted
                time.sleep(0.1)
            pause = min(2 * pause, _STORE_PAUSE_MOST)


def _blame(
    delivery: Delivery, failure: SoftFailure | None, look_in: LookIn | None
) -> tuple[Culprit, str]:
    """Return who is to blame, and why; the guest may have chosen words of the reason."""
    if failure is None:
        if delivery.result.status >= Status.ERROR:
            failed = [
                f"{cut(each.operation, 50)} {each.status}"
                for each in delivery.result.operations
                if each.status >= Status.ERROR
            ]
            return "task", cut(", ".join(failed)) or f"status {delivery.result.status}"
        return "none", ""
    if failure.kind == "ended early" and look_in is not None:
        return "none", "the one who looked into the machine has ended it"
    # It had its task: whatever ran in there has powered it off, rebooted or crashed it.
    if failure.kind in ("timeout", "write limit", "ended early"):
        return "task", failure.message
    return "machine", cut(delivery.complaint) or failure.message


def _collect(put: str, logs: str) -> dict[str, str]:
    """Move what else the guest uploaded from ``put`` to ``logs``; all that is there, by name."""
    for folder, _dummy, files in os.walk(put):
        for name in files:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, put)
            # Hidden names are artifacts that were cut off.
            if relative in names.RESULT or name.startswith("."):
                continue
            target = os.path.join(logs, "artifacts", relative)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.move(path, target)
    return files_below(os.path.join(logs, "artifacts"))


def files_below(folder: str) -> dict[str, str]:
    """The files in ``folder`` and below it: paths by name relative to it, in order."""
    found = {}
    for place, _dummy, files in os.walk(folder):
        for name in files:
            path = os.path.join(place, name)
            found[os.path.relpath(path, folder)] = path
    return dict(sorted(found.items()))
