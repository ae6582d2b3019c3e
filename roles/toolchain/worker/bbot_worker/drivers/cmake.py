# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CMake, and CTest for its tests."""

from __future__ import annotations

import os

from ..scanners import Ctest
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree


class CMake(Driver):
    name = "cmake"
    tools = ("cmake", "ctest")
    artifacts = ("reports/ctest.xml",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return tree.has("CMakeLists.txt")

    def configure(self) -> None:
        job = self.job
        words = job.definitions()
        if self.which("ninja") and not any(word.startswith("-G") for word in words):
            words[:0] = ["-G", "Ninja"]
        if not any(word.startswith("-DCMAKE_BUILD_TYPE") for word in words):
            words[:0] = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
        prefix = f"-DCMAKE_INSTALL_PREFIX={job.prefix}"
        self.in_build("cmake", "-S", job.source, "-B", ".", prefix, *words)

    def update(self) -> None:
        self.in_build("cmake", "--build", ".", "--parallel", self.job.jobs)

    def test(self) -> None:
        scanner = Ctest()
        report = os.path.join(self.job.reports, "ctest.xml")
        try:
            self.in_build(
                "ctest",
                "--output-on-failure",
                "--parallel",
                self.job.jobs,
                "--output-junit",
                report,
                scanner=scanner,
            )
        finally:
            if not self.tests.add_reports([report]):
                self.tests.add_scanned(scanner)

    def install(self) -> None:
        self.in_build("cmake", "--install", ".")
