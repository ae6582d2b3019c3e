# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain makefile, built in its tree; the task's words go to every call."""

from __future__ import annotations

import re

from ..scanners import Any, Scanner
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..run import Answer
    from .tree import Tree

# As it quotes names, with and without UTF-8.
_QUOTE = "['`\u2018\u2019]"
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
# A rule, or another makefile that may have some.
_RULE = r"^(?:[^\s#:=][^:=#]*::?(?:[^=]|$)|-?include\s)"
# What make says of itself.
_OWN_WORDS = re.compile(r"(?:make(?:\[\d+\])?: .*|Making \S+ in \S+|\S*make\s+\S+|)", re.IGNORECASE)


class Make(Driver):
    name = "make"
    tools = ("make",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return next((name for name in _MAKEFILES if tree.says(name, _RULE)), "")

    def configure(self) -> None:
        self.nothing("configure")

    def update(self) -> None:
        self.in_source(*self._make(f"-j{self.job.jobs}"))

    def test(self) -> None:
        for target in ("check", "test"):
            if has_target(target, self._ask_make):
                run_tests(self, self.in_source, *self._make(target))
                return
        self.tests.there_are_none("the makefile has no target check or test that does something")

    def install(self) -> None:
        self.in_source(*self._make("install"))

    def test_installed(self) -> None:
        if has_target("installcheck", self._ask_make):
            run_tests(self, self.in_source, *self._make("installcheck"))
        else:
            self.tests.there_are_none("the makefile has no target installcheck that does something")

    def uninstall(self) -> None:
        self.in_source(*self._make("uninstall"))

    def stage(self, directory: str) -> None:
        self.in_source(*self._make("install", f"DESTDIR={directory}"))

    def _ask_make(self, *arguments: str) -> Answer:
        return self.ask(*self._make(*arguments))

    def _make(self, *arguments: str) -> list[str]:
        prefix = [f"prefix={self.job.prefix}", f"PREFIX={self.job.prefix}"]
        return ["make", *arguments, *prefix, *self._words]

    @property
    def _words(self) -> list[str]:
        """What else make is called with."""
        return self.job.task.words


def has_target(target: str, ask: Callable[..., Answer]) -> bool:
    """Whether ``make target`` would do something; *ask* runs make in the right directory.

    A folder of that name is no target, nor is what make's own rules would make of a ``test.c``.
    """
    answer = ask("--dry-run", "--no-print-directory", "--no-builtin-rules", target)
    if not answer:
        # A dry run of recursive makefiles can fail where a real one does not.
        return not re.search(rf"No rule to make target {_QUOTE}{target}{_QUOTE}\.", answer.output)
    idle = rf"make(?:\[\d+\])?: (?:Nothing to be done for|{_QUOTE}{target}{_QUOTE} is up to date)"
    return any(not re.match(idle, line) for line in answer.output.strip().splitlines())


def run_tests(driver: Driver, run: Callable[..., None], *arguments: str) -> None:
    """Run a make that tests by *run*, and tell *driver* of the tests. Raises WorkerError."""
    output = _Output()
    try:
        driver.scan(output, run, *arguments)
    finally:
        if output.counts is None:
            # Nobody has summed up what was said of each test.
            driver.tests.add_scanned(output.lines)
    if not output.said_something:
        driver.tests.there_are_none("make ran nothing")


class _Output(Any):
    """The tests of any runner, and whether anything but make itself said something."""

    def __init__(self) -> None:
        super().__init__()
        self.said_something = False
        self.lines = _Lines()

    def feed(self, line: str) -> None:
        super().feed(line)
        self.lines.feed(line)
        self.said_something = self.said_something or not _OWN_WORDS.fullmatch(line.strip())


class _Lines(Scanner):
    """A line for each test, as scripts write them after automake's example: ``FAIL: name``."""

    def feed(self, line: str) -> None:
        one = re.match(r"(PASS|XFAIL|FAIL|XPASS|ERROR|SKIP): (\S.*)", line)
        if not one:
            return
        if one[1] == "SKIP":
            self.add(skipped=1)
        elif one[1] in ("PASS", "XFAIL"):
            self.add(passed=1)
        else:
            self.add(failed=1)
            self.fail(one[2], line)
