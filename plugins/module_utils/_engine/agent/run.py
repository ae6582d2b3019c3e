# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""`bbot-agent run`: one task of a person's own on this host, from a folder to results in another.

It does what the playbook run_task.yml does, with the same options and results.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import signal
import sys
import typing as t
import zipfile

from ..controller.journal import FILE, Journal
from ..errors import EngineError, Interrupted, sentence
from ..host.diagnostics import Diagnostics
from ..host.host import HostError
from ..linux.process import Runner
from ..machine import bootstrap as _bootstrap
from ..machine.auxiliary import companions_of
from ..machine.bootstrap import Running
from ..machine.conversation import Waits
from ..machine.ensure import ensure, plan
from ..machine.inventory import (
    Machine,
    enumerate_machines,
    find_machine,
    only_machine,
    taking_tasks,
)
from ..machine.sweep import sweep
from ..machine.toolchain import Toolchain, load_toolchain
from ..records.task import Task
from ..records.values import Status
from ..task import perform as _task
from ..task.logs import copy_results, lay_out_artifacts, logs_name, write_logs
from ..task.perform import Outcome, book, perform, perform_booked
from ..task.prepare import Prepared, PrepareError, Wish, prepare
from ..task.source import new_folder, remove_folder
from ..task.summary import Summary
from ..tftp.server import Limits
from ..vm.accelerator import Accelerator, choose
from .job import CancelToken
from .options import HelpFormatter, OptionsError, Parser, add_options, settings_of
from .places import make_host
from .screen import Screen
from .settings import Settings

# Exit statuses; with a signal it is 128 and its number.
SUCCESS, TASK, USAGE, HOST = 0, 1, 2, 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Seconds to wait in line for memory, and for somebody else who bootstraps the machine.
_PATIENCE = 3600.0

# Our worker, and what shows that it is ours.
_WORKER, _MARK = "bbot-worker", "bbot_worker/main.py"

# The agent's options that matter here.
_OPTIONS = (
    *("toolchain_name", "cpu", "ram", "auxiliary_ram", "warm", "accelerator", "machines"),
    *("storage", "tftp", "state_dir", "runtime_dir", "log_dir", "bridge", "egress"),
    *("egress_refused", "egress_proxy", "resolver", "disk_reserve", "user", "tftp_port"),
    *("bootstrap_timeout", "bootstrap_retries", "bootstrap_startup", "build_timeout"),
    *("build_retries", "build_startup", "upload_limit", "write_limit"),
)


def run_task(arguments: t.Sequence[str], run: Runner, say: Diagnostics) -> int:
    """Do what the ``arguments`` ask for; the exit status."""
    try:
        options, settings = _read(arguments)
    except OptionsError as error:
        say.fatal(sentence(error))
        return USAGE
    wanted = CancelToken()
    caught: list[int] = []

    def cancel(number: int, _frame: object) -> None:
        caught.append(number)
        wanted.cancel()

    for number in _SIGNALS:
        signal.signal(number, cancel)
    screen = Screen(sys.stderr if options.json else sys.stdout)
    folder = new_folder()
    try:
        visit = _Visit(options, settings, run, screen, wanted)
        status = visit.perform(folder)
    except (PrepareError, _UsageError) as error:
        screen.close()
        say.fatal(sentence(error))
        status = USAGE
    except Interrupted:
        status = HOST
    except (EngineError, OSError) as error:
        screen.close()
        say.fatal(sentence(error))
        status = HOST
    finally:
        remove_folder(folder)
        screen.close()
    if caught:
        say.error("interrupted: the machine was thrown away, and nothing is left")
        return 128 + caught[0]
    return status


class _UsageError(EngineError):
    """What was asked for is not there to be had."""


