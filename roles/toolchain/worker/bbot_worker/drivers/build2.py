# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""build2 through bpkg, which fetches packages itself unless the sources came by TFTP."""

from __future__ import annotations

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
        package = f"{task.name}/{task.version}"
        self.in_build("bpkg", "create", "--wipe", "cc", install, *task.words)
        self.in_build("bpkg", "add", *(["--type", kind] if kind else []), url)
        self.in_build("bpkg", "fetch", *trust)
        self.in_build("bpkg", "build", "--yes", "--configure-only", *trust, package)

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
