# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drivers of distributions' packages have in common: tests in the build, then a lint."""

from __future__ import annotations

import re

from ..errors import WorkerError
from ..run import CommandFailed
from ..scanners import Any, Scanner
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable

    from .tree import Tree


class BuildOutput(Scanner):
    """The output of a build: whether tests were run in it, and how many by runners we know.

    Subclasses say which lines are the doing of tests.
    """

    def __init__(self) -> None:
        super().__init__()
        self._any = Any()
        self.has_run = False

    def feed(self, line: str) -> None:
        self.has_run = self.has_run or self.is_of_tests(line)
        self._any.feed(line)
        self.counts, self.first_failure = self._any.counts, self._any.first_failure

    def is_of_tests(self, line: str) -> bool:
        """Whether a command that tests was run, or has printed that; sees every line."""
        raise NotImplementedError


class Lint(Scanner):
    """The numbers of a lint's errors and warnings, whose letter is the group of *pattern*."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = re.compile(pattern)
        self.tags = {"E": 0, "W": 0}

    def feed(self, line: str) -> None:
        found = self._pattern.match(line)
        if found:
            self.tags[found[1]] += 1


class Package(Driver):
    """A package whose tests are run with its build, in the operation update."""

    @classmethod
    def defers(cls, tree: Tree) -> bool:
        # A distribution's files beside those of a build system.
        return True

    # What was seen of tests in the build.
    built: BuildOutput | None = None

    def build_and_test(
        self, output: BuildOutput, run: Callable[..., None], *arguments: str, **environment: str
    ) -> None:
        """Run the command that does both; the tests are those of the operation that fails."""
        self.built = output
        try:
            run(*arguments, scanner=output, **environment)
        except WorkerError:
            self.tests.add_scanned(output)
            raise

    def lint(self, pattern: str, *arguments: str) -> None:
        """Run a lint in the build directory: its errors are one, its warnings a warning.

        The tests of the build are those of this operation.
        """
        if self.built is None:
            raise WorkerError("there is no package to test: test comes after update")
        self.tests.add_scanned(self.built)
        lint = Lint(pattern)
        try:
            self.in_build(*arguments, scanner=lint)
        except CommandFailed:
            if not lint.tags["E"]:
                raise
            raise WorkerError(f"{arguments[0]} has found {lint.tags['E']} errors") from None
        if lint.tags["W"]:
            self.job.runner.log.warn(f"{arguments[0]} has {lint.tags['W']} warnings")
        if self.built.counts is None and not self.built.has_run:
            self.tests.there_are_none(f"the build runs none ({arguments[0]} has found no errors)")
