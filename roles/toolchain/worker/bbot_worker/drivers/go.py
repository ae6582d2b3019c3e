# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Go modules: vendored, from the module cache, or fetched, in that order."""

from __future__ import annotations

import os

from ..run import CommandFailed
from ..scanners import Go as GoSummary
from .base import Driver
from .dependencies import Complaint, unavailable

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..scanners import Scanner
    from .tree import Tree

_MISSING = (
    r"^(?:go: )?(?:\S+: )?([\w.~-]+\.[\w.~/-]+@\S+?): "
    "(?:module lookup disabled|Get |reading |unrecognized import path|unknown revision)"
)


class Go(Driver):
    name = "go"
    tools = ("go",)
    flavour = "go"

    # The proxy that modules come from; empty for the usual one.
    _proxy = ""

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return "go.mod" if tree.says("go.mod", r"^\s*module\s") else ""

    def configure(self) -> None:
        if self.job.has("vendor/modules.txt"):
            self._proxy = "off"
            self.note("all modules are in the folder vendor")
            return
        self._proxy = self.job.task.settings.get("index", "")
        if self._ask_download():
            self._proxy = "off"
            self.note("all modules are there")
            return
        complaint = Complaint(_MISSING)
        try:
            self._go("mod", "download", scanner=complaint)
        except CommandFailed:
            if not complaint.missing:
                raise
            raise unavailable("the modules", complaint.missing, "go mod vendor") from None

    def update(self) -> None:
        self._go("build", *self.job.task.words, "./...")

    def test(self) -> None:
        self.scan(GoSummary(), self._go, "test", "-v", *self.job.task.words, "./...")

    def install(self) -> None:
        self.stage(self.job.prefix)

    def stage(self, directory: str) -> None:
        programs = os.path.join(directory, "bin")
        self._go("install", *self.job.task.words, "./...", GOBIN=programs)

    def _ask_download(self) -> bool:
        """Whether all modules are there, without asking a network."""
        return bool(self.ask("go", "mod", "download", **{**self._environment(), "GOPROXY": "off"}))

    def _go(self, *arguments: str, scanner: Scanner | None = None, **environment: str) -> None:
        self.in_source("go", *arguments, scanner=scanner, **self._environment(), **environment)

    def _environment(self) -> dict[str, str]:
        # Not another release of Go for a project that wishes one.
        environment = {"GOTOOLCHAIN": "local"}
        if self._proxy:
            environment.update(GOPROXY=self._proxy, GOSUMDB="off")
        return environment
