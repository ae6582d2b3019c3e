# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for bbot.yml, and what may be in that file."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import account
from bbot_worker.drivers import DRIVERS
from bbot_worker.drivers._declared import packages
from bbot_worker.drivers._declared.schema import Declaration
from bbot_worker.drivers._python.interpreter import Interpreter
from bbot_worker.errors import WorkerError
from bbot_worker.inspect import inspect
from kinds.native import MAKEFILE, PYTHON

Perform = Callable[..., Any]


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip("\n")


EVERYTHING = text(
    """
    # As in the documentation.
    driver: make
    operations: [configure, update, lint, test]
    environment: {GREETING: "good day", VERSION: 1.10}
    timeout: {whole: 600, lint: 60}
    artifacts: ["*.txt"]
    junit: out/*.xml
    matrix:
      COMPILER: [cc]
    steps:
      lint:
        - echo "$GREETING $VERSION $COMPILER $BBOT_OPERATION"
        - run: |
            pwd
            echo "$GREETING" > ../made.txt
          directory: deep
          environment: {GREETING: hello}
          timeout: 10
      test:
        run:
          - mkdir -p out
          - cp report.xml out/report.xml
    """
)
FILES = {
    "bbot.yml": EVERYTHING,
    "Makefile": "all:\n\techo built by make\n",
    "deep/file": "",
    "report.xml": '<testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase>'
    "</testsuite>",
}


def test_the_example_of_the_documentation_is_right() -> None:
    page = Path(__file__).parents[4] / "docs" / "worker.md"
    example = page.read_text().split("```yaml\n")[1].split("```")[0]
    declaration = Declaration(example.encode(), DRIVERS)
    assert declaration.driver == "cmake"
    assert [step.directory for step in declaration.steps["test"]] == ["", "tests"]


def test_everything(perform: Perform, tmp_path: Path) -> None:
    outcome = perform(FILES)
    assert outcome.status == "success", outcome
    assert outcome.operations == ["configure", "update", "lint", "test"]
    assert "driver: declared (bbot.yml)\nalso possible: make" in outcome.logs["configure"]
    assert "echo built by make" in outcome.logs["update"]
    assert "\ngood day 1.10 cc lint\n" in outcome.logs["lint"]
    assert f"\n{tmp_path}/work/source/deep" in outcome.logs["lint"]
    assert outcome.report["tests"] == {"test": {"passed": 1, "failed": 0, "skipped": 1}}
    assert [each["path"] for each in outcome.report["artifacts"]] == ["made.txt"]


def test_the_task_comes_before_the_declaration(perform: Perform) -> None:
    outcome = perform(
        FILES,
        "config.bbot.operations=lint config.bbot.artifacts=none",
        ("warning-regex", "nothing"),
    )
    assert outcome.status == "success", outcome
    assert outcome.operations == ["lint"]
    assert "artifacts" not in outcome.report


def test_a_command_that_fails_ends_the_operation(perform: Perform) -> None:
    outcome = perform({"bbot.yml": "steps: {update: ['false; true', echo not reached]}\n"})
    assert outcome.statuses == {"configure": "success", "update": "error", "test": "skip"}
    assert "not reached\n" not in outcome.logs["update"]
    assert "nothing to configure with the declared driver" in outcome.logs["configure"]


def test_what_has_no_steps(perform: Perform) -> None:
    outcome = perform({"bbot.yml": "steps: {update: echo built}\n"})
    assert outcome.statuses["test"] == "warning"
    assert "no tests were run: bbot.yml has no steps for test" in outcome.logs["test"]
    outcome = perform({"bbot.yml": "steps: {update: echo}\n"}, "config.bbot.operations=lint")
    assert outcome.statuses["lint"] == "error"
    assert "bbot.yml has no steps for the operation 'lint'" in outcome.logs["lint"]


def test_failing_tests_are_counted(perform: Perform) -> None:
    outcome = perform({"bbot.yml": "steps: {test: ['echo 3 passed in 1s', './no-such']}\n"})
    assert outcome.statuses["test"] == "error"
    assert outcome.report["tests"]["test"] == {"passed": 3, "failed": 0, "skipped": 0}


