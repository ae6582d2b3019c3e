# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradle: the one that the project's wrapper fetches, else the machine's."""

from __future__ import annotations

import json
import os
import re

from ..run import CommandFailed
from ..scanners import Scanner
from .java import DEBIAN_REPOSITORY, Java

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .base import Job
    from .tree import Tree

_BUILD_FILES = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
_REPOSITORY = """\
allprojects {
    buildscript { repositories { maven { url %(url)s } } }
    repositories { maven { url %(url)s } }
}
"""


class NoSource(Scanner):
    """Sees whether tasks of tests had anything to run, and whether there were such tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def feed(self, line: str) -> None:
        if re.search(r":test NO-SOURCE", line):
            self.reason = "the project has no sources of tests"
        elif "Task 'check' not found" in line:
            self.reason = "the project has no task 'check'"


class Gradle(Java):
    name = "gradle"
    tools = ("java",)
    artifacts = ("**/build/libs/*.jar", "**/build/libs/*.war", "**/build/distributions/*")
    missing = (
        r"No cached version of (\S+) available for offline mode|Could not (?:resolve|find|GET) "
        r"'?([\w.-]+:[\w.-]+:[\w.+-]+)|Plugin \[id: '([^']+)'.*was not found"
    )

    _program: tuple[str, ...] = ("gradle",)

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        # Those that add a repository to all projects.
        self._scripts: dict[str, str] = {}

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return tree.has(*_BUILD_FILES)

    def configure(self) -> None:
        if self.job.has("gradlew") and self._fetches():
            self._program = ("/bin/sh", "./gradlew")
        elif self.which("gradle") is None:
            raise self.lacks("gradle")
        index = self.job.task.settings.get("index")
        for name, url in (("debian", f"file://{DEBIAN_REPOSITORY}"), ("index", index)):
            if url:
                text = _REPOSITORY % {"url": json.dumps(url)}
                self._scripts[name] = self.write(f"{name}.gradle", text)

    def update(self) -> None:
        self.build("assemble")

    def test(self) -> None:
        none = NoSource()
        try:
            self.build("check", "--continue", scanner=none)
        except CommandFailed:
            if "'check'" not in none.reason:
                raise
        finally:
            self.add_reports("**/build/test-results/**/TEST-*.xml")
        if self.tests.counts is None:
            self.tests.there_are_none(none.reason or "Gradle has found none")

    def call(self, *goals: str, scanner: Scanner, offline: bool) -> None:
        options = ["--no-daemon", "--console=plain", f"--max-workers={self.job.jobs}"]
        script = self._scripts.get("debian" if offline else "index")
        if offline:
            options.append("--offline")
        if script:
            options += ["--init-script", script]
        words = [*self._program, *options, *self.job.task.words, *goals]
        self.in_source(*words, scanner=scanner, GRADLE_USER_HOME=self._home)

    def _fetches(self) -> bool:
        """Whether the wrapper can have the Gradle that it wants."""
        try:
            self.in_source(
                "/bin/sh", "./gradlew", "--no-daemon", "--version", GRADLE_USER_HOME=self._home
            )
        except CommandFailed:
            self.note("the wrapper cannot fetch its Gradle: the machine's is used")
            return False
        return True

    @property
    def _home(self) -> str:
        return os.path.join(self.job.runner.account.home, ".gradle")