def _read(arguments: t.Sequence[str]) -> tuple[argparse.Namespace, Settings]:
    parser = Parser(
        prog="bbot-agent run",
        description="Have a task performed in a throw-away machine of this host, and bring its "
        "results here. Exit status: 0 if it went well, 1 if not, 2 if it was asked for in a wrong "
        "way, 3 by a fault of the machine or of this host.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "what",
        metavar="TASK|DIR",
        nargs="?",
        default="",
        help="a task's manifest or YAML file; or a folder, an archive, a .dsc file, or a git "
        "reference to build; by default this folder",
    )
    add("--source", default="", help="what to build instead of the task's own repository")
    add(
        "--machine",
        metavar="PATTERN",
        action="append",
        default=[],
        help="the machines to use, one after another, instead of the task's",
    )
    add("--driver", metavar="NAME", default="", help="how to build")
    add("--operations", metavar="NAME,...", default="", help="what to do")
    add("--test-command", metavar="COMMAND", default="", help="what tests, for the shell")
    add("--subfolder", metavar="DIR", default="", help="where in the sources the project is")
    add("--artifacts", metavar="PATTERN,...", default="", help="what to bring home")
    add("--config", metavar="WORDS", default="", help="words for the build's tool")
    add(
        "--setting",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="one more of the worker's settings",
    )
    add(
        "--auxiliary-machine",
        metavar="[NAME=]MACHINE",
        action="append",
        default=[],
        help="a machine to be up beside it",
    )
    add("--interactive", metavar="WHERE", default="", help="where to stop for you to look in")
    add("--results", metavar="DIR", default="results", help="the folder for results")
    add(
        "--fail-on",
        default="error",
        choices=[*(str(status) for status in Status), "never"],
        help="the least status that is a failure",
    )
    add("--json", action="store_true", help="results for programs; the progress goes to stderr")
    add("--options-file", metavar="FILE", action="append", help="a file of the agent's options")
    add_options(parser.add_argument_group("machines"), _OPTIONS)
    return settings_of(parser, arguments, _OPTIONS)