@pytest.mark.parametrize("old", [False, True])
def test_reports_that_are_not_written_are_a_warning(
    perform: Perform, tmp_path: Path, old: bool
) -> None:
    if old:
        path = tmp_path / "tree" / "out.xml"
        path.parent.mkdir()
        path.write_text(FILES["report.xml"])
        os.utime(path, (1e9, 1e9))
    outcome = perform({"bbot.yml": "junit: [out.xml]\nsteps: {test: echo}\n"})
    assert outcome.statuses["test"] == "warning", outcome
    assert "no report was written that bbot.yml names as 'junit'" in outcome.logs["test"]


@pytest.mark.parametrize(
    ("timeout", "setting", "said"),
    [
        ("timeout: 1", "", "was ended after 1 seconds"),
        ("timeout: {update: 1}", "", "was ended after 1 seconds"),
        ("timeout: {whole: 1}", "", "after 1 seconds, which is the time for all operations"),
        ("timeout: 60", "config.bbot.timeout=1", "was ended after 1 seconds"),
        ("timeout: 1", "config.bbot.timeout=2", "was ended after 2 seconds"),
    ],
)
def test_time_is_limited(perform: Perform, timeout: str, setting: str, said: str) -> None:
    outcome = perform({"bbot.yml": f"{timeout}\nsteps: {{update: sleep 60}}\n"}, setting)
    assert outcome.statuses == {"configure": "success", "update": "abort", "test": "skip"}
    assert said in outcome.logs["update"]


def test_the_time_of_a_step_is_its_own(perform: Perform) -> None:
    steps = "steps: {update: [{run: sleep 1, timeout: 30}, {run: sleep 60, timeout: 1}]}\n"
    outcome = perform({"bbot.yml": steps})
    assert outcome.statuses["update"] == "abort"
    assert outcome.logs["update"].endswith("/bin/sh was ended after 1 seconds")


def test_of_a_matrix_one_combination_is_done(perform: Perform) -> None:
    matrix = "matrix: {CC: [gcc, clang], STD: [11]}\nsteps: {update: echo $CC $STD, test: echo}\n"
    outcome = perform({"bbot.yml": matrix})
    assert outcome.statuses == {"configure": "warning", "update": "success", "test": "success"}
    assert (
        "of the matrix in bbot.yml one combination is done: CC=gcc, STD=11"
        in (outcome.logs["configure"])
    )
    assert "\ngcc 11" in outcome.logs["update"]


@pytest.mark.parametrize(
    ("words", "said", "warned"),
    [
        ("config.bbot.matrix.CC=clang", "clang 11", False),
        ("config.bbot.matrix.CC=gcc config.bbot.matrix.STD=11", "gcc 11", False),
        ("config.bbot.matrix.STD=11", "gcc 11", True),
    ],
)
def test_a_task_chooses_of_the_matrix(
    perform: Perform, words: str, said: str, warned: bool
) -> None:
    matrix = "matrix: {CC: [gcc, clang], STD: [11]}\nsteps: {update: echo $CC $STD, test: echo}\n"
    outcome = perform({"bbot.yml": matrix}, words)
    assert f"\n{said}" in outcome.logs["update"]
    assert ("one combination is done" in outcome.logs["configure"]) is warned


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"bbot.yml": "matrix: {CC: [gcc]}\nsteps: {update: echo}\n"},
            "the matrix in bbot.yml has no CC=icc: there are CC=gcc",
        ),
        (
            {"bbot.yml": "steps: {update: echo}\n"},
            "the matrix in bbot.yml has no CC=icc: there are no variables",
        ),
        (
            {"Makefile": "all:\n"},
            "the task wants CC of a matrix, which a bbot.yml would have: the make driver has none",
        ),
    ],
)
def test_what_no_matrix_has(perform: Perform, files: dict[str, str], said: str) -> None:
    outcome = perform(files, "config.bbot.matrix.CC=icc")
    assert outcome.statuses["configure"] == "error"
    assert said in outcome.logs["configure"]


