# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An RPM package: a spec file with its sources, or at the top of what it builds."""

from __future__ import annotations

import os
import re
import shlex

from ..errors import WorkerError
from .packages import BuildOutput, Package

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree

_ARCHIVES = {".tar": "", ".tar.gz": "-z", ".tgz": "-z", ".tar.bz2": "-j", ".tar.xz": "-J"}
# What rpmlint finds in each package where no distribution has signed it and set up rpmlint.
_LINT = (
    'Filters = ["no-signature", "no-packager-tag", "no-group-tag", "no-buildroot-tag", '
    '"invalid-license"]\n'
)


class RpmbuildOutput(BuildOutput):
    """rpmbuild says which section it executes, by a shell that shows its commands."""

    _is_checking = False

    def is_of_tests(self, line: str) -> bool:
        section = re.match(r"Executing\(%(\w+)\)", line)
        if section:
            self._is_checking = section[1] == "check"
            return False
        command = re.match(r"\+ (?!(?:umask|cd|jobs|exit|export)\b|RPM_EC=)", line)
        return self._is_checking and command is not None


class Rpm(Package):
    name = "rpm"
    tools = ("rpmbuild", "rpmlint")
    flavour = "rpm"
    artifacts = ("build/RPMS/**/*.rpm", "build/SRPMS/*.rpm")

    _spec = ""

    @classmethod
    def detect(cls, tree: Tree) -> str:
        for name in tree.glob("*.spec"):
            # PyInstaller's files are called so, too.
            if tree.says(name, r"^Name:\s*\S") and tree.says(name, r"^%(?:description|files)\b"):
                return name
        return ""

    def configure(self) -> None:
        self._spec = self._choose()
        answer = self.ask("rpmspec", "--parse", self._spec)
        if not answer:
            raise WorkerError(f"rpm does not understand {self._spec}: {answer.output.strip()}")
        sources = os.path.join(self.job.build, "SOURCES")
        self.in_build("mkdir", sources)
        found = re.findall(r"^(Source|Patch)(\d*):\s*(\S+)", answer.output, re.MULTILINE)
        for kind, number, place in found:
            name = place.rpartition("/")[2]
            if self.job.has(name):
                self.in_source("cp", "-p", "--", name, sources)
            elif kind == "Source" and number in ("", "0"):
                self._pack(os.path.join(sources, name), answer.output)
            else:
                raise WorkerError(f"{kind}{number} of {self._spec}, {name}, is not in the sources")

    def update(self) -> None:
        words = ["-ba", "--define", f"_topdir {self.job.build}", *self.job.task.words]
        if not self.ask("rpm", "--query", "rpm"):
            self.note("rpm did not install this machine: what the spec requires is not checked")
            words.append("--nodeps")
        self.build_and_test(
            RpmbuildOutput(),
            self.in_source,
            "rpmbuild",
            *words,
            self._spec,
            RPM_BUILD_NCPUS=self.job.jobs,
        )

    def test(self) -> None:
        self.in_build("/bin/sh", "-c", f"printf %s {shlex.quote(_LINT)} > rpmlint.toml")
        self.lint(r"\S+: ([EW]): ", "rpmlint", "--config", "rpmlint.toml", "RPMS", "SRPMS")

    def _choose(self) -> str:
        """The spec file that is of the task's name, else the first."""
        names = sorted(name for name in os.listdir(self.job.source) if name.endswith(".spec"))
        if not names:
            raise WorkerError("the sources have no spec file at the top")
        wanted = f"{self.job.task.name}.spec"
        return wanted if wanted in names else names[0]

    def _pack(self, archive: str, parsed: str) -> None:
        """Make the archive that the spec wants of the sources themselves."""
        suffix = next((end for end in _ARCHIVES if archive.endswith(end)), None)
        if suffix is None:
            raise WorkerError(f"{os.path.basename(archive)} is not in the sources of {self._spec}")
        # The first that %setup does is to remove the directory that it expects to unpack.
        unpacked = re.search(r"^rm -rf '([^'/]+)'$", parsed, re.MULTILINE)
        name = self.ask("rpmspec", "--query", "--srpm", "--qf", "%{name}-%{version}", self._spec)
        top = unpacked[1] if unpacked else name.output.strip()
        compression = [_ARCHIVES[suffix]] if _ARCHIVES[suffix] else []
        rename = f"--transform=flags=rH;s,^[.],{top},"
        self.in_source("tar", "-c", *compression, "-f", archive, rename, "--exclude=./.git", ".")
