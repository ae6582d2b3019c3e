# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Perl distribution: Module::Build where it has a Build.PL, else MakeMaker."""

from __future__ import annotations

import re

from ..errors import WorkerError
from ..scanners import Tap
from .base import Driver
from .tree import Tree


class Perl(Driver):
    name = "perl"
    tools = ("perl",)

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return tree.has("Build.PL", "Makefile.PL")

    def check(self) -> None:
        super().check()
        self._by_build = bool(Tree(self.job.source).has("Build.PL"))
        if self._by_build and not self._has("Module::Build"):
            # Many a Build.PL wants another module, and says so itself; else there may be both.
            self._by_build = not Tree(self.job.source).has("Makefile.PL")
            if self._by_build and Tree(self.job.source).says(
                "Build.PL", r"\bModule::Build\s*[->;]"
            ):
                raise self._lacks_modules(["Module::Build"])
        if not self._by_build:
            if not self._has("ExtUtils::MakeMaker"):
                raise self.lacks("ExtUtils::MakeMaker (Debian's perl)")
            if self.which("make") is None:
                raise self.lacks("make")

    def configure(self) -> None:
        if self._by_build:
            arguments = ["Build.PL", "--install_base", self.job.prefix]
        else:
            arguments = ["Makefile.PL", f"INSTALL_BASE={self.job.prefix}"]
        output = self._run("perl", *arguments, *self.job.task.words)
        if output.modules:
            # Said, and no failure to either tool.
            raise self._lacks_modules(output.modules)

    def update(self) -> None:
        self._run(*([] if self._by_build else [f"-j{self.job.jobs}"]), tool=True)

    def test(self) -> None:
        output = self._run("test", tool=True)
        if output.counts is None and output.says_none:
            self.tests.there_are_none("the distribution defines none")

    def install(self) -> None:
        self._run("install", tool=True)

    def stage(self, directory: str) -> None:
        option = ["--destdir", directory] if self._by_build else [f"DESTDIR={directory}"]
        self._run("install", *option, tool=True)

    def _has(self, module: str) -> bool:
        return bool(self.ask("perl", f"-M{module}", "-e1"))

    def _run(self, *arguments: str, tool: bool = False) -> _Output:
        """Run a command, or with *tool* the build's own program. Raises WorkerError."""
        program = (["./Build"] if self._by_build else ["make"]) if tool else []
        output = _Output()
        try:
            self.in_source(
                *(*program, *arguments),
                scanner=output,
                # As CPAN's clients do: ask nothing, and find modules of the sources' own.
                PERL_MM_USE_DEFAULT="1",
                PERL_USE_UNSAFE_INC="1",
            )
        except WorkerError as error:
            if output.modules and error.status == "error":
                raise self._lacks_modules(output.modules) from None
            raise
        finally:
            self.tests.add_scanned(output)
        return output

    @staticmethod
    def _lacks_modules(modules: list[str]) -> WorkerError:
        packages = [f"lib{name.replace('::', '-').lower()}-perl" for name in modules]
        return WorkerError(
            f"this machine lacks what the distribution needs: {', '.join(modules)} (Debian has it "
            f"as {', '.join(packages)} or as a part of perl): use an image with it "
            "(machine_image_extra_packages)"
        )


class _Output(Tap):
    """Perl's tests, and the modules that are said to be missing."""

    _MISSING = re.compile(
        r"Warning: prerequisite (\S+) \S+ not found"
        r"|\s+! +(\S+) (?:is not installed|\(\S+\) is installed, but we need)"
        r"|.*\bCan't locate (\S+)\.pm in @INC"
        r"|.*\b(\S+) version \S+ required--this is only version"
    )

    def __init__(self) -> None:
        super().__init__()
        self.modules: list[str] = []
        self.says_none = False

    def feed(self, line: str) -> None:
        super().feed(line)
        self.says_none = self.says_none or line.startswith("No tests defined")
        missing = self._MISSING.match(line)
        if missing:
            name = next(filter(None, missing.groups())).replace("/", "::")
            if name not in self.modules:
                self.modules.append(name)
