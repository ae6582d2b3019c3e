# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CMake, and CTest for its tests."""

from __future__ import annotations

import os
import re

from ..scanners import Ctest
from .base import Driver
from .tree import Tree

PRESETS = "CMakePresets.json"
# Options that are off in the cache and look like those for tests, in CMakeCache.txt.
_SWITCHED_OFF = re.compile(r"^(\w*(?:TEST|CHECK)\w*):BOOL=(?:OFF|0|NO|FALSE)$", re.MULTILINE)


class CMake(Driver):
    name = "cmake"
    tools = ("cmake", "ctest")
    artifacts = ("reports/ctest.xml",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        # One without either is a part of a project above it.
        name = "CMakeLists.txt"
        return name if tree.says(name, r"(?i)^\s*(?:project|cmake_minimum_required)\s*\(") else ""

    def configure(self) -> None:
        job = self.job
        words = job.definitions()
        preset = self._preset()
        if preset:
            words[:0] = ["--preset", preset]
        else:
            if self.which("ninja") and not any(word.startswith("-G") for word in words):
                words[:0] = ["-G", "Ninja"]
            if not any(word.startswith("-DCMAKE_BUILD_TYPE") for word in words):
                words[:0] = ["-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
        prefix = f"-DCMAKE_INSTALL_PREFIX={job.prefix}"
        self.in_source("cmake", "-S", ".", "-B", job.build, prefix, *words)

    def update(self) -> None:
        self.in_build("cmake", "--build", ".", "--parallel", self.job.jobs)

    def test(self) -> None:
        scanner = Ctest()
        report = os.path.join(self.job.reports, "ctest.xml")
        options = ["--output-on-failure", "--parallel", self.job.jobs]
        if "--output-junit" in self.ask("ctest", "--help").output:
            options += ["--output-junit", report]
        try:
            self.in_build("ctest", *options, scanner=scanner)
        finally:
            if not self.tests.add_reports([report]):
                self.tests.add_scanned(scanner)
        counts = self.tests.counts
        if counts is not None and not counts.run and not counts.skipped:
            self.tests.there_are_none(f"ctest found none{self._switches()}")

    def install(self) -> None:
        self.in_build("cmake", "--install", ".")

    def stage(self, directory: str) -> None:
        self.in_build("cmake", "--install", ".", DESTDIR=directory)

    def _preset(self) -> str:
        """The configure preset: the task's, or the only one that there is."""
        setting = self.job.task.settings.get("preset", "")
        if setting:
            return "" if setting == "none" else setting
        if not self.job.has(PRESETS):
            return ""
        # It leaves out those that are hidden or whose conditions this machine does not meet.
        answer = self.ask("cmake", "--list-presets")
        names = re.findall(r'^\s+"([^"]+)"', answer.output, re.MULTILINE) if answer else []
        if len(names) != 1:
            if names:
                self.note(f"no preset is used of {', '.join(names)}: config.bbot.preset=NAME does")
            return ""
        self.note(
            f"preset {names[0]}, the only one in {PRESETS}; config.bbot.preset=none uses none"
        )
        return str(names[0])

    def _switches(self) -> str:
        """What in the build's cache could bring tests about, for a sentence."""
        names = _SWITCHED_OFF.findall(Tree(self.job.build).text("CMakeCache.txt"))
        if not names:
            return ""
        words = ", ".join(f"{name}=ON" for name in sorted(names)[:5])
        return f"; what is switched off may have some (in target-config: {words})"
