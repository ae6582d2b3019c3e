# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lua rocks, built by LuaRocks and tested by what the rockspec says, or Busted."""

from __future__ import annotations

import os
import re

from ..errors import WorkerError
from ..run import CommandFailed
from ..scanners import Any
from .base import Driver
from .dependencies import Complaint, unavailable
from .tree import Tree

_MISSING = (
    r"^(?:Error: )?(?:Could not satisfy dependency|No results matching query were found for|"
    r"Failed (?:installing|finding) dependency:?) '?([\w.-]+)"
)


class Lua(Driver):
    name = "lua"
    tools = ("luarocks",)
    flavour = "lua"

    @classmethod
    def detect(cls, tree: Tree) -> str:
        found = tree.glob("*.rockspec")
        return found[0] if found else ""

    def configure(self) -> None:
        answer = self.ask("luarocks", "lint", self._rockspec())
        if not answer:
            raise WorkerError(f"luarocks does not understand it: {answer.output.strip()}")
        self.nothing("configure")

    def update(self) -> None:
        self._make(os.path.join(self.job.build, "tree"))

    def test(self) -> None:
        rockspec = self._rockspec()
        tests = Tree(self.job.source)
        environment = self._paths()
        if tests.says(rockspec, r"^\s*test\s*=\s*\{"):
            self.scan(Any(), self.in_source, "luarocks", "test", rockspec, **environment)
        elif self.job.has("spec", ".busted"):
            if self.which("busted") is None:
                raise self.lacks("busted")
            self.scan(Any(), self.in_source, "busted", *self.job.task.words, **environment)
        else:
            self.tests.there_are_none("neither a 'test' in the rockspec nor a folder spec")

    def install(self) -> None:
        self.stage(self.job.prefix)

    def stage(self, directory: str) -> None:
        self._make(directory)

    def _rockspec(self) -> str:
        """That of the sources as they are (scm, dev), else the last."""
        found = Tree(self.job.source).glob("*.rockspec")
        if not found:
            raise WorkerError("the sources have no rockspec at the top")
        return next((name for name in found if re.search("-(?:scm|dev|git)-", name)), found[-1])

    def _make(self, tree: str) -> None:
        complaint = Complaint(_MISSING)
        index = self.job.task.settings.get("index")
        server = ["--only-server", index] if index else []
        make = ["luarocks", "make", "--tree", tree, *server, *self.job.task.words]
        try:
            self.in_source(*make, self._rockspec(), scanner=complaint)
        except CommandFailed:
            if not complaint.missing:
                raise
            raise unavailable("the rocks", complaint.missing, "", "lua-NAME") from None

    def _paths(self) -> dict[str, str]:
        """Where Lua finds what was built."""
        tree = os.path.join(self.job.build, "tree")
        environment = {}
        for name, option in (("LUA_PATH", "--lr-path"), ("LUA_CPATH", "--lr-cpath")):
            answer = self.ask("luarocks", "path", "--tree", tree, option)
            # Two semicolons stand for the usual places.
            environment[name] = f"{answer.output.strip()};;"
        return environment
