# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian source package: built and tested as in the archive, then looked at by lintian."""

from __future__ import annotations

import os
import re

from ..errors import WorkerError
from .packages import BuildOutput, Package

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree


class DebhelperOutput(BuildOutput):
    """debhelper says which step is done; what is printed in that of tests is theirs."""

    _STEP = re.compile(r" +(?:debian/rules (?:override_|execute_\w+_)?)?(dh_\w+|create-stamp)\b")
    _SILENT = re.compile(r"make(?:\[\d+\])?: (?:Entering|Leaving|Nothing to be done)|\s*$")

    _is_testing = False

    def is_of_tests(self, line: str) -> bool:
        step = self._STEP.match(line)
        if step:
            self._is_testing = step[1] == "dh_auto_test"
        return self._is_testing and not step and not self._SILENT.match(line)


class Debian(Package):
    name = "debian"
    tools = ("dpkg-buildpackage", "dh", "fakeroot", "lintian")
    flavour = "debian"
    artifacts = ("build/*.deb", "build/*.udeb", "build/*.changes", "build/*.buildinfo")

    @classmethod
    def detect(cls, tree: Tree) -> str:
        needed = ("debian/changelog", "debian/control", "debian/rules")
        return "debian/control" if all(tree.has(name) for name in needed) else ""

    def configure(self) -> None:
        answer = self.ask("dpkg-checkbuilddeps")
        if answer:
            self.note("all build dependencies are there")
            return
        unmet = re.findall(r"[Uu]nmet build dependencies: (.+)", answer.output)
        conflicts = re.findall(r"[Bb]uild conflicts: (.+)", answer.output)
        if unmet:
            raise WorkerError(
                f"this machine lacks packages to build with: {unmet[0]}: list them in a bbot.yml "
                "('packages') or have them in the image (machine_image_extra_packages)"
            )
        if conflicts:
            raise WorkerError(f"this machine has what conflicts with the build: {conflicts[0]}")
        raise WorkerError(f"dpkg-checkbuilddeps cannot tell: {answer.output.strip()}")

    def update(self) -> None:
        job = self.job
        self.build_and_test(
            DebhelperOutput(),
            self.in_source,
            "dpkg-buildpackage",
            "--build=binary",
            "--no-sign",
            *job.task.words,
            DEB_BUILD_OPTIONS=f"parallel={job.jobs}",
        )
        # They are beside the sources, wherever those are.
        beside = os.path.dirname(job.source)
        names = [name for name in self._list(beside) if _RESULT.search(name)]
        self.in_source("mv", "--", *(os.path.join(beside, name) for name in names), job.build)

    def test(self) -> None:
        changes = [name for name in self._list(self.job.build) if name.endswith(".changes")]
        self.lint(r"([EW]): \S", "lintian", "--fail-on", "error", *changes)

    @staticmethod
    def _list(directory: str) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except OSError:
            return []


_RESULT = re.compile(r"\.(?:u?deb|changes|buildinfo)$")
