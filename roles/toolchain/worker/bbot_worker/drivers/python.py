# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python project: a wheel is built of it, installed into a virtual environment, and tested."""

from __future__ import annotations

import os
import re

from ..errors import WorkerError
from ..run import CommandFailed
from .base import Driver
from .tree import Tree, section

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import Any

    from ._python.interpreter import Interpreter
    from ._python.suite import Suite
    from ._python.supply import Supply
    from .base import Job

# Extras and groups of dependencies that tests need; the second line only if none of the first.
_TEST_EXTRAS = (("test", "tests", "testing"), ("dev",))
# Where in sources packages stand.
_FOLDERS = [".", "src", "lib"]


class Python(Driver):
    name = "python"
    tools = ("python3",)
    flavour = "python"
    artifacts = ("dist/*.whl", "reports/*.xml")
    brings_installed = False  # An environment works nowhere else.

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._tree = Tree(job.source)
        self._supplies: dict[str, Supply] = {}
        self._wheel: dict[str, Any] = {}
        self._path = ""
        self._options: list[str] | None = None

    @classmethod
    def detect(cls, tree: Tree) -> str:
        # One that only configures tools is not a project's.
        if tree.says("pyproject.toml", r"^\s*\[\s*(?:project|build-system|tool\.poetry)\s*\]"):
            return "pyproject.toml"
        return "setup.py" if tree.says("setup.py", r"\bsetup\s*\(") else ""

    @classmethod
    def defers(cls, tree: Tree) -> bool:
        # A setup.py beside the build system of a library makes bindings to it, as a rule.
        of_library = tree.has("CMakeLists.txt", "meson.build", "configure.ac", "configure.in")
        return bool(of_library) and not tree.says("pyproject.toml", r"^\s*\[build-system\]")

    def check(self) -> None:
        super().check()
        if not self.ask("python3", "-c", "import pip, venv") and not self.ask(
            "python3", "-c", "import ensurepip"
        ):
            raise self.lacks("pip for its python3 (python3-pip, python3-venv)")

    def configure(self) -> None:
        python = self._make_environment(self.job.build)
        # Said now, and not after a build of minutes.
        self._build_options(python)

    def update(self) -> None:
        self._build(self._environment(self.job.build))
        self._install(self._environment(self.job.build))

    def test(self) -> None:
        self._run_tests(self._environment(self.job.build))

    def install(self) -> None:
        self._build(self._environment(self.job.build))
        self._install(self._make_environment(self.job.prefix))

    def test_installed(self) -> None:
        self._run_tests(self._environment(self.job.prefix))

    def stage(self, directory: str) -> None:
        python = self._environment(self.job.build)
        self._build(python)
        self._pip(
            python,
            "install",
            *("--no-compile", "--no-index", "--no-deps", "--ignore-installed"),
            *("--no-warn-script-location", "--prefix", directory, self._path),
        )

    def run_test_command(self, command: str) -> None:
        """Run the task's own test command as if the environment had been activated."""
        from ..scanners import Any

        python = self._environment(self.job.build)
        self._settle(python)
        folder = os.path.dirname(python.path)
        self.scan(
            Any(),
            self.in_source,
            *("/bin/sh", "-c", command),
            PATH=f"{folder}:{self.job.runner.path}",
            VIRTUAL_ENV=self.job.build,
        )

    # The environments

    def install_requirements(self, path: str, requirements: list[str], who: str) -> None:
        """Install what *who* requires into the environment at *path*. Raises WorkerError."""
        python = self._environment(path)
        unmet = python.unmet(requirements, [])
        if unmet:
            options = self._supply(python).to_install(who, unmet, "to go on")
            self._pip(python, "install", "--no-compile", *options, *requirements)

    def _environment(self, path: str) -> Interpreter:
        """The interpreter of the environment at *path*, made now if that was not asked for."""
        from ._python.interpreter import Interpreter

        python = os.path.join(path, "bin", "python")
        if not os.path.exists(python):
            return self._make_environment(path)
        return Interpreter(self, python)

    def _make_environment(self, path: str) -> Interpreter:
        from ._python.interpreter import Interpreter

        # With what the image has: most projects then need no network, and nobody waits for a
        # pip of their own to be laid out.
        options = ["--system-site-packages"]
        if self.ask("python3", "-c", "import pip"):
            options.append("--without-pip")
        self.in_source("python3", "-m", "venv", *options, path)
        return Interpreter(self, os.path.join(path, "bin", "python"))

    def _supply(self, python: Interpreter) -> Supply:
        from ._python.supply import Supply

        if python.path not in self._supplies:
            self._supplies[python.path] = Supply(self, python)
        return self._supplies[python.path]

    def _pip(self, python: Interpreter, *arguments: str) -> None:
        options = ("--disable-pip-version-check", "--no-input", "--no-cache-dir")
        self.in_source(python.path, "-m", "pip", *options, *arguments)

    # The wheel

    def _build_options(self, python: Interpreter) -> list[str]:
        """pip's options to build. Raises WorkerError if what the project requires is missing."""
        if self._options is None:
            self._options = self._supply(python).to_build(self._project, self._requires(python))
        return self._options

    def _requires(self, python: Interpreter) -> list[str]:
        """What must be there to build. Raises WorkerError."""
        content = self._tree.toml("pyproject.toml")
        # PEP 518: so it is for a project that does not say.
        requires = section(content, "build-system").get("requires", ["setuptools>=40.8.0"])
        if not isinstance(requires, list) or not all(isinstance(each, str) for each in requires):
            raise WorkerError("pyproject.toml: build-system.requires is not a list of strings")
        if not any(re.match(r"setuptools\b(?![-_.])", each) for each in requires):
            return requires
        project = section(content, "project")
        if isinstance(project.get("license"), str) or "license-files" in project:
            requires = [*requires, "setuptools>=77"]  # PEP 639, which projects forget to require.
        elif project:
            requires = [*requires, "setuptools>=61"]
        # What its backend asks for itself, until it could do without.
        needs_wheel = "wheel" not in requires and python.unmet(["setuptools>=70.1"], [])
        return [*requires, "wheel"] if needs_wheel else requires

    @property
    def _project(self) -> str:
        """The project's name, for people."""
        name = section(self._tree.toml("pyproject.toml"), "project").get("name")
        return str(name) if name else self.job.task.name

    def _build(self, python: Interpreter) -> None:
        """Build the wheel, unless it is there."""
        if self._path:
            return
        settings = [
            word
            for text in self.job.task.words
            for word in ([text] if text.startswith("-") else ["--config-settings", text])
        ]
        place = self.job.runner.account.make_directory(os.path.join(self.job.work, "dist"))
        options = ["--use-pep517", "--no-deps", "--wheel-dir", place, *self._build_options(python)]
        self._pip(python, "wheel", *options, *settings, ".")
        wheels = sorted(name for name in os.listdir(place) if name.endswith(".whl"))
        if len(wheels) != 1:
            raise WorkerError(f"one wheel was to be built, not {len(wheels)} {' '.join(wheels)}")
        path = os.path.join(place, wheels[0])
        self._wheel = python.wheel(path)
        self._check_version(python, wheels[0])
        self._path = path

    def _check_version(self, python: Interpreter, file: str) -> None:
        """Raise WorkerError if the wheel is not what the sources say that they are."""
        name, version = self._wheel["name"], self._wheel["version"]
        if name.upper() == "UNKNOWN":
            raise WorkerError(
                f"the wheel {file} has no name: this machine's setuptools is too old for the "
                "project's metadata"
            )
        stated = re.search(r"^Version: (\S+)", self._tree.text("PKG-INFO"), re.MULTILINE)
        if stated and not python.same_version(version, stated[1]):
            raise WorkerError(
                f"the wheel has version {version}, but the sources' PKG-INFO says {stated[1]}: "
                "what the project finds its version out with is missing, or does not work here"
            )
        project = section(self._tree.toml("pyproject.toml"), "project")
        if not stated and version == "0.0.0" and "version" not in project:
            self.job.runner.log.warn(
                "the wheel has version 0.0.0: what the project finds its version out with is "
                "missing, or does not work here"
            )

    def _install(self, python: Interpreter) -> None:
        """Install the wheel, and what it needs to run."""
        unmet = python.unmet(self._wheel["requires"], [])
        if unmet:
            options = self._supply(python).to_install(self._wheel["name"], unmet, "to run")
            self._pip(python, "install", "--no-compile", *options, self._path)
        # Also where the machine has that version already.
        self._pip(
            python,
            "install",
            *("--no-compile", "--no-index", "--no-deps", "--force-reinstall", self._path),
        )

    # The tests

    def _run_tests(self, python: Interpreter) -> None:
        from ._python.suite import Suite

        suite = Suite(self._tree)
        if not suite.runner:
            self.tests.there_are_none(suite.reason)
            return
        self.note(f"tests are run by {suite.runner}: {suite.reason}")
        changed = self._settle(python)
        self._install_for_tests(python)
        # Of a package with tests in it there must be one, not this and an installed one.
        folders = {
            os.path.dirname(path)
            for path in changed
            if any(file.startswith(f"{path}/") for file in suite.files)
        }
        paths = [os.path.join(self.job.source, folder) for folder in sorted(folders - {""})]
        environment = {"PYTHONPATH": ":".join(paths)} if paths else {}
        if suite.runner == "pytest":
            self._run_pytest(python, suite, environment)
        else:
            self._run_unittest(python, suite, environment)

    def _settle(self, python: Interpreter) -> list[str]:
        """Have the tests see what was installed, though the sources are nearer; what changed."""
        if not self._path:
            raise WorkerError("nothing was built that could be tested: 'update' comes before")
        changed = python.settle(self.job.source, self._wheel["name"], _FOLDERS)
        if changed:
            self.note(f"{', '.join(changed)} in the sources is now what was installed")
        return changed

    def _install_for_tests(self, python: Interpreter) -> None:
        """Install what the project names for its tests, if it can be had."""
        groups = section(self._tree.toml("pyproject.toml"), "dependency-groups")
        for names in _TEST_EXTRAS:
            extras = [name for name in names if name in self._wheel["extras"]]
            wanted = [each for name in names for each in _group(groups, name)]
            if extras or wanted:
                break
        else:
            return
        unmet = python.unmet(self._wheel["requires"], extras) if extras else []
        unmet += python.unmet(wanted, [])
        if not unmet:
            return
        missing = ", ".join(each["requirement"] for each in unmet)
        try:
            options = self._supply(python).to_install(self._project, unmet, "to be tested")
        except WorkerError:
            if self.job.task.settings.get("index"):
                raise
            self.note(f"not in this machine, though named for tests: {missing}")
            return
        target = f"{self._path}[{','.join(extras)}]" if extras else self._path
        try:
            self._pip(python, "install", "--no-compile", *options, target, *wanted)
        except CommandFailed:
            self.job.runner.log.warn(
                f"the tests go on without all that is named for them: {missing}"
            )

    def _run_pytest(self, python: Interpreter, suite: Suite, environment: dict[str, str]) -> None:
        from ._python.suite import PytestOutput

        there = python.modules("pytest", "pytest_cov")
        if "pytest" not in there:
            self._get_pytest(python, suite)
        report = os.path.join(self.job.reports, "pytest.xml")
        options = [f"--junitxml={report}"]
        if "pytest_cov" in there and "--cov" in suite.options:
            coverage = os.path.join(self.job.reports, "coverage.xml")
            options.append(f"--cov-report=xml:{coverage}")
        output = PytestOutput()
        try:
            self.in_source(python.path, "-m", "pytest", *options, scanner=output, **environment)
        except CommandFailed as error:
            missing = output.missing(error.code)
            if missing:
                raise self._no_way_to_test(missing) from None
            if output.modules and error.code in (2, 4):
                raise self._lacks_module(output.modules[0]) from None
            if error.code != 5:
                raise
            self.tests.there_are_none("pytest has collected none")
        finally:
            if not self.tests.add_reports([report]):
                self.tests.add_scanned(output)

    def _get_pytest(self, python: Interpreter, suite: Suite) -> None:
        """Install pytest from where packages are to be had. Raises WorkerError."""
        unmet = [{"requirement": "pytest", "version": "", "of": ""}]
        try:
            options = self._supply(python).to_install(self._project, unmet, "to be tested")
        except WorkerError as error:
            if self.job.task.settings.get("index"):
                raise
            raise self._no_way_to_test(f"pytest ({suite.reason})") from error
        self._pip(python, "install", "--no-compile", *options, "pytest")

    def _no_way_to_test(self, missing: str) -> WorkerError:
        from ._python.supply import WAYS_OUT

        package = re.match("[a-z0-9-]+", missing)
        named = f"; {package[0]} is Debian's python3-{package[0]}" if package else ""
        return WorkerError(
            f"the tests cannot be run: this machine lacks {missing}: {WAYS_OUT}{named}; images of "
            f"the flavour '{self.flavour}' have pytest (machine_image_flavours)"
        )

    @staticmethod
    def _lacks_module(name: str) -> WorkerError:
        return WorkerError(
            f"the tests import the module {name}, which this machine does not have: it is in "
            "no package that the project names for its tests (an extra or a dependency group "
            "test, tests, testing or dev) or that could be had; an image can have it, too "
            "(machine_image_extra_packages)"
        )

    def _run_unittest(self, python: Interpreter, suite: Suite, environment: dict[str, str]) -> None:
        from ._python.suite import UnittestOutput

        failed: WorkerError | None = None
        for start, top, pattern in suite.starts:
            scanner = UnittestOutput()
            where = ["-s", start, "-t", top, *(["-p", pattern] if pattern != "test*.py" else [])]
            try:
                self.scan(
                    scanner,
                    self.in_source,
                    *(python.path, "-m", "unittest", "discover", "-v", *where),
                    **environment,
                )
            except CommandFailed as error:
                # Since 3.12 that is the status for no tests.
                if error.code != 5 or scanner.counts is None or scanner.counts.run:
                    missing = scanner.modules
                    failed = failed or (self._lacks_module(missing[0]) if missing else error)
        if failed is not None:
            raise failed


def _group(groups: dict[str, Any], name: str, outer: tuple[str, ...] = ()) -> list[str]:
    """The requirements of a dependency group, those of groups it includes among them."""
    found: list[str] = []
    entries = groups.get(name)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, str):
            found.append(entry)
        elif isinstance(entry, dict):
            inner = entry.get("include-group")
            if isinstance(inner, str) and inner not in (*outer, name):
                found += _group(groups, inner, (*outer, name))
    return found