class _Visit:
    """One call of the command."""

    def __init__(
        self,
        options: argparse.Namespace,
        settings: Settings,
        run: Runner,
        screen: Screen,
        wanted: CancelToken,
    ) -> None:
        self._options = options
        self._settings = settings
        self._screen = screen
        self._wanted = wanted
        self._host = make_host(settings, run, screen.show)
        self._accelerator: Accelerator | None = None

    def perform(self, folder: str) -> int:
        """Do it, with what is packed in ``folder``; the exit status."""
        toolchain = load_toolchain(self._host, self._settings.toolchain_name)
        cwd = os.environ.get("PWD") or os.getcwd()
        prepared = prepare(self._wish(cwd), cwd, folder, _our_worker(toolchain))
        for line in [
            *(f"warning: {each}" for each in prepared.warnings),
            *prepared.describe("--driver NAME"),
        ]:
            self._screen.show(line)
        sweep(self._host)
        told, statuses = [], [SUCCESS]
        tasks = self._tasks(prepared, toolchain)
        for task in tasks:
            try:
                summary, outcome = self._perform(task, prepared, toolchain, cwd)
            except (EngineError, OSError) as error:
                if len(tasks) == 1:
                    raise
                self._screen.show(f"error: {sentence(error)}")
                told.append({"machine": task.machine, "error": sentence(error)})
                statuses.append(HOST)
                continue
            statuses.append(_status(summary, outcome, self._options.fail_on))
            told.append(summary.facts())
            if not self._options.json:
                self._screen.close()
                self._screen.show_all(summary.lines())
        if self._options.json:
            self._screen.close()
            json.dump({"status": max(statuses), "results": told}, sys.stdout, indent=2)
            sys.stdout.write("\n")
        return max(statuses)

    def _wish(self, cwd: str) -> Wish:
        options = self._options
        task, source = "", options.source
        what = options.what
        path = os.path.join(cwd, os.path.expanduser(what))
        if what and os.path.isfile(path) and _is_task(path):
            task = what
        elif what and source:
            raise _UsageError(f"{what} is no task, and there is a --source already")
        elif not source:
            source = what or "."
        return Wish(
            task=task,
            source=source,
            config=options.config,
            settings=dict(_named(each) for each in options.setting),
            auxiliary_machines=options.auxiliary_machine,
            interactive=options.interactive,
            artifacts=options.artifacts,
            driver=options.driver,
            operations=options.operations,
            subfolder=options.subfolder,
            test_command=options.test_command,
        )

    def _tasks(self, prepared: Prepared, toolchain: Toolchain) -> list[Task]:
        """The task for each of the machines to use. Raises _UsageError."""
        machines = enumerate_machines(self._host, toolchain)
        fields = {str(key).replace("_", "-"): value for key, value in prepared.fields.items()}
        names: dict[str, None] = {}
        try:
            if not self._options.machine:
                names = {str(fields.get("machine") or only_machine(machines)): None}
            for pattern in self._options.machine:
                known = taking_tasks(machines)
                found = [name for name in known if fnmatch.fnmatchcase(name, pattern)]
                names |= dict.fromkeys(found or [find_machine(machines, pattern).name])
            return [Task.from_mapping({**fields, "machine": name}, "task") for name in names]
        except EngineError as error:
            raise _UsageError(str(error)) from None

    def _perform(
        self, task: Task, prepared: Prepared, toolchain: Toolchain, cwd: str
    ) -> tuple[Summary, Outcome]:
        settings, host, screen = self._settings, self._host, self._screen
        screen.begin(task.machine)
        machine = self._ready(task.machine, toolchain)
        for each in prepared.auxiliary_machines:
            self._ready(each, toolchain)
        running = self._running()
        logs = os.path.join(settings.log_dir, logs_name(f"{task.name}-{task.version}"))
        screen.show(f"task {task.name} {task.version} on machine {task.machine}")
        screen.show(f"accelerator {running.accelerator.name}: {running.accelerator.reason}")
        waits = Waits(
            settings.build_startup or _task.STARTUP[running.accelerator.name],
            settings.build_timeout,
            settings.build_retries,
        )
        booking = book(host, Journal(os.path.join(host.state, FILE)), task, toolchain.name, logs)
        companions = companions_of(task, enumerate_machines(host, toolchain))
        limits = Limits(settings.upload_limit, settings.upload_limit)
        outcome = perform_booked(
            booking,
            task,
            lambda: perform(
                host, task, machine, toolchain, running, waits, limits, logs, prepared.files,
                booking=booking, companions=companions,
            ),
        )  # fmt: skip
        lay_out_artifacts(host, outcome, logs)
        write_logs(outcome, task, logs)
        home = os.path.join(cwd, self._options.results, os.path.basename(logs))
        copy_results(logs, home := os.path.normpath(home))
        summary = Summary(
            outcome.result.to_mapping(),
            outcome.report.to_mapping(),
            task.machine,
            outcome.culprit,
            outcome.reason,
            outcome.phases,
            home,
        )
        return summary, outcome

    def _ready(self, name: str, toolchain: Toolchain) -> Machine:
        """The machine ``name``, bootstrapped if need be. Raises HostError if it cannot be."""
        settings, host = self._settings, self._host
        machine = find_machine(enumerate_machines(host, toolchain), name)
        running = self._running() if settings.warm else None
        if plan(host, machine, toolchain, running) != "none":
            running = self._running()
            logs = logs_name(f"bootstrap-{machine.folder}-{toolchain.name}")
            waits = Waits(
                settings.bootstrap_startup or _bootstrap.STARTUP[running.accelerator.name],
                settings.bootstrap_timeout,
                settings.bootstrap_retries,
            )
            done = ensure(
                host, machine, toolchain, running, waits, os.path.join(settings.log_dir, logs),
                lock_timeout=_PATIENCE,
            )  # fmt: skip
            if done.failure is not None:
                raise HostError(
                    f"cannot bootstrap {name}: {done.failure.message}; see its logs in {done.logs}",
                    culprit="machine",
                )
            machine = done.machine
        if machine.state != "current":
            why = "; ".join(machine.reasons)
            raise HostError(f"machine {name} is not ready for tasks ({why})", culprit="machine")
        return machine

    def _running(self) -> Running:
        settings = self._settings
        if self._accelerator is None:
            self._accelerator = choose(self._host, settings.accelerator)
        return Running(
            self._accelerator,
            cpu=settings.cpu,
            ram=settings.ram,
            port=settings.tftp_port,
            patience=_PATIENCE,
            alive=self._alive,
            progress=self._screen.show,
            warm=settings.warm,
            writes=settings.write_limit,
            auxiliary_ram=settings.auxiliary_ram,
        )

    def _alive(self) -> bool:
        self._screen.tick()
        return self._wanted()


def _is_task(path: str) -> bool:
    """Whether the file ``path`` is a task, and no source: a manifest, or YAML by its name."""
    if path.endswith((".yml", ".yaml", ".manifest")):
        return True
    with contextlib.suppress(OSError), open(path, "rb") as file:
        lines = file.read(4096).splitlines()
        return next((x for x in lines if x.strip() and x[:1] != b"#"), b"").lstrip()[:1] == b":"
    return False


def _named(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise _UsageError(f"--setting: '{text}' is not NAME=VALUE")
    return name, value


def _our_worker(toolchain: Toolchain) -> str | None:
    """The worker of ``toolchain`` if that is ours, which tells how it would build."""
    path = os.path.join(toolchain.directory, _WORKER)
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if _MARK in archive.namelist():
            return path
    return None


def _status(summary: Summary, outcome: Outcome, fail_on: str) -> int:
    """The exit status that a task comes to."""
    if outcome.culprit in ("machine", "host"):
        return HOST
    return TASK if summary.failure(fail_on) else SUCCESS
