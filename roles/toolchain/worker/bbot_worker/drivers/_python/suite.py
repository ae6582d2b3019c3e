# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests a Python project has, and which runner they are written for: by content.

Nothing of it is run, and nothing is parsed by Python's own parser, which hostile text can crash.
"""

from __future__ import annotations

import fnmatch
import os
import re

from ...scanners import Scanner, Unittest
from ...scanners import pytest as pytest_summary
from ..tree import section

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..tree import Tree

_FILES_MOST = 2000
_IMPORT = re.compile(r"^\s*(?:import (?:pytest|py\.test)\b|from _?pytest\b)", re.MULTILINE)
_FUNCTION = re.compile(r"^(?:async )?def test\w*\(", re.MULTILINE)
_CLASS = re.compile(r"^class (\w+)\s*(?:\(([^)]*)\))?\s*:", re.MULTILINE)
_METHOD = re.compile(r"^\s+(?:async )?def test\w*\(", re.MULTILINE)


class Suite:
    """The tests of a project.

    ``files`` are where they may be, ``runner`` is ``pytest``, ``unittest`` or empty if there are
    none, ``reason`` what says so; ``starts`` are unittest's, as (where to start, top of the
    packages, pattern of names).
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.starts: list[tuple[str, str, str]] = []
        self.runner, self.reason = "", "no files named test_*.py or *_test.py"
        files = self.files = _test_files(tree)
        wants_pytest = _configured(tree) or self._used_by(files)
        cases = [path for path in files if _has_cases(tree.text(path))]
        if wants_pytest:
            self.runner, self.reason = "pytest", wants_pytest
        elif cases:
            self.runner, self.reason = "unittest", f"{cases[0]} has a TestCase"
            self.starts = _starts(tree, cases)
        elif files:
            self.reason = f"there are no tests in {', '.join(files[:5])}"

    def _used_by(self, files: list[str]) -> str:
        """What in the files of tests is for pytest alone."""
        for path in [
            each for each in self._tree.files() if os.path.basename(each) == "conftest.py"
        ]:
            return path
        for path in files:
            text = self._tree.text(path)
            if _IMPORT.search(text):
                return f"{path} imports it"
            if _FUNCTION.search(text):
                return f"{path} has functions that test"
            if _has_plain_classes(text):
                return f"{path} has classes that test without TestCase"
        return ""

    @property
    def options(self) -> str:
        """What the project itself adds to pytest's command line."""
        return _pytest_options(self._tree)


def _test_files(tree: Tree) -> list[str]:
    """The files that one of the runners would look into."""
    return [
        path
        for path in tree.files()
        if not path.startswith(("build/", "dist/"))
        and any(fnmatch.fnmatch(os.path.basename(path), p) for p in ("test*.py", "*_test.py"))
    ][:_FILES_MOST]


def _configured(tree: Tree) -> str:
    """The file in which pytest is configured, or called by tox or nox; empty if in none."""
    tool = section(tree.toml("pyproject.toml"), "tool")
    if "pytest" in tool:
        return "pyproject.toml configures it"
    for name, pattern in (
        ("pytest.ini", r"^\[pytest\]"),
        (".pytest.ini", r"^\[pytest\]"),
        ("setup.cfg", r"^\[tool:pytest\]"),
        ("tox.ini", r"^\[pytest\]"),
    ):
        if tree.says(name, pattern):
            return f"{name} configures it"
    if _test_files(tree):
        for name, pattern in (
            ("tox.ini", r"^(?!\s*[#;]).*\b(?:pytest|py\.test)\b"),
            ("noxfile.py", r"^(?!\s*#).*\bpytest\b"),
        ):
            if tree.says(name, pattern):
                return f"{name} calls it"
    return ""


def _pytest_options(tree: Tree) -> str:
    found = section(tree.toml("pyproject.toml"), "tool", "pytest", "ini_options").get("addopts")
    if isinstance(found, list):
        return " ".join(str(each) for each in found)
    if isinstance(found, str):
        return found
    for name in ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg"):
        match = re.search(
            r"^addopts[ \t]*=((?:.*\n)(?:[ \t]+\S.*\n)*)", tree.text(name) + "\n", re.MULTILINE
        )
        if match:
            return " ".join(match[1].split())
    return ""


