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
    from .tree import Tree


class Meson(Driver):
    name = "meson"
    tools = ("meson",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        # A meson.build without a project belongs to one above it.
        return "meson.build" if tree.says("meson.build", r"^\s*project\s*\(") else ""

    def configure(self) -> None:
        job = self.job
        prefix = f"--prefix={job.prefix}"
        self.in_build("meson", "setup", prefix, *job.definitions(), ".", job.source)

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
            if not self.tests.add_reports([report]):
                self.tests.add_scanned(scanner)
        if scanner.counts is None and self.tests.counts is None:
            self.tests.there_are_none("the project defines none")

    def install(self) -> None:
        self.in_build("meson", "install", "--no-rebuild")

    def stage(self, directory: str) -> None:
        self.in_build("meson", "install", "--no-rebuild", "--destdir", directory)