def test_without_steps_a_driver_is_looked_for(perform: Perform) -> None:
    files = {"bbot.yml": "environment: {WHAT: this}\n", "Makefile": "all:\n\techo $(WHAT)\n"}
    outcome = perform(files)
    assert (
        "what bbot.yml has no steps for is done by the make driver (Makefile)"
        in (outcome.logs["configure"])
    )
    assert "echo this\n" in outcome.logs["update"]


def test_a_script_beside_it(perform: Perform) -> None:
    script = {"bbot-build": "#!/bin/sh\necho the script does $1\n"}
    outcome = perform({**script, "bbot.yml": "environment: {A: b}\n"})
    assert "the script does update" in outcome.logs["update"]
    outcome = perform({**script, "bbot.yml": "steps: {update: echo steps}\n"})
    assert "the script" not in outcome.logs["update"]


def test_no_driver_and_no_steps(perform: Perform) -> None:
    outcome = perform({"bbot.yml": "environment: {A: b}\n"})
    assert outcome.statuses["configure"] == "error"
    assert "bbot.yml has no steps for what a driver would do" in outcome.logs["configure"]


def test_a_directory_that_leads_out(perform: Perform, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "out").symlink_to("/etc")
    outcome = perform({"bbot.yml": "steps: {update: {run: pwd, directory: out}}\n"})
    assert outcome.statuses["update"] == "error"
    assert "error: bbot.yml: the folder out is outside of the sources" in outcome.logs["update"]


# What is installed first


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interpreter, "answers", lambda self, index: False)


def test_requirements_that_are_there(perform: Perform, offline: None) -> None:
    steps = "requirements: [pip>=1]\nsteps: {update: python -c 'import sys; print(sys.prefix)'}\n"
    outcome = perform({"bbot.yml": steps})
    assert outcome.status == "warning", outcome  # For there are no tests.
    assert outcome.logs["update"].endswith("/work/python")


def test_requirements_that_cannot_be_had(perform: Perform, offline: None) -> None:
    outcome = perform({"bbot.yml": "requirements: [nosuch>2]\nsteps: {update: echo}\n"})
    assert outcome.statuses["configure"] == "error"
    assert (
        "error: bbot.yml needs nosuch>2 (this machine has none) to go on, and no index can be "
        "reached: name a wheelhouse"
    ) in outcome.logs["configure"]


def test_requirements_of_a_python_project(perform: Perform, offline: None) -> None:
    files = {**PYTHON, "bbot.yml": "driver: python\nrequirements: [pytest]\n"}
    files["test_sample.py"] = "import sample\n\ndef test_it():\n    assert sample.ANSWER\n"
    outcome = perform(files)
    assert outcome.status == "success", outcome
    assert outcome.report["tests"]["test"]["passed"] == 1


def test_packages_that_are_there(perform: Perform) -> None:
    outcome = perform({"bbot.yml": "packages: [make, perl]\nsteps: {update: echo}\n"})
    assert outcome.statuses["configure"] == "success", outcome


def test_packages_that_nobody_may_install(perform: Perform) -> None:
    outcome = perform({"bbot.yml": "packages: [no-such-package]\nsteps: {update: echo}\n"})
    assert outcome.statuses["configure"] == "error"
    assert (
        "error: bbot.yml asks for the packages no-such-package, which only root can install: let "
        "the machine out to a mirror (egress), or use an image with them"
    ) in outcome.logs["configure"]


