# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Python, with this host's interpreter and without a network."""

from __future__ import annotations

import functools
import http.server
import re
import textwrap
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.drivers import choose
from bbot_worker.drivers._python.interpreter import Interpreter
from bbot_worker.drivers._python.suite import Suite
from bbot_worker.drivers.tree import Tree
from bbot_worker.task import Task
from kinds.native import PYPROJECT, PYTHON_BACKEND

Perform = Callable[..., Any]

ALL = "config.bbot.operations=configure,update,test,install,test-installed"


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip("\n")


BACKEND = {"pyproject.toml": PYPROJECT, "backend.py": PYTHON_BACKEND}

WITH_SETUPTOOLS = text(
    """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"
    [project]
    name = "sample"
    version = "1.2"
    [tool.setuptools]
    packages = ["sample"]
    """
)
TESTS = "import sample\n\n\ndef test_answer():\n    assert sample.answer() == 42\n"
PACKAGE = {
    **BACKEND,
    "sample/__init__.py": "def answer():\n    return 42\n",
}
FILES = {**PACKAGE, "tests/test_sample.py": TESTS}


ANSWERS = Interpreter.answers


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host's own Python, for which no index can be reached."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(Interpreter, "answers", lambda self, index: False)


def counted(outcome: Any, operation: str = "test") -> tuple[int, int, int]:
    tests = outcome.report["tests"][operation]
    return tests["passed"], tests["failed"], tests["skipped"]


def test_everything(perform: Perform) -> None:
    outcome = perform({**FILES, "pyproject.toml": WITH_SETUPTOOLS}, ALL)
    assert outcome.status == "success", outcome
    assert "built with this machine's packages, which meet setuptools" in outcome.logs["configure"]
    assert "sample-1.2-py3-none-any.whl" in outcome.logs["update"]
    assert counted(outcome) == counted(outcome, "test-installed") == (1, 0, 0)
    paths = {each["path"] for each in outcome.report["artifacts"]}
    assert paths == {"dist/sample-1.2-py3-none-any.whl", "reports/pytest.xml"}


def test_a_failing_assertion(perform: Perform) -> None:
    outcome = perform({**FILES, "tests/test_sample.py": TESTS.replace("42", "41")})
    assert outcome.statuses["test"] == "error"
    assert counted(outcome) == (0, 1, 0)
    assert "test_answer" in outcome.report["tests"]["test"]["first_failure"]["name"]


WITH_SUBFOLDER = WITH_SETUPTOOLS.replace('["sample"]', '["sample", "sample.tests"]')


@pytest.mark.parametrize(
    "files",
    [
        # At the top, in a package of tests, within the package and installed or not, in src/.
        {"test_sample.py": TESTS},
        {"tests/__init__.py": "", "tests/test_sample.py": TESTS},
        {"testing/test_sample.py": TESTS},
        {"sample/tests/__init__.py": "", "sample/tests/test_sample.py": TESTS},
        {
            "pyproject.toml": WITH_SUBFOLDER,
            "sample/tests/__init__.py": "",
            "sample/tests/test_sample.py": TESTS.replace("import sample", "from ... import sample")
            .replace("from ... import sample", "from .. import answer")
            .replace("sample.answer", "answer"),
        },
    ],
)
@pytest.mark.parametrize("source", ["", "src/"])
def test_what_is_installed_is_tested_wherever_tests_are(
    perform: Perform, files: dict[str, str], source: str
) -> None:
    """A file that is in the sources and in no wheel must not be there for the tests."""
    base = {
        "pyproject.toml": WITH_SETUPTOOLS,
        "sample/__init__.py": "from .more import answer\n",
        "sample/more.py": "def answer():\n    return 42\n",
        "sample/data.txt": "",
        "conftest.py": text(
            """
            import os
            import sample

            def pytest_sessionfinish():
                print("SEEN", os.listdir(os.path.dirname(sample.__file__)))
            """
        ),
    }
    tree = {**base, **files}
    if source:
        tree = {
            (f"src/{name}" if name.startswith("sample/") else name): content
            for name, content in tree.items()
        }
        tree["pyproject.toml"] += 'package-dir = {"" = "src"}\n'
    outcome = perform(tree)
    assert outcome.status == "success", outcome
    assert counted(outcome) == (1, 0, 0)
    (seen,) = re.findall(r"SEEN (.*)", outcome.logs["test"])
    assert "'more.py'" in seen and "data.txt" not in seen


