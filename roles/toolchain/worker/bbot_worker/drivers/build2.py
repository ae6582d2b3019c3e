# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""build2 through bpkg, which fetches packages itself unless the sources came by TFTP."""

from __future__ import annotations

import re

from ..errors import WorkerError
from ..task import split_words
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree


class Build2(Driver):
    name = "build2"
    tools = ("bpkg", "b")
    flavour = "build2"

    @classmethod
    def detect(cls, tree: Tree) -> str:
        for name in ("manifest", "packages.manifest"):
            if tree.says(name, r"^: 1\s*$") and tree.says(name, r"^(?:name|location) *:"):
                return name
        return ""

    def configure(self) -> None:
        job, task = self.job, self.job.task
        url, kind = task.repository
        if job.source:
            url, kind = job.source, "dir"
        trust = [
            word
            for value in task.values("trust")
            for word in (["--trust-yes"] if value == "yes" else ["--trust", value])
        ]
        install = f"config.install.root={job.prefix}"
        package = [f"{task.name}/{task.version}"]
        words = self._package_words()
        if words:
            package[:0] = ["{", *words, "}+"]
        self.in_build("bpkg", "create", "--wipe", "cc", install, *task.words)
        self.in_build("bpkg", "add", *(["--type", kind] if kind else []), url)
        self.in_build("bpkg", "fetch", *trust)
        self.in_build("bpkg", "build", "--yes", "--configure-only", *trust, *package)

    def check(self) -> None:
        super().check()
        task = self.job.task
        if task.value("host") == "true":
            raise WorkerError("the task asks for a build for the host itself, which is not known")
        asked = [name for name in ("tests", "examples", "benchmarks") if any(task.values(name))]
        if asked:
            self.job.runner.log.warn(
                f"the packages that the task names as {', '.join(asked)} are not built"
            )

    def _package_words(self) -> list[str]:
        """The variables of the task's package-config. Raises WorkerError for what is none."""
        text = " ".join(self.job.task.values("package-config"))
        try:
            words = split_words(text)
        except ValueError as error:
            raise WorkerError(f"unreadable package-config '{text}': {error}") from None
        for word in words:
            if not re.match(r"[A-Za-z_][\w.]*\+?=", word):
                raise WorkerError(
                    f"package-config of the task has '{word}', which is no variable: what else "
                    "bpkg knows there is not known here"
                )
        return words

    def update(self) -> None:
        self._bpkg("update")

    def test(self) -> None:
        self._bpkg("test")

    def install(self) -> None:
        self._bpkg("install")

    def uninstall(self) -> None:
        self._bpkg("uninstall")

    def _bpkg(self, operation: str) -> None:
        self.in_build("bpkg", operation, "--jobs", self.job.jobs, self.job.task.name)
