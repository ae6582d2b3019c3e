# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python project: built and tested in a virtual environment, installed into another."""

from __future__ import annotations

import os

from ..scanners import Unittest
from ..scanners import pytest as pytest_summary
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree


class Python(Driver):
    name = "python"
    tools = ("python3",)
    flavour = "python"

    @classmethod
    def detect(cls, tree: Tree) -> str:
        content = tree.toml("pyproject.toml")
        if "project" in content or "build-system" in content:
            return "pyproject.toml"
        return tree.has("setup.py")

    def configure(self) -> None:
        self._make_environment(self.job.build)

    def update(self) -> None:
        self._pip(self.job.build)

    def test(self) -> None:
        self._run_tests(self.job.build)

    def install(self) -> None:
        self._make_environment(self.job.prefix)
        self._pip(self.job.prefix)

    def test_installed(self) -> None:
        self._run_tests(self.job.prefix)

    def _make_environment(self, path: str) -> None:
        # With what the image has: most projects then need no network, and nobody waits for a
        # pip of their own to be laid out.
        options = ["--system-site-packages"]
        if self.ask("python3", "-c", "import pip"):
            options.append("--without-pip")
        self.in_source("python3", "-m", "venv", *options, path)

    def _pip(self, path: str) -> None:
        settings = [
            word
            for text in self.job.task.words
            for word in ([text] if text.startswith("-") else ["--config-settings", text])
        ]
        pip = [os.path.join(path, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
        self.in_source(*pip, "install", "--no-compile", "--no-build-isolation", *settings, ".")

    def _run_tests(self, path: str) -> None:
        python = os.path.join(path, "bin", "python")
        if self.ask(python, "-c", "import pytest"):
            self.scan(pytest_summary(), self.in_source, python, "-m", "pytest")
        else:
            self.scan(Unittest(), self.in_source, python, "-m", "unittest", "discover", "-v")