UNITTEST = text(
    """
    import unittest

    import sample


    class TestSample(unittest.TestCase):
        def test_answer(self):
            self.assertEqual(sample.answer(), 42)

        @unittest.skip("not now")
        def test_never(self):
            pass
    """
)


@pytest.mark.parametrize(
    "names",
    [
        ["tests/test_sample.py"],
        ["tests/__init__.py", "tests/test_sample.py"],
        ["tests/__init__.py", "tests/deep/__init__.py", "tests/deep/test_sample.py"],
        ["test/sample_test.py"],
        ["test.py"],
        ["sample/tests/__init__.py", "sample/tests/test_sample.py"],
    ],
)
def test_unittest_finds_its_tests(perform: Perform, names: list[str]) -> None:
    files = {name: "" if name.endswith("__init__.py") else UNITTEST for name in names}
    outcome = perform({**PACKAGE, **files})
    assert outcome.status == "success", outcome
    assert "tests are run by unittest" in outcome.logs["test"]
    assert counted(outcome) == (1, 0, 1)


def test_unittest_runs_all_it_finds_though_some_fail(perform: Perform) -> None:
    failing = UNITTEST.replace("42", "41")
    files = {**FILES, "tests/test_sample.py": UNITTEST, "a/test_a.py": failing}
    outcome = perform(files)
    assert outcome.statuses["test"] == "error"
    assert counted(outcome) == (1, 1, 2)


def test_pytest_is_not_replaced_by_a_runner_that_finds_nothing(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "pytest")
    outcome = perform({**FILES, "tests/test_sample.py": TESTS.replace("42", "41")})
    assert outcome.statuses == {"configure": "success", "update": "success", "test": "error"}
    assert (
        "error: the tests cannot be run: this machine lacks pytest "
        "(tests/test_sample.py has functions that test): "
        "name a wheelhouse (config.bbot.wheelhouse=FOLDER of the sources)"
    ) in outcome.logs["test"]
    assert (
        "pytest is Debian's python3-pytest; images of the flavour 'python' have pytest"
    ) in outcome.logs["test"]


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Have the machine's Python not have these modules."""
    find = Interpreter.modules
    monkeypatch.setattr(
        Interpreter,
        "modules",
        lambda self, *names: [name for name in find(self, *names) if name not in missing],
    )


