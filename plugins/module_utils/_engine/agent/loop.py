# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The agent: enumerate, bootstrap, ask, perform, deliver, again and again (bbot's loop).

The loop itself never waits for anything but events. Whatever takes time is a job, a
process of its own: one that asks, one for each task, bootstrap and delivery.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import random
import select
import signal
import sys
import time
import typing as t

from ..controller.backoff import Patience
from ..controller.journal import JournalError
from ..controller.priority import Busy, Priority, questions, victims
from ..controller.urls import masked
from ..errors import EngineError, sentence
from ..host.diagnostics import Diagnostics
from ..linux.process import Runner
from ..linux.sd_notify import ServiceManager
from ..linux.signals import Signals
from ..machine.inventory import Machine
from ..machine.sweep import leased
from ..records.machine import MachineHeader
from ..records.result import Result
from ..records.task import Task
from ..records.values import Status
from ..release import VERSION
from .duties import Duties, offers
from .job import Job, JobError
from .options import OptionsError, Settings, read_settings
from .recovery import recover, remove_leftovers, remove_old_logs
from .watch import Watch

# All in seconds. Clearing away after others, and old logs.
_RECOVERY_INTERVAL = 60.0
_LOGS_INTERVAL = 3600.0
# A machine that cannot be bootstrapped, and a controller that fails: first and longest wait.
_MACHINE_WAITS = (60.0, 3600.0)
_CONTROLLER_MOST = 300.0
# How long jobs may take to end once the agent has to; after that they are killed.
_STOPPING = 7.0
# Of that, for the last deliveries and for a request that is under way.
_LAST_WORDS = 2.0

_DELIVERIES = 4

Mode = t.Literal["run", "drain", "reload", "stop"]


@dataclasses.dataclass
class _Performance:
    """A task that is performed: its job, its entry in the journal, and its place."""

    job: Job
    entry: int
    title: str
    busy: Busy
    place: int
    interrupted: bool = False


@dataclasses.dataclass
class _Bootstrap:
    """A machine that is bootstrapped."""

    job: Job
    machine: Machine
    place: int


