# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCons, run in the sources; the task's words go to every call."""

from __future__ import annotations

import re

from ..errors import WorkerError
from ..scanners import Any
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree

_FILES = ("SConstruct", "Sconstruct", "sconstruct", "SConstruct.py", "sconstruct.py")
_NOTHING = re.compile(r"scons: (?:['`].*' is up to date\.|Nothing to be done for .*)|")


class SCons(Driver):
    name = "scons"
    tools = ("scons",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return tree.has(*_FILES)

    def configure(self) -> None:
        self.nothing("configure")

    def update(self) -> None:
        self.in_source(*self._scons(f"-j{self.job.jobs}"))

    def test(self) -> None:
        for target in ("check", "test"):
            if self._has_target(target):
                self.scan(Any(), self.in_source, *self._scons(target))
                return
        self.tests.there_are_none("the SConstruct has no target check or test that does something")

    def install(self) -> None:
        if not self._has_target("install"):
            raise WorkerError("the SConstruct has no target install")
        self.in_source(*self._scons("install"))

    def stage(self, directory: str) -> None:
        if not self._has_target("install"):
            raise WorkerError("the SConstruct has no target install")
        self.in_source(*self._scons("install", f"DESTDIR={directory}"))

    def uninstall(self) -> None:
        self.in_source(*self._scons("--clean", "install"))

    def _has_target(self, target: str) -> bool:
        """Whether it is known and does something; a folder of that name is always up to date."""
        answer = self.ask(*self._scons("--dry-run", "-Q", target))
        if not answer:
            return f"Do not know how to make File target `{target}'" not in answer.output
        return not all(_NOTHING.fullmatch(line) for line in answer.output.splitlines())

    def _scons(self, *arguments: str) -> list[str]:
        prefix = [f"prefix={self.job.prefix}", f"PREFIX={self.job.prefix}"]
        return ["scons", *arguments, *prefix, *self.job.task.words]
