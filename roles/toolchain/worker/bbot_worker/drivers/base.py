# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all drivers have in common."""

from __future__ import annotations

import os
import shutil

from ..errors import WorkerError
from ..run import Command
from ..task import OPERATIONS
from ..tests import Tests

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..run import Answer, Runner
    from ..scanners import Scanner
    from ..task import Task
    from .tree import Tree


class Job:
    """What a driver needs to know of a task.

    ``source`` is the directory with the sources, ``build`` an empty one beside it, ``prefix`` where
    to install, ``reports`` where reports of tests may be written; all belong to the build user but
    for ``prefix``, which is not there yet.
    """

    def __init__(self, task: Task, source: str, work: str, runner: Runner) -> None:
        self.task = task
        self.source = source
        self.work = work
        self.build = runner.account.make_directory(os.path.join(work, "build"))
        self.reports = runner.account.make_directory(os.path.join(work, "reports"))
        self.prefix = os.path.join(work, "installed")
        self.jobs = str(task.jobs)
        self.runner = runner

    def has(self, *names: str) -> bool:
        """Whether one of the names exists in the sources."""
        return any(os.path.exists(os.path.join(self.source, name)) for name in names)

    def definitions(self) -> list[str]:
        """The task's words with ``name=value`` turned into ``-Dname=value``."""
        return [
            word if word.startswith("-") or "=" not in word else f"-D{word}"
            for word in self.task.words
        ]


class Driver:
    """How one build system does the operations.

    A method per operation, with ``_`` for ``-``, runs its commands, and raises WorkerError where
    one fails; with nothing to do it says so by ``nothing()``. An operation without a method is not
    supported. A method that tests tells ``self.tests`` what it has learnt.
    """

    name = ""
    # Programs without which nothing goes, and the flavour of image that has them.
    tools: tuple[str, ...] = ()
    flavour = "c"
    # What to bring home unless the task says otherwise: patterns of shell, with ``**``, in the
    # sources and in the folders ``build`` and ``reports``.
    artifacts: tuple[str, ...] = ()
    # Whether what was installed is brought home, too, if there was an operation install.
    brings_installed = True

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tests = Tests()
        # What the sources want done, for a task that does not say itself.
        self.operations: list[str] = []
        # Lines about what else could be tried, for when this one fails to build.
        self.alternatives: list[str] = []

    @classmethod
    def detect(cls, tree: Tree) -> str:
        """Return what in the sources says that they are of this kind, empty if nothing does."""
        raise NotImplementedError

    @classmethod
    def defers(cls, tree: Tree) -> bool:
        """Return whether any other kind that the sources look like is more likely to be meant."""
        return False

    @classmethod
    def review(cls, tree: Tree, task: Task) -> None:
        """Raise WorkerError for what can be seen in the sources to be wrong, on any machine."""

    @classmethod
    def matrix(cls, tree: Tree) -> dict[str, list[str]]:
        """Return the values of variables of whose combinations the sources want each built."""
        return {}

    def check(self) -> None:
        """Raise WorkerError if the machine lacks what the kind needs."""
        for tool in self.tools:
            if self.which(tool) is None:
                raise self.lacks(tool)

    def lacks(self, tool: str) -> WorkerError:
        """Return the error for a program or library that this machine does not have."""
        return WorkerError(
            f"this machine has no {tool}, which the {self.name} driver needs: images of the "
            f"flavour '{self.flavour}' have it (machine_image_flavours)"
        )

    @staticmethod
    def which(tool: str) -> str | None:
        """Return the path of a program, None if the machine does not have it."""
        return shutil.which(tool)

    def perform(self, operation: str) -> None:
        """Do the operation. Raises WorkerError."""
        self.tests = Tests()
        method: Callable[[], None] | None = None
        if operation in OPERATIONS:
            method = getattr(self, operation.replace("-", "_"), None)
        if method is None:
            raise WorkerError(f"the {self.name} driver has no operation '{operation}'")
        command = self.job.task.settings.get("test")
        if operation == "test" and command:
            self.run_test_command(command)
            return
        method()

    def stage(self, directory: str) -> None:
        """Install the build below *directory*, for its artifacts. Raises WorkerError."""
        raise WorkerError(f"the {self.name} driver cannot install without the operation install")

    def run_test_command(self, command: str) -> None:
        """Run the task's own test command, and count the tests of any runner that we know."""
        from ..scanners import Any

        self.scan(Any(), self.in_source, "/bin/sh", "-c", command)

    def scan(
        self, scanner: Scanner, run: Callable[..., None], *arguments: str, **more: str
    ) -> None:
        """Run a test command with *run*, and tell of the tests that *scanner* has seen."""
        try:
            run(*arguments, scanner=scanner, **more)
        finally:
            self.tests.add_scanned(scanner)

    def in_source(
        self, *arguments: str, scanner: Scanner | None = None, **environment: str
    ) -> None:
        """Run a command in the sources. Raises WorkerError unless it succeeds."""
        self.job.runner.run(Command(list(arguments), self.job.source, environment), scanner)

    def in_build(self, *arguments: str, scanner: Scanner | None = None, **environment: str) -> None:
        """Run a command in the build directory. Raises WorkerError unless it succeeds."""
        self.job.runner.run(Command(list(arguments), self.job.build, environment), scanner)

    def ask(self, *arguments: str, directory: str = "", **environment: str) -> Answer:
        """Put a question to a tool, in the sources unless said otherwise."""
        return self.job.runner.ask(
            Command(list(arguments), directory or self.job.source, environment)
        )

    def note(self, text: str) -> None:
        """Say something in the log."""
        self.job.runner.log.note(text)

    def nothing(self, operation: str) -> None:
        """Say that there is nothing to do for *operation*."""
        self.note(f"nothing to {operation} with the {self.name} driver")
