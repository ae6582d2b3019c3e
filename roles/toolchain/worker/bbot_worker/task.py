# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done: the task's manifest, and the settings in it that are ours."""

from __future__ import annotations

import os
import re

from .errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .log import Log
    from .manifest import Pairs

PREFIX = "config.bbot."
# The words config.bbot.matrix.<variable>=<value>: what to do of the matrix in bbot.yml.
MATRIX = "matrix."

# The words config.bbot.<name>=<value> of a task's target-config.
SETTINGS = {
    "artifacts": "what to bring home: patterns with commas between, 'install', or 'none'",
    "driver": "how to build: a driver's name, or 'auto'",
    "index": "the address of a package index that is reachable from the machine",
    "jobs": "how many jobs at once",
    "operations": "what to do, with commas between",
    "preset": "the configure preset of CMake's, or 'none'",
    "pty": "'yes' for a terminal instead of a pipe",
    "script": "the executable of the driver 'script'",
    "subfolder": "where in the sources the project is",
    "test": "the command that tests, for a shell",
    "timeout": "seconds for each operation",
    "wheelhouse": "a directory of the sources with packages to install from",
}

OPERATIONS = ("configure", "update", "test", "install", "test-installed", "uninstall")

# Fields that ask for something which this worker cannot do, and what that would be.
_ASKED_IN_VAIN = {
    "requires": "what the machine must have ('requires')",
    "tests": "test packages of their own ('tests')",
    "examples": "examples of their own ('examples')",
    "benchmarks": "benchmarks of their own ('benchmarks')",
    "package-config": "configuration of the package ('package-config')",
}


class Task:
    """A task manifest, old (2017) or new. Raises WorkerError without a name or version."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.name = self.value("name")
        self.version = self.value("version")
        if not (self.name and self.version):
            raise WorkerError("no name or no version in the task manifest", "abnormal")
        self.target = self.value("target")
        self.settings: dict[str, str] = {}
        self.matrix: dict[str, str] = {}
        self.words: list[str] = []

    def read_configuration(self) -> None:
        """Part what is meant for us (``config.bbot.*``) from the words for the build's tool.

        Raises WorkerError for what cannot be meant.
        """
        text = self.value("target-config") or self.value("config")
        try:
            words = split_words(text)
        except ValueError as error:
            raise WorkerError(f"unreadable target-config '{text}': {error}") from None
        for word in words:
            if word.startswith(PREFIX):
                name, _sign, value = word[len(PREFIX) :].partition("=")
                if name.startswith(MATRIX):
                    self.matrix[name[len(MATRIX) :]] = value
                else:
                    self.settings[name] = value
            else:
                self.words.append(word)
        check_settings(self.settings)
        self.check_values()

    def check_values(self) -> tuple[object, ...]:
        """Raise WorkerError for a setting that has a value which it cannot have."""
        return self.operations, self.jobs, self.timeout, self.pty

    def value(self, name: str) -> str:
        """Return the first value of that name, or an empty string."""
        return next((value for field, value in self.pairs if field == name), "")

    def values(self, name: str) -> list[str]:
        """Return all values of that name, in order."""
        return [value for field, value in self.pairs if field == name]

    def asked_in_vain(self) -> str:
        """Return what the task asks for that only build2's own tools can do; empty if nothing."""
        asked = [what for name, what in _ASKED_IN_VAIN.items() if any(self.values(name))]
        if self.value("host") == "true":
            asked.append("a build for the host itself ('host')")
        return ", ".join(asked)

    @property
    def repository(self) -> tuple[str, str]:
        """Its address, and its type (``pkg``, ``git``, ``dir``, or empty: see the address)."""
        url = self.value("repository-url") or self.value("repository")
        return url, self.value("repository-type")

    @property
    def operations(self) -> list[str]:
        operations = [name for name in self.settings.get("operations", "").split(",") if name]
        for name in operations:
            if not re.fullmatch("[a-z][a-z0-9-]*", name) or operations.count(name) > 1:
                raise WorkerError(
                    f"invalid or repeated operation '{name}' in config.bbot.operations"
                )
        return operations or ["configure", "update", "test"]

    @property
    def jobs(self) -> int:
        return int(self._number("jobs", os.cpu_count() or 1))

    @property
    def timeout(self) -> float | None:
        """Seconds for one operation."""
        return self._number("timeout", 0) or None

    @property
    def pty(self) -> bool:
        """Whether commands are to have a terminal."""
        text = self.settings.get("pty", "no")
        if text not in ("yes", "no"):
            raise WorkerError(f"config.bbot.pty={text}: yes or no expected")
        return text == "yes"

    def _number(self, setting: str, default: float) -> float:
        text = self.settings.get(setting, "")
        if not text:
            return default
        if not re.fullmatch(r"\d{1,9}", text) or int(text) == 0:
            raise WorkerError(f"config.bbot.{setting}={text}: not a positive whole number")
        return int(text)

    def warnings(self, log: Log) -> Iterator[re.Pattern[str]]:
        """The task's own warning patterns; what cannot be used is said in the log."""
        from .log import ecmascript

        for pattern in self.values("warning-regex"):
            try:
                yield ecmascript(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                log.note(f"warning-regex '{pattern}' of the task is not used: {error}")


def split_words(text: str) -> list[str]:
    """Split a value at blanks and newlines; quotes of both kinds hold all but themselves.

    There are no escapes (libbutl's string_parser). Raises ValueError for a quote that is open.
    """
    import shlex

    parser = shlex.shlex(text, posix=True)
    parser.whitespace_split = True
    parser.commenters = parser.escape = ""
    return list(parser)


def check_settings(names: Iterable[str]) -> None:
    """Raise WorkerError if one of *names* is no setting, with the one that was perhaps meant."""
    unknown = sorted(set(names) - set(SETTINGS))
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], SETTINGS, n=1)
        raise WorkerError(
            f"unknown setting {PREFIX}{unknown[0]} in the task's target-config: "
            + (f"did you mean {PREFIX}{close[0]}? " if close else "")
            + f"known are {', '.join(sorted(SETTINGS))}"
        )
