# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for plain makefiles."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Perform = Callable[..., Any]


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip("\n")


def counted(outcome: Any) -> tuple[int, int, int]:
    tests = outcome.report["tests"]["test"]
    return tests["passed"], tests["failed"], tests["skipped"]


ALL = "config.bbot.operations=configure,update,test,install,test-installed,uninstall"
MAKEFILE = text(
    """
    all: hello
    hello: hello.c
    \tcc $(CFLAGS) -o hello hello.c
    check: hello
    \t./hello | grep hello
    install:
    \tmkdir -p $(DESTDIR)$(PREFIX)/bin && cp hello $(DESTDIR)$(PREFIX)/bin/
    installcheck:
    \t$(PREFIX)/bin/hello
    uninstall:
    \trm $(PREFIX)/bin/hello
    """
)
PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
UNUSED = PROGRAM.replace("{ puts", "{ int unused; puts")


def test_everything(perform: Perform, tmp_path: Path) -> None:
    tree = {"Makefile": MAKEFILE, "hello.c": PROGRAM}
    outcome = perform(tree, f"{ALL} config.bbot.jobs=2 'CFLAGS=-O1 -Wall'")
    assert outcome.status == "success", outcome
    assert "nothing to configure with the make driver" in outcome.logs["configure"]
    assert outcome.logs["update"].startswith("+ make -j2 prefix=")
    assert "cc -O1 -Wall -o hello hello.c" in outcome.logs["update"]
    assert "make check" in outcome.logs["test"]
    assert (tmp_path / "work" / "installed" / "bin").is_dir()


@pytest.mark.parametrize(
    "files",
    [
        {"Makefile": "all:\n\techo built\n"},
        # A folder of that name, and what make would make of a source of that name.
        {"Makefile": "all:\n\techo built\n", "test/data": "", "check/data": ""},
        {"Makefile": "all:\n\techo built\n", "test.c": PROGRAM, "check.sh": "exit 0\n"},
        {"Makefile": "all:\n\techo built\ncheck: all.done\nall.done:\n", "all.done": ""},
    ],
)
def test_no_tests(perform: Perform, files: dict[str, str]) -> None:
    outcome = perform(files)
    assert outcome.statuses["test"] == "warning", outcome
    assert "no tests were run: the makefile has no target check or test" in outcome.logs["test"]


def test_a_recipe_that_does_nothing_is_no_test(perform: Perform) -> None:
    outcome = perform({"Makefile": "all:\n\techo built\ncheck:\n\t@$(MAKE) -s nothing\nnothing:\n"})
    assert outcome.statuses["test"] == "warning", outcome
    assert "no tests were run: make ran nothing" in outcome.logs["test"]


@pytest.mark.parametrize(
    ("lines", "status", "counts"),
    [
        ("PASS: one\\nFAIL: two\\nSKIP: three\\n", "error", (1, 1, 1)),
        ("PASS: one\\nXFAIL: two\\n", "success", (2, 0, 0)),
        ("SKIP: one\\n", "warning", (0, 0, 1)),
        # Who sums it up knows better.
        ("FAIL: as expected\\nAll 3 tests passed\\n", "success", (3, 0, 0)),
    ],
)
def test_a_line_for_each_test_counts_where_nobody_sums_up(
    perform: Perform, lines: str, status: str, counts: tuple[int, int, int]
) -> None:
    """Whatever the exit status is: here it is that of success."""
    outcome = perform({"Makefile": f"all:\n\techo built\ncheck:\n\t@printf '{lines}'\n"})
    assert outcome.statuses["test"] == status, outcome
    assert counted(outcome) == counts


def test_a_dry_run_that_fails_does_not_hide_tests(perform: Perform) -> None:
    makefile = "all:\n\ttouch made\ncheck:\n\t@test -e made && echo ran; rm -f made\n"
    makefile += "test:\n\t$(MAKE) -f generated.mk it\n"
    assert perform({"Makefile": makefile}).statuses["test"] == "success"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("Makefile", "all:\n", True),
        ("GNUmakefile", "include rules.mk\n", True),
        ("makefile", "a b: c\n\ttrue\n", True),
        ("Makefile", "CC := gcc\nX = a:b\n# all:\n", False),
        ("Makefile", "", False),
    ],
)
def test_detection(perform: Perform, name: str, content: str, found: bool) -> None:
    outcome = perform({name: content}, "config.bbot.operations=configure")
    assert ("driver: make" in outcome.logs["configure"]) is found


def test_a_compiler_warning_is_a_warning(perform: Perform) -> None:
    outcome = perform({"Makefile": MAKEFILE, "hello.c": UNUSED}, "CFLAGS=-Wall")
    assert outcome.statuses == {"configure": "success", "update": "warning", "test": "success"}
    assert outcome.status == "warning"


def test_it_stops_at_the_first_failure(perform: Perform) -> None:
    outcome = perform({"Makefile": MAKEFILE, "hello.c": "nonsense"})
    assert outcome.statuses == {"configure": "success", "update": "error", "test": "skip"}
    assert outcome.logs["update"].endswith("error: make failed with exit status 2")
    assert outcome.logs["test"] == "not begun: update has failed"


def test_what_would_be_installed_is_an_artifact(perform: Perform) -> None:
    outcome = perform(
        {"Makefile": MAKEFILE, "hello.c": PROGRAM}, "config.bbot.artifacts=install,nothing/*"
    )
    assert outcome.status == "warning", outcome
    assert [each["path"] for each in outcome.report["artifacts"]] == ["bin/hello"]
    assert "warning: no artifact matches 'nothing/*'" in outcome.logs["test"]


def test_a_subfolder(perform: Perform) -> None:
    files = {
        f"deep/er/{name}": body for name, body in {"Makefile": MAKEFILE, "hello.c": PROGRAM}.items()
    }
    outcome = perform({**files, "CMakeLists.txt": "project(x)\n"}, "config.bbot.subfolder=deep/er")
    assert outcome.status == "success", outcome
    assert outcome.report["driver"] == "make"


@pytest.mark.parametrize(
    ("subfolder", "said"),
    [
        ("nowhere", "config.bbot.subfolder=nowhere: the sources have no such folder"),
        ("..", "config.bbot.subfolder=.. is outside of the sources"),
        ("/etc", "config.bbot.subfolder=/etc is outside of the sources"),
    ],
)
def test_a_subfolder_that_is_none(perform: Perform, subfolder: str, said: str) -> None:
    outcome = perform({"Makefile": MAKEFILE}, f"config.bbot.subfolder={subfolder}")
    assert outcome.statuses["configure"] == "error"
    assert said in outcome.logs["configure"]


def test_a_test_command_of_the_tasks_own(perform: Perform) -> None:
    command = "config.bbot.test=echo 3 passed in 1s; exit 1"
    outcome = perform({"Makefile": "all:\n"}, f"'{command}'")
    assert outcome.statuses["test"] == "error"
    assert counted(outcome) == (3, 0, 0)
