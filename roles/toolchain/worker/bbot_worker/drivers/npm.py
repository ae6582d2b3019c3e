# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JavaScript packages: npm, or pnpm or yarn where their lock file is."""

from __future__ import annotations

import re

from ..errors import WorkerError
from ..run import CommandFailed
from ..scanners import Any, Scanner
from .base import Driver
from .dependencies import Complaint, unavailable
from .tree import Tree

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    import typing

# What npm writes into a new package.json.
_STUB = "Error: no test specified"
# Scripts and fields of those that are packages, not only a place for a formatter's settings.
_SCRIPTS = ("build", "start", "test")
_FIELDS = ("bin", "exports", "files", "main", "module", "types", "workspaces")
_DEPENDENCIES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
# Runners that end badly if there is nothing for them to run.
_NO_TESTS = re.compile(
    r"^\s*(?:No tests found, exiting|No test files found|Error: No test files found"
    r"|.*Couldn.t find any files to test|Error: no specs found)"
)
# Where there is no network, this is soon known.
_HASTE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000")
_UNREACHABLE = r"(?:request to|GET) (\S+?),? (?:failed|error)|\b(ENOTFOUND|EAI_AGAIN|ENOTCACHED)\b"


class Runners(Scanner):
    """All that count tests, and those that complain of having none."""

    def __init__(self) -> None:
        super().__init__()
        self._any = Any()
        self.has_none = ""

    def feed(self, line: str) -> None:
        self._any.feed(line)
        self.counts, self.first_failure = self._any.counts, self._any.first_failure
        if _NO_TESTS.match(line):
            self.has_none = line.strip()


class Npm(Driver):
    name = "npm"
    tools = ("node", "npm")
    flavour = "node"

    @classmethod
    def detect(cls, tree: Tree) -> str:
        content = tree.json("package.json")
        scripts = content.get("scripts")
        has_script = isinstance(scripts, dict) and any(name in scripts for name in _SCRIPTS)
        published = (
            "name" in content and "version" in content and content.get("private") is not True
        )
        if has_script or published or any(name in content for name in _FIELDS):
            return "package.json"
        return ""

    def configure(self) -> None:
        if self.job.has("node_modules"):
            self.note("the dependencies are in the folder node_modules")
            return
        content = self._content()
        if not any(content.get(name) for name in (*_DEPENDENCIES, "workspaces")):
            self.note("the package has no dependencies")
            return
        complaint = Complaint(_UNREACHABLE)
        try:
            self._install(complaint)
        except CommandFailed:
            if not complaint.missing:
                raise
            names = [name for each in _DEPENDENCIES for name in content.get(each) or {}]
            raise unavailable("the packages", names, "") from None

    def update(self) -> None:
        if "build" in self._scripts():
            self._run("build")
        else:
            self.nothing("update")

    def test(self) -> None:
        script = self._scripts().get("test", "")
        if not script or _STUB in script:
            self.tests.there_are_none("package.json has no script 'test'")
            return
        runners = Runners()
        try:
            self.scan(runners, self._run, "test")
        except CommandFailed as error:
            if error.code == 127:
                raise WorkerError(f"the script 'test' needs what is not there: {script}") from None
            if not runners.has_none or (runners.counts and runners.counts.run):
                raise
            self.tests.there_are_none(runners.has_none)

    def install(self) -> None:
        self.stage(self.job.runner.account.make_directory(self.job.prefix))

    def stage(self, directory: str) -> None:
        self.in_source("npm", "pack", "--pack-destination", directory)

    def _content(self) -> dict[str, typing.Any]:
        return Tree(self.job.source).json("package.json")

    def _scripts(self) -> dict[str, str]:
        scripts = self._content().get("scripts")
        if not isinstance(scripts, dict):
            return {}
        return {name: text for name, text in scripts.items() if isinstance(text, str)}

    def _run(self, script: str, scanner: Scanner | None = None) -> None:
        """Run a script of the package, in which nobody waits for changes of files."""
        words = [*self._manager(), "run", script]
        self.in_source(*words, scanner=scanner, CI="true")

    def _install(self, scanner: Scanner) -> None:
        """Install the dependencies as the lock file has them, if there is one."""
        manager = self._manager()
        locked = self.job.has("package-lock.json", "npm-shrinkwrap.json")
        install = {
            "npm": ["ci" if locked else "install", "--no-audit", "--no-fund", *_HASTE],
            "pnpm": ["install", "--frozen-lockfile", *_HASTE],
            "yarn": ["install", "--non-interactive", "--frozen-lockfile"],
            "berry": ["install", "--immutable"],
        }[self._kind()]
        environment = {}
        index = self.job.task.settings.get("index")
        if index:
            environment = {"npm_config_registry": index, "YARN_NPM_REGISTRY_SERVER": index}
        words = self.job.task.words
        self.in_source(*manager, *install, *words, scanner=scanner, **environment)

    def _kind(self) -> str:
        """The package manager: that of the lock file, else of the field packageManager."""
        if self.job.has("package-lock.json", "npm-shrinkwrap.json"):
            return "npm"
        if self.job.has("pnpm-lock.yaml"):
            return "pnpm"
        if self.job.has("yarn.lock"):
            return (
                "yarn" if Tree(self.job.source).says("yarn.lock", "yarn lockfile v1") else "berry"
            )
        named = self._named()[0]
        return named if named in ("npm", "pnpm", "yarn") else "npm"

    def _named(self) -> tuple[str, str]:
        """Name and version in the field packageManager."""
        text = self._content().get("packageManager")
        found = re.match(r"([a-z]+)@(\d[\w.-]*)", text) if isinstance(text, str) else None
        return (found[1], found[2]) if found else ("", "")

    def _manager(self) -> list[str]:
        """The words that call the package manager."""
        kind = self._kind()
        if kind == "npm":
            return ["npm"]
        if kind == "berry":
            settings = Tree(self.job.source).text(".yarnrc.yml")
            path = re.search(r"^yarnPath: *[\"']?([^\s\"']+)", settings, re.MULTILINE)
            return ["node", path[1]] if path else self._by_npm("@yarnpkg/cli-dist", "yarn")
        for program in ("pnpm",) if kind == "pnpm" else ("yarn", "yarnpkg"):
            if self.which(program):
                return [program]
        return self._by_npm(kind, kind)

    def _by_npm(self, package: str, program: str) -> list[str]:
        """The words that have npm fetch a package manager which the machine lacks, and call it."""
        version = self._named()[1]
        wanted = f"{package}@{version}" if version else package
        return ["npm", "exec", "--yes", f"--package={wanted}", *_HASTE, "--", program]
