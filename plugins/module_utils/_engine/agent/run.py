# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""`bbot-agent run`: tasks of a person's own on this host, from a folder to results in another.

It does what the playbook run_task.yml does, with the same options and results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import typing as t
import zipfile

from ..errors import EngineError, Interrupted, sentence
from ..host.diagnostics import Diagnostics
from ..linux.process import Runner
from ..machine.inventory import enumerate_machines, find_machine, taking_tasks
from ..machine.sweep import sweep
from ..machine.toolchain import Toolchain
from ..matrix.asked import Asked, MatrixError
from ..matrix.begin import Begun, begin, go_on
from ..matrix.packing import prepare_all
from ..matrix.plan import plan
from ..matrix.verdict import HOST, SUCCESS, TASK
from ..task.logs import copy_results
from ..task.origin import differences
from ..task.perform import Outcome
from ..task.prepare import Prepared, PrepareError
from ..task.rerun import SourceKeeper, prepare_rerun
from ..task.source import new_folder, remove_folder
from ..task.summary import Summary
from .job import CancelToken
from .matrix_run import MatrixRun
from .options import OptionsError
from .performer import Order, Performer
from .run_options import UsageError, read_asked, read_options
from .screen import Screen
from .settings import Settings

# Exit status; the others are those of a matrix. With a signal it is 128 and its number.
USAGE = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Our worker, and what shows that it is ours.
_WORKER, _MARK = "bbot-worker", "bbot_worker/main.py"


def run_task(arguments: t.Sequence[str], run: Runner, say: Diagnostics) -> int:
    """Do what the ``arguments`` ask for; the exit status."""
    try:
        options, settings = read_options(arguments)
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
    except (PrepareError, MatrixError, UsageError) as error:
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
        self._run = run
        self._screen = screen
        self._wanted = wanted
        self._performer = Performer(settings, run, screen.show, self._alive, hold=options.hold)

    def perform(self, folder: str) -> int:
        """Do it, with what is packed in ``folder``; the exit status."""
        cwd = os.environ.get("PWD") or os.getcwd()
        toolchain = self._performer.toolchain
        worker = _our_worker(toolchain)
        if self._options.resume:
            place = os.path.normpath(os.path.join(cwd, os.path.expanduser(self._options.resume)))
            return self._matrix(go_on(place, folder, worker, os.getpid()))
        if self._options.rerun:
            again = prepare_rerun(self._options.rerun, cwd)
            self._describe([again])
            sweep(self._performer.host)
            return self._single(again.fields, again, cwd)
        asked = read_asked(self._options, cwd)
        prepared = prepare_all(asked, folder, worker)
        self._describe(prepared)
        sweep(self._performer.host)
        known = self._known(asked, toolchain)
        combinations = plan(asked, prepared, known)
        if len(combinations) == 1:
            return self._single(combinations[0].fields, prepared[0], cwd)
        if self._options.interactive:
            raise UsageError("--interactive is for one task, and these are several")
        results = os.path.normpath(os.path.join(cwd, self._options.results))
        begun = begin(asked, prepared, known, results)
        begun.ledger.own(os.getpid())
        return self._matrix(begun)

    def _describe(self, prepared: t.Sequence[Prepared]) -> None:
        for each in prepared:
            for line in [
                *(f"warning: {warning}" for warning in each.warnings),
                *each.describe("--driver NAME"),
            ]:
                self._screen.show(line)

    def _known(self, asked: Asked, toolchain: Toolchain) -> list[str]:
        """The machines that tasks can be for. Raises UsageError for one that is not there."""
        machines = enumerate_machines(self._performer.host, toolchain)
        known = taking_tasks(machines)
        try:
            # One that is told by its name may be broken: then its performer says why.
            named = [find_machine(machines, each).name for each in asked.machines if _is_name(each)]
        except EngineError as error:
            raise UsageError(str(error)) from None
        return list(dict.fromkeys([*known, *named]))

    def _single(self, fields: t.Mapping[str, t.Any], prepared: Prepared, cwd: str) -> int:
        order = Order(fields, prepared.files, prepared.auxiliary_machines)
        task = order.task
        self._screen.begin(task.machine)
        outcome, logs = self._performer.perform(order)
        home = os.path.join(cwd, self._options.results, os.path.basename(logs))
        copy_results(logs, home := os.path.normpath(home))
        SourceKeeper().keep(prepared.files, home)
        summary = Summary(
            outcome.result.to_mapping(),
            outcome.report.to_mapping(),
            task.machine,
            outcome.culprit,
            outcome.reason,
            outcome.phases,
            home,
        )
        status = _status(summary, outcome, self._options.fail_on)
        self._screen.close()
        differs = []
        if former := self._options.rerun:
            differs = differences(os.path.join(cwd, os.path.expanduser(former)), home)
        if self._options.json:
            facts = summary.facts() | ({"differs": differs} if former else {})
            _tell(status, results=[facts])
        else:
            self._screen.show_all([*summary.lines(), *differs])
        return status

    def _matrix(self, begun: Begun) -> int:
        run = MatrixRun(self._settings, self._run, self._performer, self._screen, self._wanted)
        return run.perform(begun, self._options)

    def _alive(self) -> bool:
        self._screen.tick()
        return self._wanted()


def _tell(status: int, **facts: t.Any) -> None:
    json.dump({"status": status, **facts}, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _is_name(pattern: str) -> bool:
    return pattern != "all" and not set(pattern) & set("*?[")


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