@pytest.mark.parametrize(
    ("files", "runner"),
    [
        ({"test_a.py": "import pytest\n"}, "pytest"),
        ({"test_a.py": "    from pytest import raises\n"}, "pytest"),
        ({"a_test.py": "async def test_it():\n    pass\n"}, "pytest"),
        ({"test_a.py": "class TestA:\n    def test_it(self):\n        pass\n"}, "pytest"),
        ({"test_a.py": "class TestA(object):\n    def test_it(self): ...\n"}, "pytest"),
        ({"test_a.py": UNITTEST}, "unittest"),
        ({"test_a.py": UNITTEST, "tests/conftest.py": ""}, "pytest"),
        ({"test_a.py": UNITTEST, "pytest.ini": "[pytest]\n"}, "pytest"),
        ({"test_a.py": UNITTEST, "pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest"),
        ({"test_a.py": UNITTEST, "setup.cfg": "[tool:pytest]\n"}, "pytest"),
        ({"test_a.py": UNITTEST, "setup.cfg": "[flake8]\n"}, "unittest"),
        ({"test_a.py": UNITTEST, "tox.ini": "[testenv]\ncommands = pytest {posargs}\n"}, "pytest"),
        ({"test_a.py": UNITTEST, "tox.ini": "[testenv]\n# pytest\n"}, "unittest"),
        ({"test_a.py": UNITTEST, "noxfile.py": 'session.run("pytest")\n'}, "pytest"),
        ({"test_a.py": "class A(base.Case):\n    def test_it(self): ...\n"}, "unittest"),
        ({"a.py": TESTS, "build/lib/test_a.py": TESTS, ".venv/test_a.py": TESTS}, ""),
        ({"test_a.py": "print(1)\n"}, ""),
        ({}, ""),
    ],
)
def test_the_runner_is_chosen_by_content(
    tmp_path: Path, files: dict[str, str], runner: str
) -> None:
    assert Suite(tree(tmp_path, files)).runner == runner


def tree(path: Path, files: dict[str, str]) -> Tree:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return Tree(str(path))


@pytest.mark.parametrize(
    ("files", "driver"),
    [
        ({"pyproject.toml": "[tool.ruff]\n", "Makefile": "all:\n"}, "make"),
        ({"setup.cfg": "[flake8]\n", "Makefile": "all:\n"}, "make"),
        ({"setup.py": "# nothing\n", "Makefile": "all:\n"}, "make"),
        ({"pyproject.toml": PYPROJECT, "Makefile": "all:\n"}, "python"),
        ({"setup.py": "setup()\n", "Makefile": "all:\n"}, "python"),
        ({"setup.py": "setup()\n", "CMakeLists.txt": "project(x)\n"}, "cmake"),
        ({"pyproject.toml": PYPROJECT, "CMakeLists.txt": "project(x)\n"}, "python"),
        ({"pyproject.toml": PYPROJECT, "meson.build": "project('a')\n"}, "python"),
    ],
)
def test_detection(tmp_path: Path, files: dict[str, str], driver: str) -> None:
    task = Task([("name", "x"), ("version", "0")])
    assert choose(task, tree(tmp_path, files)).driver.name == driver


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        (
            '["setuptools>=999"]',
            r"error: libhello needs setuptools>=999 \(this machine has \d[\d.]*\) to be built, and "
            r"no index can be reached: name a wheelhouse \(config.bbot.wheelhouse=FOLDER",
        ),
        (
            '["setuptools", "no-such-backend[toml]>=8"]',
            r"error: libhello needs no-such-backend\[toml\]>=8 \(this machine has none\) to be",
        ),
        ("5", r"error: pyproject.toml: build-system.requires is not a list of strings"),
        ('["=="]', r"error: .*/bin/python cannot tell \(unmet\): .*InvalidRequirement"),
    ],
)
def test_what_is_required_to_build_is_honoured(perform: Perform, requires: str, said: str) -> None:
    outcome = perform({**FILES, "pyproject.toml": PYPROJECT.replace("[]", requires)})
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    assert re.search(said, outcome.logs["configure"]), outcome