@pytest.mark.parametrize("code", [0, 100])
def test_packages_are_installed_by_root(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(account.Account, "is_root", True)
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    (folder / "apt-get").write_text(
        f"#!/bin/sh\necho apt-get $*; [ $1 != install ] || exit {code}\n"
    )
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    outcome = perform({"bbot.yml": "packages: [make, no-such-package]\nsteps: {update: echo}\n"})
    log = outcome.logs["configure"]
    assert "apt-get update" in log
    (line,) = [each for each in log.splitlines() if each.startswith("apt-get install")]
    assert line.endswith(" no-such-package") and " make" not in line
    assert outcome.statuses["configure"] == ("error" if code else "success")
    assert (
        code == 0
        or (
            "error: the packages no-such-package of bbot.yml cannot be installed: apt-get failed "
            "with exit status 100: let the machine out to a mirror"
        )
        in log
    )


def test_a_machine_without_apt(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbot_worker.drivers.base.Driver.which", staticmethod(lambda tool: None))
    monkeypatch.setattr(packages, "_is_there", lambda driver, name: False)
    outcome = perform({"bbot.yml": "packages: [curl]\nsteps: {update: echo}\n"})
    assert (
        "asks for the packages curl, and this machine has no apt-get" in (outcome.logs["configure"])
    )


# What may be in it


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- a\n", "bbot.yml:1:1: a mapping is expected, such as 'steps:'"),
        (
            "steps:\n  test: [a]\nenviroment: {}\n",
            "bbot.yml:3:1: unknown key 'enviroment': did you mean 'environment'?",
        ),
        ("driver: cmak\n", "bbot.yml:1:9: unknown driver 'cmak': did you mean 'cmake'?"),
        ("driver: declared\n", "bbot.yml:1:9: unknown driver 'declared'"),
        ("driver: [make]\n", "bbot.yml:1:9: unknown driver ''"),
        ("operations: [configure, Test]\n", "bbot.yml:1:25: 'Test' is no name of an operation"),
        ("operations: [a, a]\n", "bbot.yml:1:17: operation 'a' is here twice"),
        ("operations: {a: b}\n", "bbot.yml:1:13: a list is expected"),
        ("packages: ['-o evil=1']\n", "bbot.yml:1:12: '-o evil=1' is no name of a package"),
        ("packages: [a, [b]]\n", "bbot.yml:1:15: '' is no name of a package"),
        ("requirements: ['']\n", "bbot.yml:1:16: a line of text is expected"),
        ("artifacts: ['a,b']\n", "bbot.yml:1:13: a pattern cannot have a comma"),
        ("environment: [a]\n", "bbot.yml:1:14: a mapping of variables to values is expected"),
        ("environment: {a b: c}\n", "bbot.yml:1:15: 'a b' cannot be a variable here"),
        ("environment: {BBOT_NAME: c}\n", "'BBOT_NAME' cannot be a variable here"),
        ("environment: {a: [b]}\n", "bbot.yml:1:18: a text or number is expected"),
        ("timeout: soon\n", "bbot.yml:1:10: a whole number of seconds is expected"),
        ("timeout: 0\n", "bbot.yml:1:10: a whole number of seconds is expected"),
        ("timeout: {A: 1}\n", "bbot.yml:1:11: 'A' is no name of an operation"),
        ("timeout: [1]\n", "bbot.yml:1:10: a whole number of seconds is expected"),
        ("matrix: [a]\n", "bbot.yml:1:9: a mapping of variables to lists of values is expected"),
        ("matrix: {A: []}\n", "bbot.yml:1:13: there must be at least one value"),
        ("matrix: {1: [a]}\n", "bbot.yml:1:10: '1' cannot be a variable here"),
        ("steps: [a]\n", "bbot.yml:1:8: a mapping of operations to lists of commands is expected"),
        ("steps: {T: a}\n", "bbot.yml:1:9: 'T' is no name of an operation"),
        ("steps: {test: [[a]]}\n", "bbot.yml:1:16: a command is expected, or a mapping with 'run'"),
        ("steps: {test: ''}\n", "bbot.yml:1:15: a command is expected"),
        ("steps: {test: {dir: a}}\n", "bbot.yml:1:16: unknown key 'dir'"),
        ("steps: {test: {directory: a}}\n", "bbot.yml:1:15: there is no 'run'"),
        ("steps: {test: {run: a, directory: /a}}\n", "1:35: a folder of the sources is expected"),
        ("steps: {test: {run: a, directory: b/../..}}\n", "a folder of the sources is expected"),
        ("steps: {test: {run: a, timeout: 1.5}}\n", "a whole number of seconds is expected"),
        ("steps: {test: a}\nsteps: {}\n", "bbot.yml:2:1: 'steps' is here twice"),
        ("steps: &a {test: b}\n", "bbot.yml:1:8: anchors and aliases are not allowed here"),
        ("steps: {test: *a}\n", "bbot.yml:1:15: anchors and aliases are not allowed here"),
        ("steps: !!python/object:os.system {test: a}\n", "bbot.yml:1:8: the tag "),
        ("steps: {test: !x a}\n", "bbot.yml:1:15: the tag !x is not allowed here"),
        ("? [a]\n: b\n", "bbot.yml:1:3: a name is expected here"),
        ("steps: {}\n---\nsteps: {}\n", "there may be only one document"),
        ("steps: {test: a\n", "bbot.yml:2:1: "),
        ("steps:\n\t- a\n", "bbot.yml:2:1: found character"),
        ("steps: 'a\n", "bbot.yml:"),
        ("a: \x01\n", "bbot.yml cannot be read: unacceptable character #x0001"),
        ("%YAML 9.9\n---\na: b\n", "bbot.yml:1:1: found incompatible YAML document"),
        ("a: " + "[" * 60000, "bbot.yml:1:15: this is nested more than 12 levels deep"),
        ("a: " + "{a: " * 10000, "this is nested more than 12 levels deep"),
        ("x" * 70000, "bbot.yml is larger than 64 KiB"),
        (b"a: \xff\n", "bbot.yml is not in UTF-8: byte 3"),
    ],
)
def test_what_may_not_be(content: str | bytes, said: str) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    started = time.monotonic()
    with pytest.raises(WorkerError) as caught:
        Declaration(data, DRIVERS.keys() - {"declared"})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.status == "error"
    assert time.monotonic() - started < 20