class Agent:
    """One agent, run by the command line ``arguments`` that ``settings`` are read from."""

    def __init__(
        self, arguments: t.Sequence[str], settings: Settings, run: Runner, say: Diagnostics
    ) -> None:
        self._arguments = arguments
        self._settings = settings
        self._run_program = run
        self._say = say
        self._duties = Duties(settings, run, say)
        self._manager = ServiceManager()
        self._watch = Watch(self._duties.host)
        self._mode: Mode = "run"
        self._stop_at = math.inf
        self._machines: list[Machine] = []
        self._fake = self._duties.fake_header()
        self._survey_at = 0.0
        self._recover_at = 0.0
        self._logs_at = 0.0
        self._ask_at = 0.0
        self._deliver_at = 0.0
        self._trouble = ""
        self._idle = False
        self._asking: Job | None = None
        self._asked: tuple[str, ...] = ()
        self._performances: list[_Performance] = []
        self._bootstraps: list[_Bootstrap] = []
        self._deliveries: dict[int, Job] = {}
        self._bad_machines = Patience(*_MACHINE_WAITS)
        interval = settings.poll_interval
        self._bad_controllers = Patience(interval, max(_CONTROLLER_MOST, interval))

    def run(self) -> int:
        """Be the agent until a signal ends it; the exit status."""
        host, settings = self._duties.host, self._settings
        facts = {
            "toolchain": settings.toolchain_name,
            "controllers": [controller.url for controller in settings.controllers],
            "instance_max": settings.instance_max,
            "version": VERSION,
        }
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        with Signals(*signals) as caught:
            with leased(host, what="agent", **facts) as lease:
                self._duties.owner = lease.name
                self._lease = lease
                self._introduce()
                remove_leftovers(host, self._duties.suspensions, settings.toolchain_name)
                self._survey()
                self._manager.ready()
                while self._turn():
                    self._wait(caught)
                    for number in caught.take():
                        self._signalled(number)
            if self._mode == "reload":
                self._manager.reloading()
                os.execv(sys.executable, [sys.executable, sys.argv[0], *self._arguments])
        return 0

    def _introduce(self) -> None:
        settings, toolchain = self._settings, self._duties.toolchain()
        accelerator = self._duties.accelerator
        self._say.info(f"bbot agent {VERSION}, process {os.getpid()}")
        self._say.info(
            f"toolchain {toolchain.name}, number {settings.toolchain_num}, "
            f"version {settings.toolchain_ver}, id {toolchain.id}"
        )
        self._say.info(f"machines with {settings.cpu} CPUs and {settings.ram} KiB of memory")
        self._say.info(f"accelerator {accelerator.name}: {accelerator.reason}")
        for controller in settings.controllers:
            self._say.info(
                f"controller {masked(controller.url)}, priority {controller.priority.number}"
            )

    def _signalled(self, number: signal.Signals) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._mode != "stop":
                self._say.info(f"{number.name}: ending, {len(self._performances)} tasks running")
                self._manager.stopping()
                self._stop()
        elif self._mode == "stop":
            return
        elif number == signal.SIGUSR1:
            self._say.info(f"{number.name}: ending when the running tasks have ended")
            self._mode = "drain"
        else:
            try:
                read_settings(self._arguments)
            except OptionsError as error:
                self._say.error(f"{number.name}: the options stay as they were: {error}")
                return
            self._say.info(f"{number.name}: reading the options when the running tasks have ended")
            self._mode = "reload"

    def _stop(self) -> None:
        self._mode = "stop"
        self._stop_at = time.monotonic() + _STOPPING
        self._deliver_at = 0.0
        for running in self._running():
            running.job.terminate()
        last_words = time.monotonic() + _LAST_WORDS
        if self._asking is not None:
            self._asking.deadline = last_words
        for job in self._deliveries.values():
            job.deadline = last_words

    def _turn(self) -> bool:
        """Do what is due; whether to go on."""
        self._manager.alive()
        try:
            self._reap()
            if self._mode == "run":
                self._look_around()
                self._start_bootstraps()
                self._ask()
            self._start_deliveries()
        except (EngineError, OSError) as error:
            self._troubled(sentence(error))
        self._manager.status(self._summary())
        return self._mode == "run" or not self._finished()

    def _troubled(self, words: str) -> None:
        """The host does not let us work; said once, and tried again later."""
        if words != self._trouble:
            self._say.error(words)
        self._trouble = words
        pause = time.monotonic() + self._settings.poll_interval
        self._survey_at = self._ask_at = self._deliver_at = self._recover_at = pause

    def _finished(self) -> bool:
        """Whether an agent that is to end may do so."""
        now = time.monotonic()
        if now >= self._stop_at:
            for job in self._jobs():
                self._say.warning(f"killing {job.name}: it did not end in time")
                job.kill()
            return True
        if self._performances or self._bootstraps or self._asking or self._deliveries:
            return False
        if self._mode == "reload" or (self._mode == "stop" and self._deliver_at == math.inf):
            return True
        # Each result gets its chance now; a controller that is down does not hold us up.
        queue = self._duties.journal.queue(self._settings.toolchain_name)
        return all(entry.wait for entry in queue)

    def _running(self) -> list[_Performance | _Bootstrap]:
        return [*self._performances, *self._bootstraps]

    def _jobs(self) -> list[Job]:
        jobs = [each.job for each in self._running()]
        jobs += self._deliveries.values()
        return jobs + ([self._asking] if self._asking else [])

    def _wait(self, caught: Signals) -> None:
        """Wait for the next event."""
        now = time.monotonic()
        due = [self._deliver_at, self._stop_at, now + _RECOVERY_INTERVAL]
        due += [job.deadline for job in self._jobs() if job.deadline is not None]
        if self._mode == "run":
            due += [self._survey_at, self._recover_at, self._bad_machines.next()]
            if self._asking is None and self._ready():
                due.append(self._ask_at)
        if self._manager.watchdog_interval is not None:
            due.append(now + self._manager.watchdog_interval)
        sources: list[t.Any] = [caught, *self._jobs()]
        if self._watch.fileno() >= 0:
            sources.append(self._watch)
        poller = select.poll()
        for source in sources:
            poller.register(source, select.POLLIN)
        poller.poll(max(0, math.ceil((min(due) - now) * 1000)))
        if self._watch.changed():
            self._survey_at = self._ask_at = self._deliver_at = 0.0

    def _reap(self) -> None:
        """Take what the jobs that have ended leave."""
        for performance in [each for each in self._performances if each.job.ended()]:
            self._performances.remove(performance)
            self._performed(performance)
        for bootstrap in [each for each in self._bootstraps if each.job.ended()]:
            self._bootstraps.remove(bootstrap)
            self._bootstrapped(bootstrap)
        for entry, job in [each for each in self._deliveries.items() if each[1].ended()]:
            del self._deliveries[entry]
            self._delivered(job)
        if self._asking is not None and self._asking.ended():
            job, self._asking = self._asking, None
            self._answered(job)

    def _look_around(self) -> None:
        """Look at the machines, clear away after others: now and then, or when told to."""
        now = time.monotonic()
        host = self._duties.host
        if now >= self._recover_at:
            recover(host, self._duties.journal, self._duties.suspensions)
            self._recover_at = now + _RECOVERY_INTERVAL
            self._deliver_at = 0.0
        if now >= self._logs_at:
            remove_old_logs(host, self._settings.log_dir, self._settings.log_age)
            self._logs_at = now + _LOGS_INTERVAL
        if now >= self._survey_at:
            self._survey()

    def _survey(self) -> None:
        if self._fake is None:
            self._machines = self._duties.machines()
            self._watch.refresh()
        if self._trouble:
            self._say.info("working again")
            self._trouble = ""
        self._survey_at = time.monotonic() + self._settings.poll_interval

    def _place(self) -> int:
        """The lowest place that nobody has."""
        taken = {each.place for each in self._running()}
        return next(place for place in range(len(taken) + 1) if place not in taken)

    def _places(self) -> int:
        """How many more tasks may run."""
        return self._settings.instance_max - len(self._running())

    def _start_bootstraps(self) -> None:
        busy = {each.machine.bootstrapped_path for each in self._bootstraps}
        for machine in self._machines:
            # A request that is under way may bring a task.
            if self._places() - bool(self._asking) <= 0:
                return
            if machine.bootstrapped_path in busy or self._bad_machines.waits(_key(machine)):
                continue
            action = self._duties.plan(machine)
            if action == "none":
                continue
            place = self._place()
            why = f" ({'; '.join(machine.reasons)})" if machine.reasons else ""
            self._say.info(f"machine {machine.name}: {action}{why}")

            job = Job(
                f"bootstrap of {machine.name}",
                functools.partial(self._duties.bootstrap, machine, place),
            )
            self._bootstraps.append(_Bootstrap(job, machine, place))

    def _bootstrapped(self, bootstrap: _Bootstrap) -> None:
        machine = bootstrap.machine
        try:
            result = bootstrap.job.result()
        except JobError as error:
            result = {"failure": str(error), "busy": False, "unsaved": "", "logs": None}
        failure = result["failure"]
        if failure is None and result["unsaved"]:
            # It is of use all the same; the reason has been told.
            self._bad_machines.failed(_key(machine), result["unsaved"])
        elif failure is None:
            self._bad_machines.succeeded(_key(machine))
            self._say.info(f"machine {machine.name}: done")
        elif result["busy"]:
            self._bad_machines.failed(_key(machine), failure)
            self._say.info(failure)
        elif self._mode != "stop":
            pause = self._bad_machines.failed(_key(machine), failure)
            place = f"; its logs are in {result['logs']}" if result["logs"] else ""
            self._say.error(
                f"machine {machine.name} is not available: {failure}{place}; "
                f"next attempt in {pause:.0f} s, or when it is replaced"
            )
            self._lease.tell(failed={machine.name: failure})
        self._survey_at = self._ask_at = 0.0

    def _headers(self) -> dict[str, MachineHeader]:
        """The machines that may be offered, in use or not, by name."""
        if self._fake is not None:
            return {self._fake.name: self._fake}
        return offers(self._machines)

    def _busy(self) -> list[Busy]:
        return [each.busy for each in self._performances if not each.interrupted]

    def _ready(self) -> bool:
        """Whether there could be something to ask for."""
        interruptible = any(
            controller.priority.interrupting > busy.priority.interrupting
            for controller in self._settings.controllers
            for busy in self._busy()
        )
        return (self._places() > 0 or interruptible) and bool(self._headers())

    def _ask(self) -> None:
        """Ask the controllers for a task, if one could be performed."""
        now = time.monotonic()
        if self._asking is not None or now < self._ask_at:
            return
        headers = self._headers()
        if not headers:
            if not self._idle and not self._bootstraps:
                self._say.warning(
                    f"no build machines for toolchain {self._settings.toolchain_name}"
                )
                self._idle = True
            self._ask_at = now + self._settings.poll_interval
            return
        self._idle = False
        working = {each.busy.machine for each in self._performances}
        machines = {machine.name: machine for machine in self._machines}
        idle = [
            name
            for name in headers
            if name not in working and (self._fake or self._duties.free(machines[name]))
        ]
        controllers = [
            controller
            for controller in self._settings.controllers
            if not self._bad_controllers.waits(controller.url)
        ]
        asked = questions(controllers, idle, self._busy(), self._places())
        if not asked:
            self._ask_at = now + self._settings.poll_interval
            return
        self._asked = tuple(question.controller.url for question in asked)

        def work(_wanted: t.Callable[[], bool]) -> t.Any:
            return self._duties.ask(asked, headers)

        most = len(asked) * (self._settings.request_timeout + 10)
        self._asking = Job("task request", work, timeout=most)

    def _answered(self, job: Job) -> None:
        interval = self._settings.poll_interval * random.uniform(0.8, 1.2)
        self._ask_at = time.monotonic() + interval
        try:
            answer = job.result()
        except JobError as error:
            if self._mode != "stop":
                self._say.error(f"unable to request a task: {error}")
            return
        failed = {url for url, _words in answer["failures"]}
        for url, words in answer["failures"]:
            self._say.error(words)
            self._bad_controllers.failed(url, words)
        for url in self._asked:
            if url not in failed:
                self._bad_controllers.succeeded(url)
            if url == answer.get("url"):
                break
        if answer["entry"] is not None and self._mode != "stop":
            self._start_performance(answer["entry"], Priority(answer["priority"]))
            # There may be more where this came from.
            self._ask_at = 0.0

    def _start_performance(self, number: int, priority: Priority) -> None:
        entry = self._duties.journal.get(number)
        if entry is None:
            raise JournalError(f"the journal {self._duties.journal.path} has lost task {number}")
        for victim in victims(priority, entry.machine, self._busy(), self._places()):
            self._interrupt(victim, entry.title)
        place = self._place()
        title = f"task {entry.title} on machine {entry.machine}"
        self._say.info(f"{title}: accepted from {masked(entry.controller)} as number {number}")

        self._duties.prepare(place)

        def work(wanted: t.Callable[[], bool]) -> t.Any:
            return self._duties.perform_entry(entry, wanted, place=place, boosted=priority.boosted)

        busy = Busy(entry.machine, priority)
        self._performances.append(_Performance(Job(title, work), number, title, busy, place))

    def _interrupt(self, victim: Busy, title: str) -> None:
        """Have the task of ``victim`` make way for the one called ``title``."""
        for performance in self._performances:
            if performance.busy is victim:
                journal = self._duties.journal
                entry = journal.get(performance.entry)
                reason = f"interrupted for task {title}"
                if entry is not None:
                    task = Task.parse(entry.task, f"journal entry {entry.id}")
                    result = Result.for_task(task, Status.INTERRUPT)
                    journal.store(entry.id, result, culprit="host", reason=reason)
                self._say.info(f"{performance.title}: {reason}")
                performance.interrupted = True
                performance.job.terminate()

    def _performed(self, performance: _Performance) -> None:
        self._ask_at = self._deliver_at = 0.0
        try:
            result = performance.job.result()
        except JobError as error:
            self._say.error(f"{performance.title}: {error}")
            # Its machine may be alive for a moment yet.
            self._duties.taps.drop(performance.place)
            self._recover_at = 0.0
            return
        reason = f" ({result['reason']})" if result["reason"] else ""
        words = f"{result['status']}{reason}, {result['seconds']:.1f} s; logs: {result['logs']}"
        report = self._say.error if result["alarming"] else self._say.info
        report(f"{performance.title}: {words}")

    def _start_deliveries(self) -> None:
        """Try to deliver the results whose time has come."""
        now = time.monotonic()
        if now < self._deliver_at:
            return
        self._deliver_at = math.inf
        journal = self._duties.journal
        for entry in journal.expire(self._settings.toolchain_name):
            self._say.error(
                f"the result of task {entry.title} from {masked(entry.controller)} was not "
                f"delivered in time, after {entry.attempts} attempts: {entry.last_error}; it is "
                f"kept as number {entry.id}"
            )
        for entry in journal.queue(self._settings.toolchain_name):
            if entry.id in self._deliveries:
                continue
            if entry.wait:
                due = now + min(entry.wait, max(entry.left, 1.0))
                self._deliver_at = min(self._deliver_at, due)
            elif len(self._deliveries) < _DELIVERIES:
                self._start_delivery(entry.id, entry.title)

    def _start_delivery(self, number: int, title: str) -> None:
        def work(_wanted: t.Callable[[], bool]) -> t.Any:
            return self._duties.deliver(number)

        most = _LAST_WORDS if self._mode == "stop" else 4 * self._settings.request_timeout
        self._deliveries[number] = Job(f"delivery of the result of {title}", work, timeout=most)

    def _delivered(self, job: Job) -> None:
        self._deliver_at = 0.0
        try:
            error = job.result()["error"]
        except JobError as failure:
            error = str(failure)
            if self._mode == "stop":
                self._deliver_at = math.inf
                return
        if error is not None:
            self._say.error(error)

    def _summary(self) -> str:
        """What the service manager shows."""
        mode = {"run": "", "drain": "draining, ", "reload": "reloading, ", "stop": "ending, "}
        running = ", ".join(each.title for each in self._performances) or "no task"
        return f"{mode[self._mode]}{running}; {len(self._headers())} machines"


def _key(machine: Machine) -> tuple[str, str, str | None]:
    """What to leave alone after a failure: this revision of the machine."""
    identity = machine.manifest.id if machine.manifest else None
    return machine.volume, machine.name, identity


def run_agent(arguments: t.Sequence[str], settings: Settings, run: Runner, say: Diagnostics) -> int:
    """Be an agent; the exit status (bbot's): 0 when told to end, 1 if it cannot work."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            return Agent(arguments, settings, run, say).run()
    except (EngineError, OSError) as error:
        say.error(sentence(error))
        return 1
    return 0
