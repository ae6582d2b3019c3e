# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Maven and Gradle have in common: repositories, and the reports of tests."""

from __future__ import annotations

import glob
import os

from ..run import CommandFailed
from ..scanners import Scanner
from .base import Driver
from .dependencies import Complaint, unavailable

# Where Debian's packages lib*-java put what Maven and Gradle look for.
DEBIAN_REPOSITORY = "/usr/share/maven-repo"


class Java(Driver):
    """A build that is tried with what the machine has, and then with a network."""

    flavour = "java"

    # How the tool says what it misses.
    missing = ""

    _is_offline = True

    def build(self, *goals: str, scanner: Scanner | None = None) -> None:
        """Have the tool reach its *goals*. Raises WorkerError."""
        complaint = Complaint(self.missing)
        both = complaint if scanner is None else _Both(complaint, scanner)
        if self._is_offline:
            try:
                self.call(*goals, scanner=both, offline=True)
                return
            except CommandFailed:
                if not complaint.missing:
                    raise
            self._is_offline = False
            self.note("not all of that is in this machine: asking the network")
            complaint.missing = []
        try:
            self.call(*goals, scanner=both, offline=False)
        except CommandFailed:
            if not complaint.missing:
                raise
            raise unavailable("", complaint.missing, "", "libNAME-java") from None

    def call(self, *goals: str, scanner: Scanner, offline: bool) -> None:
        """Call the tool."""
        raise NotImplementedError

    def write(self, name: str, text: str) -> str:
        """Write a file of our own into the build directory, through no link; its path."""
        path = os.path.join(self.job.build, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(path, flags, 0o644), "w") as file:
            file.write(text)
        return path

    def add_reports(self, *patterns: str) -> bool:
        """Count the tests in the reports of all modules; whether there were any reports."""
        found = [
            path
            for pattern in patterns
            for path in glob.glob(os.path.join(self.job.source, pattern), recursive=True)
        ]
        return self.tests.add_reports(found)

    def stage(self, directory: str) -> None:
        paths = [
            path
            for pattern in self.artifacts
            for path in glob.glob(os.path.join(self.job.source, pattern), recursive=True)
        ]
        self.job.runner.account.make_directory(directory)
        if paths:
            self.in_source("cp", "--target-directory", directory, "--", *sorted(paths))
        else:
            self.nothing("install")

    def install(self) -> None:
        self.stage(self.job.prefix)


class _Both(Scanner):
    """Lets two scanners see the same lines."""

    def __init__(self, *scanners: Scanner) -> None:
        super().__init__()
        self._scanners = scanners

    def feed(self, line: str) -> None:
        for scanner in self._scanners:
            scanner.feed(line)
