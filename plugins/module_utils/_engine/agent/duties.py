# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What an agent does, a step each: bootstrap a machine, ask for a task, perform it.

Steps are run one after another, or in jobs of their own; see outcomes for what they return.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import os
import socket
import typing as t

from ..controller.auth import AuthError, Identity, Key
from ..controller.delivery import deliver
from ..controller.generation import knows_checksums
from ..controller.journal import FILE, Entry, Journal, JournalError
from ..controller.priority import Question
from ..controller.transport import ControllerError, Transport, explain
from ..errors import Culprit, EngineError, Interrupted, sentence
from ..formats.manifest.model import ManifestError
from ..formats.version import StandardVersion
from ..host.diagnostics import Diagnostics
from ..host.host import Host, HostError
from ..host.locks import LockError
from ..host.room import NoRoom, Room
from ..linux.process import Runner
from ..machine import bootstrap as _bootstrap
from ..machine import warm as _warm
from ..machine.auxiliary import AuxiliaryError, companions_of
from ..machine.bootstrap import Running
from ..machine.conversation import Waits
from ..machine.ensure import ensure, planned
from ..machine.inventory import Machine, enumerate_machines, find_machine
from ..machine.locking import is_free
from ..machine.rehearsal import rehearse
from ..machine.suspended import Suspensions
from ..machine.toolchain import Toolchain, load_toolchain
from ..records.exchange import TaskRequest, TaskResponse
from ..records.machine import MachineHeader
from ..records.task import Task
from ..release import VERSION
from ..task import perform as _task
from ..task.by_hand import perform_by_hand
from ..task.logs import logs_name, write_logs
from ..task.perform import Booking, Outcome, faked, perform
from ..task.task_log import task_log
from ..tftp.server import Limits
from ..vm.accelerator import Accelerator, choose
from ..vm.protocol import NSPAWN
from .auxiliaries import Auxiliaries, auxiliaries
from .interactive import lock, login, look_in, mode_now
from .outcomes import Answer, Bootstrapped, Delivered, Performed, Rehearsed
from .places import make_host
from .settings import Settings

# What this version of the agent makes of a task; it changes when that does (bbot 0.14).
CHECKSUM = "1"

# Of auxiliary machines.
_NONE = Auxiliaries()

# TFTP ports of tasks at once are so far apart.
_PORTS_APART = 100


def offers(machines: t.Iterable[Machine], order: t.Sequence[str] = ()) -> dict[str, MachineHeader]:
    """What controllers are told of the machines that are fit for tasks, by name.

    They take the first that will do: those come first whose names fit an earlier one of the
    patterns ``order``, the others in the end, all the same by name. They are told just what they
    have known since 2017: bounds of memory and roles are told of auxiliary machines only.
    """
    headers = [
        MachineHeader(id=manifest.id, name=manifest.name, summary=manifest.summary)
        for machine in machines
        if machine.state == "current"
        and (manifest := machine.manifest) is not None
        and manifest.role != "auxiliary"
    ]
    headers.sort(key=lambda header: (_preference(header.name, order), header.name))
    return {header.name: header for header in headers}


def _preference(name: str, order: t.Sequence[str]) -> int:
    """The number of the first pattern of ``order`` that ``name`` fits."""
    fitting = (n for n, pattern in enumerate(order) if fnmatch.fnmatchcase(name, pattern))
    return next(fitting, len(order))


def blame(error: BaseException) -> Culprit:
    """Return who is to blame for an `error` that ended a task."""
    if isinstance(error, LockError):
        # Somebody else uses the machine: that says nothing about the host.
        return "machine"
    return error.culprit if isinstance(error, EngineError) else "host"