def test_many_of_everything_are_read_in_time() -> None:
    lines = "".join(f"  v{number}: [a, b, {{c: d}}]\n" for number in range(2000))
    with pytest.raises(WorkerError, match=r"bbot.yml:2:\d+: "):
        Declaration(f"steps:\n{lines}".encode(), DRIVERS)


def test_it_is_checked_before_anything_is_booted(tmp_path: Path) -> None:
    (tmp_path / "bbot.yml").write_text("steps: {tset: [1]\n")
    error = json.loads(inspect(str(tmp_path), ""))["error"]
    assert error.startswith("bbot.yml:2:1: ")
    (tmp_path / "bbot.yml").write_text(EVERYTHING)
    assert json.loads(inspect(str(tmp_path), ""))["driver"] == "declared"


def test_a_python_without_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(WorkerError, match="this machine's Python has no module yaml"):
        Declaration(b"steps: {}", DRIVERS)


def test_one_that_is_no_file_of_the_sources(tmp_path: Path) -> None:
    outside, tree = tmp_path / "secret", tmp_path / "tree"
    outside.write_text("secret: 1\n")
    tree.mkdir()
    for make in (
        (tree / "bbot.yml").mkdir,
        lambda: os.mkfifo(tree / "bbot.yml"),
        lambda: (tree / "bbot.yml").symlink_to(outside),
        lambda: (tree / "bbot.yml").symlink_to("bbot.yml"),
    ):
        make()
        error = json.loads(inspect(str(tree), ""))["error"]
        assert error.startswith("no known build system in the sources"), error
        assert json.loads(inspect(str(tree), "config.bbot.driver=declared"))["error"] == (
            "bbot.yml: the sources have no such file"
        )
        (tree / "bbot.yml").rename(tmp_path / f"old{len(os.listdir(tmp_path))}")


def test_the_kinds_makefile_by_declaration(perform: Perform) -> None:
    outcome = perform(
        {"bbot.yml": "driver: make\nsteps: {test: make check}\n", "Makefile": MAKEFILE}
    )
    assert outcome.statuses["update"] == "error"
    assert "error: make failed with exit status 2" in outcome.logs["update"]
