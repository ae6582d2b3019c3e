# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maven, with the distribution's repository or one that is reachable."""

from __future__ import annotations

import os

from ..scanners import Scanner, surefire
from .java import DEBIAN_REPOSITORY, Java

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree

_REPORTS = ("**/target/surefire-reports/TEST-*.xml", "**/target/failsafe-reports/TEST-*.xml")


class Maven(Java):
    name = "maven"
    tools = ("mvn", "java")
    artifacts = ("**/target/*.jar", "**/target/*.war")
    missing = (
        r"(?:Could not find artifact|the artifact|Failed to read artifact descriptor for|Could not "
        r"transfer artifact) (\S+:\S+?)[: ]+(?:has not been|in |from|\()|"
        r"^\[ERROR\].*Plugin (\S+:\S+) or one of its dependencies could not be resolved"
    )

    # The file that has Maven ask an index, if the task names one.
    _settings = ""

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return "pom.xml" if tree.says("pom.xml", r"<project\b") else ""

    def configure(self) -> None:
        if self.job.has("mvnw"):
            self.note("the machine's Maven is used, not the one that mvnw would fetch")
        if os.path.isdir(DEBIAN_REPOSITORY):
            # Maven writes notes of its own beside what it finds there.
            self.in_build("cp", "-rs", DEBIAN_REPOSITORY, "repository")
        index = self.job.task.settings.get("index")
        if index:
            # It brings half of urllib: here it is seldom wanted, and at the top by each task.
            from xml.sax.saxutils import escape

            mirror = f"<id>index</id><mirrorOf>*</mirrorOf><url>{escape(index)}</url>"
            text = f"<settings><mirrors><mirror>{mirror}</mirror></mirrors></settings>\n"
            self._settings = self.write("settings.xml", text)

    def update(self) -> None:
        self.build("package", "-DskipTests")

    def test(self) -> None:
        scanner = surefire()
        try:
            self.build("verify", "--fail-at-end", scanner=scanner)
        finally:
            if not self.add_reports(*_REPORTS):
                self.tests.add_scanned(scanner)
        if self.tests.counts is None:
            self.tests.there_are_none("Maven has found none")

    def call(self, *goals: str, scanner: Scanner, offline: bool) -> None:
        options = ["--batch-mode", "-Dstyle.color=never"]
        home = os.path.join(self.job.runner.account.home, ".m2", "repository")
        debian = os.path.join(self.job.build, "repository")
        use_debian = offline and os.path.isdir(debian) and not os.path.isdir(home)
        options.append(f"-Dmaven.repo.local={debian if use_debian else home}")
        if offline:
            options.append("--offline")
        elif self._settings:
            options += ["--settings", self._settings]
        self.in_source("mvn", *options, *self.job.task.words, *goals, scanner=scanner)