class Duties:
    """The steps, with the ``settings`` of one agent. ``owner`` is the name of its lease."""

    def __init__(self, settings: Settings, run: Runner, say: Diagnostics, owner: str = "") -> None:
        self.settings = settings
        self.say = say
        self.owner = owner or None
        self.host = make_host(settings, run, say.report)
        self.journal = Journal(os.path.join(settings.state_dir, FILE))
        self.suspensions = self.suspensions_of(self.host)
        self.transport = Transport(
            request_timeout=settings.request_timeout,
            connect_timeout=settings.connect_timeout,
            ca_cert=settings.ca_cert,
            proxy=settings.proxy,
        )
        self._accelerator: Accelerator | None = None

    def suspensions_of(self, host: Host) -> Suspensions:
        """Return the suspended machines of `host`, of which this agent prunes only its own."""
        settings = self.settings
        return Suspensions(
            host, settings.suspend_max, settings.suspend_age, settings.toolchain_name
        )

    @property
    def accelerator(self) -> Accelerator:
        """How guests run; found out at the first use. Raises CommandError without QEMU."""
        if self._accelerator is None:
            settings = self.settings
            if settings.fake_machine or (settings.fake_bootstrap and settings.fake_build):
                self._accelerator = Accelerator("tcg", "no machine is booted")
            else:
                self._accelerator = choose(self.host, self.settings.accelerator)
        return self._accelerator

    def reconsider_accelerator(self) -> bool:
        """Look again whether there is a better accelerator than one that was a makeshift.

        Returns whether it is another one now. Raises CommandError without QEMU.
        """
        former = self._accelerator
        if former is None or not former.makeshift:
            return False
        # Kept while the canary runs: whoever is forked meanwhile goes on with it.
        self._accelerator = choose(self.host, self.settings.accelerator)
        return self._accelerator.name != former.name

    def identity(self) -> Identity:
        """Who we are to a controller."""
        settings, host = self.settings, socket.gethostname()
        if settings.auth_key is None:
            return Identity(host)
        key = Key(self.host.run, settings.auth_key, settings.openssl, settings.openssl_option)
        return Identity(host, key)

    def toolchain(self) -> Toolchain:
        """The toolchain as it is now. Raises HostError."""
        settings = self.settings
        bare = settings.fake_bootstrap or bool(settings.fake_machine) or bool(settings.toolchain_id)
        return load_toolchain(
            self.host, settings.toolchain_name, given_id=settings.toolchain_id, bare=bare
        )

    def toolchain_version(self, toolchain: Toolchain) -> StandardVersion:
        """The version of ``toolchain`` that controllers are told: as bbot, that of its bbot.

        One without a manifest counts as ours.
        """
        given = self.settings.toolchain_ver
        return given or toolchain.expected.versions.get("bbot") or StandardVersion.parse(VERSION)

    def machines(self) -> list[Machine]:
        """The machines of this host. Raises HostError."""
        return enumerate_machines(self.host, self.toolchain())

    def offers(self, machines: t.Iterable[Machine]) -> dict[str, MachineHeader]:
        """Those of ``machines`` that are offered, by name, in this order."""
        trusted = [machine for machine in machines if not self.distrusts(machine)]
        return offers(trusted, self.settings.machine_order)

    def distrusts(self, machine: Machine) -> bool:
        """Whether tasks of controllers are kept from ``machine``, whose walls are too weak."""
        return machine.kind == NSPAWN and self.settings.nspawn == "own"

    def plan(self, machine: Machine) -> str:
        """What bootstrap() would do to ``machine``: planned(), or `save` it for warm starts.

        Raises StorageError, and CommandError without QEMU.
        """
        if self.distrusts(machine):
            # Who has tasks of their own performed there has it bootstrapped, too.
            return "none"
        action = planned(self.host, machine)
        if action != "none" or not self.settings.warm or self.settings.fake_bootstrap:
            return action
        running = self._running(lambda: True, self.host)
        return "save" if _warm.wanted(self.host, machine, self.toolchain(), running) else action

    def room(self) -> Room:
        """What the host has room for now; to be asked once for all machines."""
        return Room(self.host)

    def auxiliaries(self, machines: t.Iterable[Machine], room: Room) -> Auxiliaries:
        """What is offered of the auxiliary ones among ``machines``, with ``room`` for them."""
        settings = self.settings
        if not self.shares_machines:
            return Auxiliaries()
        machines = [machine for machine in machines if not self.distrusts(machine)]
        ram = max(0, room.left() - settings.ram)
        if settings.auxiliary_ram is not None:
            ram = min(ram, settings.auxiliary_ram)
        return auxiliaries(machines, ram, settings.ram)

    def free(self, machine: Machine, room: Room) -> bool:
        """Whether a task could begin on ``machine``, for which there has to be ``room``."""
        if machine.bootstrapped is None or not is_free(self.host, machine):
            return False
        running = self._running(lambda: True, self.host)
        ram = running.ram_of(machine.bootstrapped.machine)
        return not room.objection(ram, writes=running.writes or 0)

    @property
    def shares_machines(self) -> bool:
        """Whether several tasks at once may be on one machine."""
        return self.settings.bridge is None and self.settings.fake_machine is None

    def fake_header(self) -> MachineHeader | None:
        """The machine to offer instead of those of this host. Raises OSError, ManifestError."""
        path = self.settings.fake_machine
        if path is None:
            return None
        with open(path, "rb") as file:
            return MachineHeader.parse(file.read(), path)

    def _running(self, alive: t.Callable[[], bool], host: Host, **more: t.Any) -> Running:
        settings = self.settings
        return Running(
            self.accelerator,
            **{"cpu": settings.cpu, **more},
            ram=settings.ram,
            warm=settings.warm,
            writes=settings.write_limit,
            auxiliary_ram=settings.auxiliary_ram,
            trusts_containers=settings.nspawn == "all",
            park=self.suspensions.park if settings.suspend_max else None,
            alive=alive,
            progress=host.report,
        )

    def _port(self, place: int) -> int:
        settings = self.settings
        if not settings.tftp_port:
            return 0
        return settings.tftp_port + settings.toolchain_num + _PORTS_APART * place

    def bootstrap(self, machine: Machine, place: int, alive: t.Callable[[], bool]) -> Bootstrapped:
        """Have `machine` bootstrapped at `place`, for as long as `alive` says so."""
        settings = self.settings
        logs: str | None = None
        try:
            toolchain = self.toolchain()
            name = logs_name(f"bootstrap-{machine.name}-{toolchain.name}")
            logs = os.path.join(settings.log_dir, name)
            accelerator = self.accelerator.on(machine.name)
            if accelerator != self.accelerator:
                self.host.report(f"accelerator {accelerator.name}: {accelerator.reason}")
            waits = Waits(
                settings.bootstrap_startup or _bootstrap.STARTUP[accelerator.name],
                settings.bootstrap_timeout,
                settings.bootstrap_retries,
            )
            done = ensure(
                self.host,
                machine,
                toolchain,
                self._running(alive, self.host, port=self._port(place)),
                waits,
                logs,
                fake=settings.fake_bootstrap,
            )
        except (LockError, NoRoom) as error:
            return Bootstrapped(sentence(error), busy=True)
        except Exception as error:
            return Bootstrapped(sentence(error), logs=logs, culprit=blame(error))
        failure = done.failure.message if done.failure else None
        return Bootstrapped(
            failure,
            changed=done.changed,
            unsaved=done.unsaved,
            logs=done.logs,
            culprit="machine" if failure else "none",
        )

    def rehearse(
        self, machines: t.Sequence[Machine], place: int, alive: t.Callable[[], bool]
    ) -> Rehearsed:
        """See at `place` whether a task could be performed on any of `machines`.

        That it could on one shows that the host is well. What keeps one from being performed on
        each of them is taken for a fault of the host, unless it is known to be one of the machine.
        """
        if self.settings.fake_build or self.settings.fake_machine:
            return Rehearsed()
        failure: str | None = None
        for machine in machines:
            if not alive():
                return Rehearsed(busy=True)
            if self.distrusts(machine):
                continue
            try:
                toolchain = self.toolchain()
                running = self._running(alive, self.host, port=self._port(place))
                rehearse(self.host, machine, toolchain, running, self.settings.log_dir)
            except Exception as error:
                if blame(error) == "host":
                    failure = failure or sentence(error)
            else:
                return Rehearsed()
        return Rehearsed(failure, busy=failure is None)

    def ask(
        self,
        questions: t.Sequence[Question],
        headers: t.Mapping[str, MachineHeader],
        others: Auxiliaries = _NONE,
    ) -> Answer:
        """Ask each controller in turn until one has a task, which is noted in the journal."""
        failures: list[tuple[str, str]] = []
        try:
            # Better not to get a task than to lose it.
            self.journal.check()
            identity = self.identity()
            fingerprint = identity.fingerprint()
            version = self.toolchain_version(self.toolchain())
            mode = mode_now(self.host, self.settings)
            if mode != "false":
                # Each of these tasks would be given back for want of a password.
                look_in(self.settings)
        except (JournalError, AuthError, HostError) as error:
            return Answer(obstacle=str(error))
        if mode == "false" and self.settings.interactive == "true":
            return Answer()
        for question in questions:
            url = question.controller.url
            request = TaskRequest(
                identity.host,
                self.settings.toolchain_name,
                version,
                (*(headers[name] for name in question.machines), *others.machines),
                fingerprint=fingerprint,
                # A field that older controllers do not know.
                auxiliary_ram=others.ram if others.machines else None,
                interactive_mode=None if mode == "false" else mode,
                interactive_login=None if mode == "false" else login(self.settings),
            )
            try:
                response = self.transport.request_task(url, request)
                if response.task is None:
                    continue
                entry = self._accept(url, question, response, identity, others)
            except (ControllerError, ManifestError) as error:
                failures.append((url, explain(error, url)))
            except (AuthError, JournalError) as error:
                failures.append((url, f"task from {url}: {error}"))
            else:
                number = question.controller.priority.number
                return Answer(entry, url, number, tuple(failures))
        return Answer(failures=tuple(failures))

    def _accept(
        self,
        url: str,
        question: Question,
        response: TaskResponse,
        identity: Identity,
        others: Auxiliaries,
    ) -> int:
        """Note the task of ``response``; the id of its entry in the journal."""
        task = response.task
        if task is None:
            raise JournalError("there is no task in it")
        if task.machine not in question.machines:
            raise JournalError(f"it is for unknown machine {task.machine}")
        if objection := others.objection(task):
            raise JournalError(objection)
        if task.is_interactive and self.settings.interactive == "false":
            raise JournalError("it is interactive, which was not offered")
        # Told by the task as it was sent.
        checksum = CHECKSUM if knows_checksums(response) else None
        if response.agent_checksum != CHECKSUM:
            # Built by another agent the last time, or to be built in any case.
            response = dataclasses.replace(response, task=task.without_checksums())
        return self.journal.accept(
            response,
            toolchain=self.settings.toolchain_name,
            controller=url,
            # Now: a task whose result nobody would take is not worth a build.
            answer=identity.answer(response),
            agent_checksum=checksum,
            owner=self.owner,
            timeout=self.settings.result_timeout,
        )

    def perform_entry(
        self, entry: Entry, alive: t.Callable[[], bool], *, place: int = 0, boosted: bool = False
    ) -> Performed:
        """Perform the task of a journal's `entry`. Its result is in the journal then."""
        booking = Booking(self.journal, entry.id)
        task = Task.parse(entry.task, f"journal entry {entry.id}")
        name = logs_name(f"{task.name}-{task.version}")
        logs = os.path.join(self.settings.log_dir, name)
        try:
            outcome = self.perform(task, logs, alive, booking=booking, place=place, boosted=boosted)
        except Interrupted:
            return Performed("interrupt", "none", "interrupted", 0.0, logs)
        except Exception as error:
            reason, culprit = sentence(error), blame(error)
            booking.give_up(task, culprit, reason)
            status = "abort" if culprit == "task" else "interrupt"
            machine = error.machine if isinstance(error, AuxiliaryError) else ""
            return Performed(status, culprit, reason, 0.0, logs, machine)
        with contextlib.suppress(JournalError):
            self.journal.describe(
                entry.id, culprit=outcome.culprit, reason=outcome.reason, phases=outcome.phases
            )
        return Performed(
            str(outcome.result.status),
            outcome.culprit,
            outcome.reason,
            float(sum(outcome.phases.values())),
            logs,
            at_will=outcome.failure is not None and outcome.failure.at_will,
        )

    def perform(
        self,
        task: Task,
        logs: str,
        alive: t.Callable[[], bool],
        *,
        booking: Booking | None = None,
        place: int = 0,
        boosted: bool = False,
    ) -> Outcome:
        """Perform ``task``, with its logs in the folder ``logs``. Raises what perform() does."""
        settings = self.settings
        if settings.trust:
            task = task.with_trust(settings.trust)
        context = f"task {task.name}/{task.version} on machine {task.machine}: "

        def report(line: str) -> None:
            self.say.report(line, context)

        with task_log(dataclasses.replace(self.host, report=report), logs) as host:
            outcome = self._perform(host, task, logs, alive, booking, place, boosted)
        try:
            write_logs(outcome, task, logs)
        except OSError as error:
            self.say.warning(f"{context}cannot write its logs: {sentence(error)}")
        return outcome

    def _perform(
        self,
        host: Host,
        task: Task,
        logs: str,
        alive: t.Callable[[], bool],
        booking: Booking | None,
        place: int,
        boosted: bool,
    ) -> Outcome:
        settings = self.settings
        limit = settings.upload_limit
        if settings.fake_machine is not None and not settings.fake_build:
            limits = Limits(limit, limit)
            port = self._port(place)
            return perform_by_hand(
                host, task, settings.toolchain_name, port, limits, alive, booking
            )
        if settings.fake_build:
            return faked(task, booking)
        toolchain = self.toolchain()
        machines = enumerate_machines(host, toolchain)
        machine = find_machine(machines, task.machine)
        if machine.bootstrapped is None or machine.state == "broken":
            raise HostError(
                f"machine {machine.name} is gone: {'; '.join(machine.reasons)}", culprit="machine"
            )
        waits = Waits(
            settings.build_startup or _task.STARTUP[self.accelerator.on(machine.name).name],
            settings.build_timeout,
            settings.build_retries,
        )
        more: dict[str, t.Any] = {"port": self._port(place), "patience": settings.build_timeout}
        if boosted:
            more["cpu"] = os.cpu_count() or settings.cpu
        one_way_in: t.ContextManager[object] = contextlib.nullcontext()
        if task.is_interactive:
            more["look_in"] = look_in(settings)
            one_way_in = lock(host, f"perform {task.name}/{task.version}, which is interactive")
        running = self._running(alive, host, **more)
        with one_way_in:
            return perform(
                host, task, machine, toolchain, running, waits, Limits(limit, limit), logs, {},
                booking=booking, companions=companions_of(task, machines),
            )  # fmt: skip

    def deliver(self, entry_id: int) -> Delivered:
        """Try once to deliver a result."""
        limit = self.settings.upload_limit
        try:
            done = deliver(self.host, self.journal, entry_id, self.transport, limit)
        except Exception as error:
            return Delivered(sentence(error), noted=False)
        return Delivered(done.reason if done.outcome == "failed" else None)
