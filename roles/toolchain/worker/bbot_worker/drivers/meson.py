# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meson, and its own runner of tests."""

from __future__ import annotations

import os

from ..scanners import meson as meson_summary
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..scanners import Scanner
    from .tree import Tree


class Meson(Driver):
    name = "meson"
    tools = ("meson", "ninja")
    artifacts = ("build/meson-logs/testlog.junit.xml",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        # A meson.build without a project belongs to one above it.
        return "meson.build" if tree.says("meson.build", r"^\s*project\s*\(") else ""

    def configure(self) -> None:
        job = self.job
        words = job.definitions()
        if not any("wrap-mode" in word or "wrap_mode" in word for word in words):
            # What a build fetches is nobody's choice but the task's.
            words[:0] = ["--wrap-mode=nodownload"]
        self.in_build("meson", "setup", f"--prefix={job.prefix}", *words, ".", job.source)

    def update(self) -> None:
        self.in_build("meson", "compile", "--jobs", self.job.jobs)

    def test(self) -> None:
        scanner = meson_summary()
        report = os.path.join(self.job.build, "meson-logs", "testlog.junit.xml")
        jobs = ("--num-processes", self.job.jobs)
        try:
            self.in_build(
                "meson", "test", "--no-rebuild", "--print-errorlogs", *jobs, scanner=scanner
            )
        finally:
            self._count(report, scanner)
        if self.tests.counts is None:
            self.tests.there_are_none("the project defines none")

    def _count(self, report: str, scanner: Scanner) -> None:
        """Count by the report, which knows the cases within a test, unless it misses failures."""
        self.tests.add_reports([report])
        counts, seen = self.tests.counts, scanner.counts
        if seen is not None and (counts is None or seen.failed > counts.failed):
            self.tests.counts = None
            self.tests.add_scanned(scanner)

    def install(self) -> None:
        self.in_build("meson", "install", "--no-rebuild")

    def stage(self, directory: str) -> None:
        self.in_build("meson", "install", "--no-rebuild", "--destdir", directory)
