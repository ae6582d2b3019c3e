# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing a task: its sources, its driver, its operations, and a verdict on each."""

from __future__ import annotations

import contextlib
import os
import re
import time

from .account import Account
from .checksums import Unchanged, dependency_checksum, worker_checksum
from .errors import WorkerError, is_worse
from .guest import Guest
from .log import Log
from .run import Runner

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .drivers.base import Driver
    from .interactive import Breakpoint
    from .progress import Progress
    from .result import Result
    from .task import Task
    from .tftp import Tftp

# A controller (brep) refuses results of 10 MiB and more.
RESULT_LIMIT = 9 * 1024 * 1024
LOG_LIMIT = 2 * 1024 * 1024


def perform(task: Task, result: Result, work: str, tftp: Tftp, progress: Progress) -> None:
    """Do the task's operations until one fails, each into the result.

    The sources are fetched as a part of the first one. Every operation that was asked for is in
    the result afterwards: those after a failure as skipped, and one in which this program itself
    fails as ``abnormal``. None is there if the task is skipped as a whole: if its checksums are
    those of the last build.
    """
    task.read_configuration()
    account = Account(home=work)
    account.make_directory(work)
    site = _Site(task, result, work, tftp, account, progress)
    failed = ""
    while site.left:
        operation = site.left.pop(0)
        if failed:
            result.add(operation, "skip", f"not begun: {failed} has failed")
            continue
        try:
            status = site.perform(operation)
        except Unchanged:
            result.unchanged = True
            return
        if is_worse(status, "warning"):
            failed = operation