def _classes(text: str) -> list[tuple[str, str, str]]:
    """Name, bases and body of each class at the top of a module."""
    heads = list(_CLASS.finditer(text))
    found = []
    for head in heads:
        end = re.compile(r"^\S", re.MULTILINE).search(text, head.end())
        body = text[head.end() : end.start() if end else len(text)]
        found.append((head[1], (head[2] or "").strip(), body))
    return found


def _has_cases(text: str) -> bool:
    """Whether something there is for unittest: a class with bases that tests."""
    return "load_tests" in text or any(
        bases not in ("", "object") and _METHOD.search(body)
        for _name, bases, body in _classes(text)
    )


def _has_plain_classes(text: str) -> bool:
    return any(
        name.startswith("Test") and bases in ("", "object") and _METHOD.search(body)
        for name, bases, body in _classes(text)
    )


def _starts(tree: Tree, files: list[str]) -> list[tuple[str, str, str]]:
    """Where unittest must start, so that it finds all these files."""
    found = []
    for path in files:
        folder, name = os.path.split(path)
        top, start = folder, folder
        while top and tree.has(os.path.join(top, "__init__.py")):
            start, top = top, os.path.dirname(top)
        pattern = "test*.py" if name.startswith("test") else "*_test.py"
        entry = (start or ".", top or ".", pattern)
        if entry not in found:
            found.append(entry)
    return found


# Options of pytest that come with a plugin, and the plugin's package.
_PLUGINS = {
    "--cov": "pytest-cov",
    "--no-cov": "pytest-cov",
    "-n": "pytest-xdist",
    "--numprocesses": "pytest-xdist",
    "--dist": "pytest-xdist",
    "--timeout": "pytest-timeout",
    "--asyncio-mode": "pytest-asyncio",
    "--benchmark": "pytest-benchmark",
    "--reruns": "pytest-rerunfailures",
    "--doctest-plus": "pytest-doctestplus",
    "--mypy": "pytest-mypy",
    "--flake8": "pytest-flake8",
    "--black": "pytest-black",
    "--ruff": "pytest-ruff",
    "--html": "pytest-html",
    "--randomly": "pytest-randomly",
    "--random-order": "pytest-random-order",
    "--mpl": "pytest-mpl",
    "--xdoctest": "xdoctest",
    "--hypothesis": "hypothesis",
    "--instafail": "pytest-instafail",
    "--ds": "pytest-django",
}


class PytestOutput(Scanner):
    """pytest's summary, and what it complains of when it could not begin."""

    def __init__(self) -> None:
        super().__init__()
        self._summary = pytest_summary()
        self._complaint = ""
        self.modules: list[str] = []

    def feed(self, line: str) -> None:
        self._summary.feed(line)
        self.counts, self.first_failure = self._summary.counts, self._summary.first_failure
        complaint = re.search(r"^(?:.*: error|ERROR): (.+)", line)
        if complaint and not complaint[1].startswith(("usage:", "not found")):
            self._complaint = self._complaint or complaint[1]
        self.modules += _missing_module(line)

    def missing(self, code: int) -> str:
        """Return what the machine lacks for these tests, given pytest's exit status; or empty."""
        if code == 4:
            unknown = re.search(r"unrecognized arguments: (.*)", self._complaint)
            for option in unknown[1].split() if unknown else []:
                for prefix, package in _PLUGINS.items():
                    if option.startswith(prefix):
                        return f"{package}, whose option {option} the project gives to pytest"
            required = re.search(r"Missing required plugins: (.*)", self._complaint)
            if required:
                return f"{required[1]}, which the project requires of pytest"
            newer = re.search(r"requires (pytest-\S+), actual (pytest-\S+)", self._complaint)
            if newer:
                return f"{newer[1].rstrip(',')} (there is {newer[2].strip(chr(39))})"
        return ""


class UnittestOutput(Unittest):
    """unittest's summary, and the modules that its tests could not import."""

    def __init__(self) -> None:
        super().__init__()
        self.modules: list[str] = []
        self._failed_import = False

    def feed(self, line: str) -> None:
        super().feed(line)
        if line.startswith("ImportError: Failed to import test module"):
            self._failed_import = True
        elif self._failed_import:
            self.modules += _missing_module(line)
            self._failed_import = not line.startswith(("ERROR", "FAIL", "===", "Ran "))


def _missing_module(line: str) -> list[str]:
    found = re.match(r"(?:E\s+)?ModuleNotFoundError: No module named '([^']+)'", line)
    return [found[1]] if found else []
