# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain makefile, built in its tree; the task's words go to every call."""

from __future__ import annotations

from ..scanners import Any
from .base import Driver, make_has_target

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..run import Answer
    from .tree import Tree


class Make(Driver):
    name = "make"
    tools = ("make",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return tree.has("GNUmakefile", "makefile", "Makefile")

    def configure(self) -> None:
        self.nothing("configure")

    def update(self) -> None:
        self.in_source(*self._make(f"-j{self.job.jobs}"))

    def test(self) -> None:
        for target in ("check", "test"):
            if make_has_target(self, target, self._ask_make):
                self.scan(Any(), self.in_source, *self._make(target))
                return
        self.tests.there_are_none("the makefile has no target check or test")

    def install(self) -> None:
        self.in_source(*self._make("install"))

    def test_installed(self) -> None:
        self.scan(Any(), self.in_source, *self._make("installcheck"))

    def uninstall(self) -> None:
        self.in_source(*self._make("uninstall"))

    def stage(self, directory: str) -> None:
        self.in_source(*self._make("install", f"DESTDIR={directory}"))

    def _ask_make(self, *arguments: str) -> Answer:
        return self.ask(*self._make(*arguments))

    def _make(self, *arguments: str) -> list[str]:
        prefix = [f"prefix={self.job.prefix}", f"PREFIX={self.job.prefix}"]
        return ["make", *arguments, *prefix, *self.job.task.words]