class _Site:
    """Where a task is done, from one operation to the next."""

    def __init__(
        self,
        task: Task,
        result: Result,
        work: str,
        tftp: Tftp,
        account: Account,
        progress: Progress,
    ) -> None:
        self._task = task
        self._result = result
        self._work = work
        self._tftp = tftp
        self._account = account
        self._progress = progress
        # The operations that were not begun.
        self.left = list(task.operations)
        self._limit = min(LOG_LIMIT, RESULT_LIMIT // len(self.left))
        self._driver: Driver | None = None
        # Those of the environment that the task asks for.
        self._variables: dict[str, str] = {}
        self._breakpoint = _breakpoint(task)

    def perform(self, operation: str) -> str:
        """Do one; its status, which is in the result, too."""
        started = time.monotonic()
        self._progress.begin(operation)
        log = Log(self._limit, progress=self._progress)
        status = "abnormal"
        try:
            with contextlib.closing(Guest(self._work)) as guest:
                status = self._attempt(operation, log, guest)
        except Unchanged:
            log.close()
            self._progress.end(operation, "skip", time.monotonic() - started)
            raise
        except Exception:
            import traceback

            log.note(f"error: the worker itself has failed\n{traceback.format_exc()}")
        self._result.add(operation, status, log.close())
        self._progress.end(operation, status, time.monotonic() - started)
        return status

    def _attempt(self, operation: str, log: Log, guest: Guest) -> str:
        runner = Runner(log, self._account, self._task.timeout, self._task.pty)
        runner.environment = _environment(self._task, operation, self._work)
        runner.environment.update(self._variables)
        log.warnings = list(self._task.warnings(log))
        status = "success"
        try:
            if self._driver is None:
                self._variables = _read_environment(self._task, self._work, runner)
                self._driver = _prepare(self._task, self._work, self._tftp, runner)
                self._compare(self._driver)
                self._take_over(self._driver.operations, operation)
                if self._breakpoint is not None:
                    self._breakpoint.check([operation, *self.left])
            self._driver.job.runner = runner
            if self._breakpoint is not None:
                self._breakpoint.before(operation, runner, self._place)
            self._driver.perform(operation)
            log.flush()
            self._judge_tests(operation, log, guest)
        except WorkerError as error:
            status = error.status
            self._explain(error, log, guest)
            # Of tests that fail another way to build would say the same.
            if self._driver is not None and operation in ("configure", "update"):
                for line in self._driver.alternatives:
                    log.note(line)
        finally:
            self._account.end_processes()
        if self._driver is not None:
            self._note_tests(operation, log)
            if not self.left or is_worse(status, "warning"):
                self._bring_home(self._driver)
        if log.warned:
            self._result.report.setdefault("warnings", {})[operation] = log.first_warning[:500]
        if status == "success" and log.warned:
            status = "warning"
        if self._breakpoint is not None:
            self._breakpoint.after(operation, status, runner, self._place)
            self._account.end_processes()
        return status

    @property
    def _place(self) -> str:
        """Where a person who looks in finds the sources."""
        return (self._driver.job.source if self._driver else "") or self._work

    def _compare(self, driver: Driver) -> None:
        """Note what the build depends on. Raises Unchanged if that is what it was the last time."""
        result, task = self._result, self._task
        result.worker_checksum = worker_checksum()
        try:
            depended = dependency_checksum(task, driver.job.source, driver.name)
        except OSError as error:
            raise WorkerError(f"the sources cannot be read: {error}", "abnormal") from error
        result.dependency_checksum = depended
        last = (task.value("worker-checksum"), task.value("dependency-checksum"))
        if depended and last == (result.worker_checksum, depended):
            raise Unchanged

    def _take_over(self, operations: list[str], first: str) -> None:
        """Have what the sources declare done after the *first* operation, in which they came."""
        if operations:
            self.left = [operation for operation in operations if operation != first]
            room = RESULT_LIMIT - self._limit
            self._limit = min(LOG_LIMIT, room // max(len(self.left), 1))

    def _judge_tests(self, operation: str, log: Log, guest: Guest) -> None:
        """See that what went well was tests. Raises WorkerError if some failed all the same.

        A runner may take it for an absence of tests that it cannot write what it has found.
        """
        if self._driver is None or not operation.startswith("test"):
            return
        tests = self._driver.tests
        if tests.missing and guest.trouble():
            raise WorkerError(f"no tests were run: {tests.missing}")
        if tests.missing:
            log.warn(f"no tests were run: {tests.missing}")
        elif tests.counts is not None and tests.counts.failed:
            raise WorkerError("tests failed, though the command that ran them says otherwise")

    def _note_tests(self, operation: str, log: Log) -> None:
        """Say how many tests there were, for those who have no more than the log."""
        if self._driver is None:
            return
        plain = self._driver.tests.to_plain()
        if plain is None:
            return
        self._result.report.setdefault("tests", {})[operation] = plain
        if self._driver.tests.counts is not None:
            log.note(f"tests: {self._driver.tests.counts}")

    @staticmethod
    def _explain(error: WorkerError, log: Log, guest: Guest) -> None:
        """Say what went wrong, and what the machine has to do with it."""
        log.note(f"error: {error}")
        trouble = guest.trouble()
        if trouble:
            log.note(f"error: {trouble}")

    def _bring_home(self, driver: Driver) -> None:
        from .artifacts import collect

        report = self._result.report
        report["driver"] = driver.name
        try:
            report.update(collect(driver))
        except (OSError, ValueError) as error:
            driver.job.runner.log.warn(f"the artifacts cannot be packed: {error}")


def _breakpoint(task: Task) -> Breakpoint | None:
    """Return where the task stops for a person; None if it does not."""
    where = task.value("interactive")
    if where in ("", "none"):
        return None
    from .interactive import Breakpoint

    return Breakpoint(where)


def _read_environment(task: Task, work: str, runner: Runner) -> dict[str, str]:
    """Return the variables of the environment that the task asks for, and have commands get them.

    Raises WorkerError, also for a target that needs an environment.
    """
    if not (task.target or task.value("environment")):
        return {}
    from .environment import check_target, read_environment

    check_target(task, os.uname().machine)
    variables = read_environment(task, work, runner)
    runner.environment.update(variables)
    return variables


def _prepare(task: Task, work: str, tftp: Tftp, runner: Runner) -> Driver:
    """Fetch the sources, and choose the driver for them."""
    from .drivers import choose
    from .drivers.base import Job
    from .drivers.tree import Tree
    from .sources import fetch_source

    by_bpkg = task.repository[1] == "pkg" or (
        task.settings.get("driver") == "build2" and not task.repository[0].startswith("tftp:")
    )
    if by_bpkg and task.value("repository-checksum"):
        raise WorkerError(
            "repository-checksum is for archives: bpkg checks what it fetches by certificates"
        )
    source = "" if by_bpkg else fetch_source(task, work, tftp, runner)
    if source and task.settings.get("subfolder"):
        source = Tree(source).within(task.settings["subfolder"]).path
    choice = choose(task, Tree(source) if source else None)
    for line in choice.describe().split("\n"):
        runner.log.note(line)
    if choice.driver.name != "build2":
        asked = task.asked_in_vain()
        if asked:
            raise WorkerError(f"the task asks for what only build2 can do here: {asked}")
    driver = choice.driver(Job(task, source, work, runner))
    driver.alternatives = choice.alternatives
    driver.check()
    return driver


def _environment(task: Task, operation: str, work: str) -> dict[str, str]:
    """What tools may know of their task, and what the agent tells of auxiliary machines."""
    environment = {
        "BBOT_NAME": task.name,
        "BBOT_VERSION": task.version,
        "BBOT_TARGET": task.target,
        "BBOT_OPERATION": operation,
        "BBOT_JOBS": str(task.jobs),
        "BBOT_PREFIX": os.path.join(work, "installed"),
    }
    for line in task.value("auxiliary-environment").split("\n"):
        name, separator, value = line.partition("=")
        if separator and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            environment[name] = value
    return environment
