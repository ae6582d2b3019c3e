# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ruby gems, with Bundler where all of its gems are to be had."""

from __future__ import annotations

import os
import re

from ..run import CommandFailed
from ..scanners import Ruby as RubySummary
from .base import Driver
from .dependencies import Complaint, unavailable
from .tree import Tree

_MISSING = r"cannot load such file -- (\S+)|Could not find gem '([^' ]+)|Could not find '([^' ]+)'"


class Ruby(Driver):
    name = "ruby"
    tools = ("ruby", "gem")
    flavour = "ruby"
    artifacts = ("build/*.gem",)

    # What has commands run with the gems of the Gemfile.
    _bundle: tuple[str, ...] = ()

    @classmethod
    def detect(cls, tree: Tree) -> str:
        found = tree.glob("*.gemspec")
        if found:
            return found[0]
        return "Gemfile, Rakefile" if tree.has("Gemfile") and tree.has("Rakefile") else ""

    def configure(self) -> None:
        job = self.job
        tree = Tree(job.source)
        listed = any(tree.says(name, "git ls-files") for name in self._gemspecs())
        if listed and not job.has(".git"):
            # Else the gem would be empty.
            self.in_source("git", "init", "--quiet")
            self.in_source("git", "add", "--all")
        if not job.has("Gemfile") or self.which("bundle") is None:
            self.note("without a Gemfile or Bundler: the machine's gems are used as they are")
            return
        if self.ask("bundle", "check", **self._environment()):
            self._bundle = ("bundle", "exec")
            self.note("all gems are there")
            return
        try:
            self.in_source("bundle", "install", "--retry", "0", scanner=None, **self._environment())
            self._bundle = ("bundle", "exec")
        except CommandFailed:
            self.note(
                "not all gems of the Gemfile are to be had: the machine's are used as they are"
            )

    def update(self) -> None:
        names = self._gemspecs()
        if not names:
            self.nothing("update")
        for name in names:
            output = os.path.join(self.job.build, f"{name.removesuffix('.gemspec')}.gem")
            self.in_source("gem", "build", name, "--output", output)

    def test(self) -> None:
        command = self._tests()
        if not command:
            self.tests.there_are_none("there is no task test or spec, nor a folder of that name")
            return
        complaint = _Summary()
        words = [*command, *self.job.task.words]
        try:
            self.scan(complaint, self.in_source, *words, **self._environment())
        except CommandFailed:
            if not complaint.missing or (complaint.counts and complaint.counts.passed):
                raise
            raise unavailable("", complaint.missing, "vendor/bundle", "ruby-NAME") from None

    def install(self) -> None:
        where = ("--install-dir", self.job.prefix, "--local", "--force", "--no-document")
        for name in sorted(os.listdir(self.job.build)):
            if name.endswith(".gem"):
                self.in_build("gem", "install", *where, name)

    def _gemspecs(self) -> list[str]:
        return sorted(name for name in os.listdir(self.job.source) if name.endswith(".gemspec"))

    def _environment(self) -> dict[str, str]:
        environment = {"BUNDLE_PATH": os.path.join(self.job.work, "bundle")}
        index = self.job.task.settings.get("index")
        if index:
            environment["BUNDLE_MIRROR__ALL"] = index
        if os.path.isdir(os.path.join(self.job.source, "vendor", "bundle")):
            environment["BUNDLE_PATH"] = os.path.join(self.job.source, "vendor", "bundle")
        return environment

    def _tests(self) -> list[str]:
        """The command that tests; empty if there is nothing to test."""
        if not self.job.has("Rakefile", "rakefile", "Rakefile.rb"):
            return self._without_rake()
        if self.which("rake") is None:
            raise self.lacks("rake")
        rake = [*self._bundle, "rake"]
        answer = self.ask(*rake, "--tasks", "--all", "--silent", **self._environment())
        for task in ("test", "spec"):
            if answer and re.search(rf"^rake {task}(?:\s|\[|$)", answer.output, re.MULTILINE):
                return [*rake, task]
        if answer:
            return self._without_rake()
        # Many a Rakefile wants tools for releases, which tests do without.
        others = self._without_rake() if re.search(_MISSING, answer.output) else []
        if others:
            reason = next(line for line in answer.output.split("\n") if re.search(_MISSING, line))
            self.note(f"the Rakefile is not used: {reason}")
        return others or [*rake, "test"]

    def _without_rake(self) -> list[str]:
        job = self.job
        if job.has("spec", ".rspec"):
            return [*self._bundle, "rspec"]
        names = os.listdir(os.path.join(job.source, "test")) if job.has("test") else []
        tests = [name for name in names if re.fullmatch(r"test_.*\.rb|.*_test\.rb", name)]
        if not tests:
            return []
        load = "ARGV.each { |path| require File.expand_path(path) }"
        paths = [os.path.join("test", name) for name in sorted(tests)]
        return [*self._bundle, "ruby", "-Ilib", "-Itest", "-e", load, *paths]


class _Summary(RubySummary):
    """Remembers which libraries were not there, too."""

    def __init__(self) -> None:
        super().__init__()
        self._complaint = Complaint(_MISSING)

    @property
    def missing(self) -> list[str]:
        return self._complaint.missing

    def feed(self, line: str) -> None:
        super().feed(line)
        self._complaint.feed(line)
