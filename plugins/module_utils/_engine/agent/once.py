# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The agent's debugging options: one round, without a loop, and something printed (bbot)."""

from __future__ import annotations

import os
import signal
import sys

from ..controller.priority import questions
from ..errors import EngineError, sentence
from ..formats.manifest.model import ManifestError
from ..formats.manifest.writer import serialize
from ..host.diagnostics import Diagnostics
from ..host.host import HostError
from ..linux.process import Runner
from ..machine.sweep import leased, sweep
from ..records.machine import MachineHeader
from ..records.task import Task
from ..task.logs import logs_name
from ..task.perform import book, perform_booked
from .duties import Duties
from .job import CancelToken
from .settings import Settings


def run_once(settings: Settings, run: Runner, say: Diagnostics) -> int:
    """Do what the options ask for; the exit status."""
    duties = Duties(settings, run, say)
    wanted = CancelToken()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, wanted.cancel)
    try:
        sweep(duties.host)
        with leased(duties.host, what="agent", toolchain=settings.toolchain_name) as lease:
            duties.owner = lease.name
            return _round(duties, say, wanted)
    except (EngineError, OSError) as error:
        say.fatal(sentence(error))
        return 1


def _round(duties: Duties, say: Diagnostics, wanted: CancelToken) -> int:
    settings = duties.settings
    headers = _machines(duties, say, wanted)
    if settings.dump_machines:
        _print(*(header for header in headers.values()))
        return 0
    if not headers:
        say.warning(f"no build machines for toolchain {settings.toolchain_name}")
        return 0
    task = _read_task(settings.fake_request) if settings.fake_request else None
    number = None
    if task is None:
        answer = duties.ask(questions(settings.controllers, list(headers), [], 1), headers)
        if answer.obstacle is not None:
            raise HostError(answer.obstacle)
        for failure in answer.failures:
            say.error(failure[1])
        number = answer.entry
        entry = duties.journal.get(number) if number is not None else None
        if entry is None:
            return 1 if answer.failures else 0
        task = Task.parse(entry.task, f"journal entry {number}")
        if settings.dump_task or settings.dump_result:
            # What is only looked at has no result for the controller.
            words = "its task or its result was only to be printed"
            duties.journal.give_back(entry.id, task, culprit="none", reason=words)
            given = duties.journal.get(entry.id)
            if given is not None and given.state == "queued":
                duties.deliver(entry.id)
    elif task.machine not in headers:
        raise HostError(f"task from {settings.fake_request} for unknown machine {task.machine}")
    if settings.dump_task:
        _print(task)
        return 0
    logs = os.path.join(settings.log_dir, logs_name(f"{task.name}-{task.version}"))
    booking = None
    if settings.fake_request:
        booking = book(duties.host, duties.journal, task, settings.toolchain_name, logs)
    outcome = perform_booked(
        booking, task, lambda: duties.perform(task, logs, wanted, booking=booking)
    )
    say.info(f"task {task.name}/{task.version}: {outcome.result.status}; logs: {logs}")
    if settings.dump_result:
        _print(outcome.result)
    return 0


def _machines(duties: Duties, say: Diagnostics, wanted: CancelToken) -> dict[str, MachineHeader]:
    """The machines to offer, bootstrapped if need be."""
    fake = duties.fake_header()
    if fake is not None:
        return {fake.name: fake}
    for machine in duties.machines():
        if duties.plan(machine) != "none":
            failure = duties.bootstrap(machine, 0, wanted).failure
            if failure is not None:
                say.error(f"machine {machine.name} is not available: {failure}")
    return duties.offers(duties.machines())


def _read_task(path: str) -> Task:
    with open(path, "rb") as file:
        return Task.parse(file.read(), path)


def _print(*records: object) -> None:
    """Print records as manifests, one stream."""
    manifests = [record.to_manifest() for record in records]  # type: ignore[attr-defined]
    try:
        sys.stdout.write(serialize(manifests))
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ManifestError("stdout", 0, 0, "nobody reads it") from error