def test_what_a_distribution_leaves_out_of_its_packages_is_not_required(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's hatchling names a package that Debian does not have, and builds without it."""
    ask = Interpreter.unmet

    def unmet(self: Interpreter, requirements: list[str], extras: list[str]) -> Any:
        lacking = {"requirement": "editables>=0.3", "version": "", "of": "setuptools"}
        return [*ask(self, requirements, extras), *([lacking] if requirements else [])]

    monkeypatch.setattr(Interpreter, "unmet", unmet)
    outcome = perform({**FILES, "pyproject.toml": WITH_SETUPTOOLS}, "config.bbot.operations=update")
    assert outcome.status == "success", outcome
    assert (
        "though not all that these name themselves: editables>=0.3, which setuptools needs "
        "(this machine has none)"
    ) in outcome.logs["update"]


def test_what_is_written_for_a_newer_setuptools_is_said(perform: Perform) -> None:
    licensed = WITH_SETUPTOOLS.replace("[tool.", 'license = "MIT"\n[tool.')
    outcome = perform({**FILES, "pyproject.toml": licensed})
    assert outcome.statuses["configure"] == "error"
    assert "error: sample needs setuptools>=77 (this machine has " in outcome.logs["configure"]


def test_a_wrong_version_is_an_error(perform: Perform) -> None:
    outcome = perform({**FILES, "PKG-INFO": "Metadata-Version: 2.1\nName: sample\nVersion: 1.3\n"})
    assert outcome.statuses["update"] == "error"
    assert (
        "error: the wheel has version 1.2, but the sources' PKG-INFO says 1.3: what the project "
        "finds its version out with"
    ) in outcome.logs["update"]
    assert perform({**FILES, "PKG-INFO": "Version: 1.2.0\n"}).status == "success"


def test_no_version_at_all_is_a_warning(perform: Perform) -> None:
    dynamic = WITH_SETUPTOOLS.replace('version = "1.2"', 'dynamic = ["version"]')
    outcome = perform({**FILES, "pyproject.toml": dynamic})
    assert outcome.statuses["update"] == "warning"
    assert "warning: the wheel has version 0.0.0" in outcome.logs["update"]


def test_what_is_required_to_run_is_named(perform: Perform) -> None:
    wanting = WITH_SETUPTOOLS.replace(
        'version = "1.2"', 'version = "1.2"\ndependencies = ["nosuch>2"]'
    )
    outcome = perform({**FILES, "pyproject.toml": wanting})
    assert outcome.statuses["update"] == "error"
    assert (
        "error: sample needs nosuch>2 (this machine has none) to run, and no index can be reached"
    ) in outcome.logs["update"]


def wheel(name: str, version: str, module: str = "") -> bytes:
    """A wheel with one empty module."""
    import io

    buffer = io.BytesIO()
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{module or name}.py", "")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


@pytest.mark.parametrize("setting", ["", "config.bbot.wheelhouse=more/wheels"])
def test_a_wheelhouse(perform: Perform, tmp_path: Path, setting: str) -> None:
    """What is required to run, and an extra for the tests, come from a folder of the sources."""
    place = tmp_path / "tree" / ("more/wheels" if setting else "wheelhouse")
    place.mkdir(parents=True)
    for name in ("needed_thing", "wanted"):
        (place / f"{name}-3.0-py3-none-any.whl").write_bytes(wheel(name, "3.0"))
    pyproject = WITH_SETUPTOOLS.replace(
        'version = "1.2"', 'version = "1.2"\ndependencies = ["Needed.Thing>=2"]'
    )
    pyproject += '[project.optional-dependencies]\ntest = ["wanted"]\n'
    tests = "import wanted, needed_thing\n" + TESTS
    files = {**FILES, "pyproject.toml": pyproject, "tests/test_sample.py": tests}
    outcome = perform(files, setting)
    assert outcome.status == "success", outcome
    assert "--find-links" in outcome.logs["update"] and "--find-links" in outcome.logs["test"]


def test_a_wheelhouse_that_is_not_there(perform: Perform) -> None:
    outcome = perform(FILES, "config.bbot.wheelhouse=nowhere")
    assert (
        "config.bbot.wheelhouse=nowhere: the sources have no such folder"
        in (outcome.logs["configure"])
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an index with the packages needed-thing and wanted."""
    monkeypatch.setattr(Interpreter, "answers", ANSWERS)
    for name in ("needed_thing", "wanted"):
        place = tmp_path / "index" / "simple" / name.replace("_", "-")
        place.mkdir(parents=True)
        file = f"{name}-3.0-py3-none-any.whl"
        (place / file).write_bytes(wheel(name, "3.0"))
        (place / "index.html").write_text(f'<a href="{file}">{file}</a>')
    handler = functools.partial(Quiet, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


def test_an_index_of_the_machines(perform: Perform, index: str) -> None:
    pyproject = WITH_SETUPTOOLS.replace(
        'version = "1.2"', 'version = "1.2"\ndependencies = ["Needed.Thing>=2"]'
    )
    pyproject += '[dependency-groups]\ntest = ["wanted"]\n'
    files = {**FILES, "pyproject.toml": pyproject}
    files["tests/test_sample.py"] = "import wanted, needed_thing\n" + TESTS
    outcome = perform(files, "", ("auxiliary-environment", f"PIP_INDEX_URL={index}\n"))
    assert outcome.status == "success", outcome
    assert "built with this machine's packages" in outcome.logs["configure"]


def test_an_index_of_the_tasks(perform: Perform, index: str) -> None:
    files = {**FILES, "bbot.yml": "driver: python\nrequirements: [Needed.Thing>=2]\n"}
    files["tests/test_sample.py"] = "import needed_thing\n" + TESTS
    outcome = perform(files, f"config.bbot.index={index}")
    assert outcome.status == "success", outcome
    assert f"--index-url {index} --trusted-host 127.0.0.1" in outcome.logs["configure"]


def test_coverage_that_is_configured_is_an_artifact(perform: Perform) -> None:
    outcome = perform({**FILES, "pytest.ini": "[pytest]\naddopts = --cov=sample\n"})
    assert outcome.status == "success", outcome
    assert "reports/coverage.xml" in {each["path"] for each in outcome.report["artifacts"]}


def test_an_index_that_does_not_answer(perform: Perform) -> None:
    outcome = perform(FILES, "config.bbot.index=http://127.0.0.1:9/simple")
    assert outcome.statuses["configure"] == "error"
    assert (
        "the package index http://127.0.0.1:9/simple (config.bbot.index) does not answer"
        in (outcome.logs["configure"])
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"pytest.ini": "[pytest]\naddopts = --benchmark-only\n"},
            "this machine lacks pytest-benchmark, whose option --benchmark-only the project gives "
            "to pytest: name a wheelhouse",
        ),
        (
            {"pytest.ini": "[pytest]\nrequired_plugins = pytest-nosuch\n"},
            "this machine lacks pytest-nosuch, which the project requires of pytest",
        ),
        ({"pytest.ini": "[pytest]\nminversion = 999\n"}, "this machine lacks pytest-999"),
    ],
)
def test_what_the_tests_lack_is_named(perform: Perform, files: dict[str, str], said: str) -> None:
    outcome = perform({**FILES, **files})
    assert outcome.statuses["test"] == "error"
    assert f"error: the tests cannot be run: {said}" in outcome.logs["test"]


@pytest.mark.parametrize("tests", [TESTS, UNITTEST])
def test_a_module_that_the_tests_lack_is_named(perform: Perform, tests: str) -> None:
    outcome = perform({**FILES, "tests/test_sample.py": f"import nosuch\n{tests}"})
    assert outcome.statuses["test"] == "error"
    assert (
        "error: the tests import the module nosuch, which this machine does not have"
        in (outcome.logs["test"])
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"tests/test_sample.py": "import pytest\n"}, "pytest has collected none"),
        ({"tests/test_sample.py": "x = 1\n"}, "there are no tests in tests/test_sample.py"),
        (
            {"tests/test_sample.py": "class A(B):\n  def test_a(self): ...\nclass B: ..."},
            "",
        ),
    ],
)
def test_none_were_run(perform: Perform, files: dict[str, str], said: str) -> None:
    outcome = perform({**FILES, **files})
    if said:
        assert outcome.statuses["test"] == "warning"
        assert f"warning: no tests were run: {said}" in outcome.logs["test"]
    else:
        assert outcome.statuses["test"] == "error"


def test_all_skipped_is_none_run(perform: Perform) -> None:
    skipped = "import pytest\npytestmark = pytest.mark.skip\n" + TESTS
    outcome = perform({**FILES, "tests/test_sample.py": skipped})
    assert outcome.statuses["test"] == "warning"
    assert "warning: no tests were run: all 1 were skipped" in outcome.logs["test"]


def test_a_command_of_the_tasks_own_finds_what_was_installed(perform: Perform) -> None:
    command = "python -c 'import sample, sys; print(sys.prefix, sample.answer())'"
    outcome = perform(FILES, f'config.bbot.operations=update,test "config.bbot.test={command}"')
    assert outcome.status == "success", outcome
    assert re.search(r"^/\S*/work/build 42$", outcome.logs["test"], re.MULTILINE)


def test_setup_py_alone(perform: Perform) -> None:
    setup = (
        'from setuptools import setup\nsetup(name="sample", version="1.2", py_modules=["sample"])\n'
    )
    outcome = perform(
        {"setup.py": setup, "sample.py": FILES["sample/__init__.py"], "test_it.py": TESTS}
    )
    assert outcome.status == "success", outcome


def test_groups_of_dependencies_may_go_in_circles(perform: Perform) -> None:
    groups = '[dependency-groups]\ntest = ["nosuch", {include-group = "b"}]\n'
    groups += 'b = ["nothere>1", {include-group = "test"}, 5]\n'
    outcome = perform({**FILES, "pyproject.toml": PYPROJECT + groups})
    assert outcome.status == "success", outcome
    assert "not in this machine, though named for tests: nosuch, nothere>1" in outcome.logs["test"]
