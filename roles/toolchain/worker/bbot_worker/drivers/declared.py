# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources declare in bbot.yml: steps of their own, on top of another driver or alone."""

from __future__ import annotations

import os
import time

from ..errors import WorkerError
from ..run import Command
from .base import Driver
from .tree import Tree

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..task import Task
    from ._declared.schema import Declaration, Step
    from .base import Job

NAME = "bbot.yml"


class Declared(Driver):
    name = "declared"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._declaration = _read(Tree(job.source))
        self._inner: Driver | None = None
        self._started = time.monotonic()
        self._prepared = False
        self._path = ""
        task = job.task
        self.operations = [] if "operations" in task.settings else self._declaration.operations
        if self._declaration.artifacts and "artifacts" not in task.settings:
            task.settings["artifacts"] = ",".join(self._declaration.artifacts)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return NAME if tree.is_file(NAME) else ""

    @classmethod
    def review(cls, tree: Tree, task: Task) -> None:
        _chosen(_read(tree).matrix, task.matrix)

    @classmethod
    def matrix(cls, tree: Tree) -> dict[str, list[str]]:
        return _read(tree).matrix

    def check(self) -> None:
        self._inner = self._choose_inner()
        if self._inner is not None:
            self.artifacts = self._inner.artifacts
            self.brings_installed = self._inner.brings_installed

    def _choose_inner(self) -> Driver | None:
        """The driver that does what is not declared; without any steps that is everything."""
        from . import DRIVERS, candidates, driver_named

        name = self._declaration.driver or ("" if self._declaration.steps else "auto")
        if name not in ("", "auto"):
            return driver_named(name)(self.job)
        if not name:
            return None
        found = candidates(Tree(self.job.source), [each for each in DRIVERS if each != self.name])
        if not found:
            raise WorkerError(
                f"{NAME} has no steps for what a driver would do, and there is no known build "
                "system in the sources"
            )
        driver, reason = found[0]
        self.note(f"what {NAME} has no steps for is done by the {driver.name} driver ({reason})")
        return driver(self.job)

    def perform(self, operation: str) -> None:
        """Do the operation's steps, or what the other driver does. Raises WorkerError."""
        from ..tests import Tests

        self.tests = Tests()
        runner = self.job.runner
        self._limit(operation)
        runner.environment.update(self._of_matrix())
        runner.environment.update(self._declaration.environment)
        if not self._prepared:
            self._prepare()
            self._prepared = True
            # May be among what was installed.
            if self._inner is not None:
                self._inner.check()
        if self._path:
            runner.environment["PATH"] = f"{self._path}:{runner.path}"
        began = time.time()
        try:
            self._do(operation)
        finally:
            if operation.startswith("test"):
                self._count_reports(began)

    def stage(self, directory: str) -> None:
        if self._inner is None:
            super().stage(directory)
        else:
            self._inner.stage(directory)

    def _do(self, operation: str) -> None:
        steps = self._declaration.steps.get(operation)
        command = self.job.task.settings.get("test")
        if operation == "test" and command:
            self.run_test_command(command)
        elif steps is not None:
            for step in steps:
                self._run(step, operation)
            if not steps and operation.startswith("test"):
                self.tests.there_are_none(f"{NAME} has no steps for {operation}")
        elif self._inner is not None:
            try:
                self._inner.perform(operation)
            finally:
                self.tests = self._inner.tests
        elif operation == "test":
            self.tests.there_are_none(f"{NAME} has no steps for {operation}")
        elif operation in ("configure", "update"):
            self.nothing(operation)
        else:
            raise WorkerError(f"{NAME} has no steps for the operation '{operation}'")

    def _run(self, step: Step, operation: str) -> None:
        from ..scanners import Any

        job = self.job
        directory = os.path.realpath(os.path.join(job.source, step.directory))
        top = os.path.realpath(job.source)
        if directory != top and not directory.startswith(top + os.sep):
            raise WorkerError(f"{NAME}: the folder {step.directory} is outside of the sources")
        scanner = Any() if operation.startswith("test") else None
        command = Command(["/bin/sh", "-e", "-c", step.run], directory, step.environment)
        with job.runner.limited(step.timeout):
            try:
                job.runner.run(command, scanner)
            finally:
                if scanner is not None:
                    self.tests.add_scanned(scanner)

    def _limit(self, operation: str) -> None:
        """Have time run out when the declaration says so, unless the task itself does."""
        from ._declared.schema import WHOLE

        declaration, runner = self._declaration, self.job.runner
        if "timeout" not in self.job.task.settings:
            runner.limit(declaration.timeout(operation))
        whole = declaration.timeouts.get(WHOLE)
        if whole is not None:
            left = self._started + whole - time.monotonic()
            runner.limit(left, f"{whole} seconds, which is the time for all operations")

    def _of_matrix(self) -> dict[str, str]:
        """The combination of the matrix that the task chooses; of what it leaves open the first."""
        matrix, task = self._declaration.matrix, self.job.task
        chosen = _chosen(matrix, task.matrix)
        left = any(len(matrix[name]) > 1 for name in set(matrix) - set(task.matrix))
        if left and not self._prepared:
            said = ", ".join(f"{name}={value}" for name, value in chosen.items())
            self.job.runner.log.warn(f"of the matrix in {NAME} one combination is done: {said}")
        return chosen

    # What is installed first

    def _prepare(self) -> None:
        if self._declaration.packages:
            from ._declared.packages import install

            install(self, self._declaration.packages)
        if self._declaration.requirements:
            self._install_requirements(self._declaration.requirements)

    def _install_requirements(self, requirements: list[str]) -> None:
        """Install Python's packages into an environment that all steps use."""
        from .python import Python

        python = self._inner if isinstance(self._inner, Python) else Python(self.job)
        python.check()
        place = self.job.build
        if python is not self._inner:
            place = self.job.runner.account.make_directory(os.path.join(self.job.work, "python"))
        python.install_requirements(place, requirements, NAME)
        self._path = os.path.join(place, "bin")

    def _count_reports(self, began: float) -> None:
        """Count what is in JUnit's reports that were written since then."""
        from ..artifacts import match

        paths = {
            os.path.join(place, path)
            for pattern in self._declaration.junit
            for place in (self.job.source, self.job.work)
            for path in match(place, pattern)
        }
        # A file system's clock may be some milliseconds behind.
        written = [path for path in paths if _changed(path) >= began - 1]
        if not self._declaration.junit:
            return
        scanned, self.tests.counts = self.tests.counts, None
        if not self.tests.add_reports(written):
            self.tests.counts = scanned
            self.job.runner.log.warn(f"no report was written that {NAME} names as 'junit'")


def _read(tree: Tree) -> Declaration:
    """Read the declaration. Raises WorkerError."""
    from . import DRIVERS
    from ._declared.document import SIZE_MOST
    from ._declared.schema import Declaration

    if not tree.is_file(NAME):
        raise WorkerError(f"{NAME}: the sources have no such file")
    try:
        with open(tree.at(NAME), "rb") as file:
            data = file.read(SIZE_MOST + 1)
    except OSError as error:
        raise WorkerError(f"{NAME} cannot be read: {error.strerror}") from None
    return Declaration(data, [name for name in DRIVERS if name != Declared.name])


def _chosen(matrix: dict[str, list[str]], wanted: dict[str, str]) -> dict[str, str]:
    """One value of each variable of the matrix. Raises WorkerError if that wanted is not there."""
    for name, value in wanted.items():
        if value not in matrix.get(name, []):
            known = ", ".join(f"{each}={one}" for each, values in matrix.items() for one in values)
            raise WorkerError(
                f"the matrix in {NAME} has no {name}={value}: there are {known or 'no variables'}"
            )
    return {name: wanted.get(name, values[0]) for name, values in matrix.items()}


def _changed(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0
