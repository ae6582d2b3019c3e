# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for CMake."""

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


CMAKELISTS = text(
    """
    cmake_minimum_required(VERSION 3.20)
    project(hello C)
    add_executable(hello hello.c)
    install(TARGETS hello)
    enable_testing()
    add_test(NAME runs COMMAND hello)
    message(STATUS "flavour ${FLAVOUR}, type ${CMAKE_BUILD_TYPE}")
    """
)
PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
FILES = {"CMakeLists.txt": CMAKELISTS, "hello.c": PROGRAM}
PRESETS = text(
    """
    {"version": 3, "configurePresets": [
      {"name": "base", "hidden": true},
      {"name": "elsewhere", "condition": false, "generator": "Ninja"},
      {"name": "one", "inherits": "base", "generator": "Ninja",
       "binaryDir": "${sourceDir}/out", "cacheVariables": {"CMAKE_BUILD_TYPE": "Debug"}}
    ]}
    """
)


def test_everything(perform: Perform, tmp_path: Path) -> None:
    operations = "config.bbot.operations=configure,update,test,install"
    outcome = perform(FILES, f"{operations} FLAVOUR=sweet --log-level=STATUS")
    assert outcome.status == "success", outcome
    assert "-- flavour sweet, type RelWithDebInfo" in outcome.logs["configure"]
    assert counted(outcome) == (1, 0, 0)
    assert (tmp_path / "work" / "installed" / "bin" / "hello").exists()
    assert {each["path"] for each in outcome.report["artifacts"]} == {
        "reports/ctest.xml",
        "bin/hello",
    }


def test_the_first_failure_is_reported(perform: Perform) -> None:
    more = "add_test(NAME bad COMMAND hello)\nset_tests_properties(bad PROPERTIES WILL_FAIL 1)\n"
    outcome = perform({**FILES, "CMakeLists.txt": CMAKELISTS + more})
    assert outcome.statuses["test"] == "error"
    assert counted(outcome) == (1, 1, 0)
    assert outcome.report["tests"]["test"]["first_failure"]["name"] == "bad"


@pytest.mark.parametrize(
    ("properties", "status", "numbers"),
    [("DISABLED 1", "warning", (0, 0, 1)), ("SKIP_RETURN_CODE 0", "warning", (0, 0, 1))],
)
def test_tests_that_are_not_run(
    perform: Perform, properties: str, status: str, numbers: tuple[int, int, int]
) -> None:
    more = f"set_tests_properties(runs PROPERTIES {properties})\n"
    outcome = perform({**FILES, "CMakeLists.txt": CMAKELISTS + more})
    assert outcome.statuses["test"] == status, outcome
    assert counted(outcome) == numbers


def test_an_option_that_may_have_tests_is_named(perform: Perform) -> None:
    content = CMAKELISTS.replace("add_test(", 'option(HELLO_TESTS "" OFF)\n#')
    outcome = perform({**FILES, "CMakeLists.txt": content})
    assert outcome.statuses["test"] == "warning"
    assert (
        "no tests were run: ctest found none; what is switched off may have some (in "
        "target-config: HELLO_TESTS=ON)"
    ) in outcome.logs["test"]


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("", "Debug"),
        ("config.bbot.preset=one", "Debug"),
        ("config.bbot.preset=none", "RelWithDebInfo"),
    ],
)
def test_the_only_preset_for_this_machine(perform: Perform, setting: str, kind: str) -> None:
    outcome = perform({**FILES, "CMakePresets.json": PRESETS}, f"{setting} --log-level=STATUS")
    assert outcome.status == "success", outcome
    assert f"type {kind}\n" in outcome.logs["configure"]


def test_of_several_presets_none_is_used(perform: Perform) -> None:
    presets = PRESETS.replace('"condition": false, ', "")
    outcome = perform({**FILES, "CMakePresets.json": presets})
    assert outcome.status == "success", outcome
    assert (
        "no preset is used of elsewhere, one: config.bbot.preset=NAME does"
        in (outcome.logs["configure"])
    )


def test_presets_that_cannot_be_read_are_not_used(perform: Perform) -> None:
    outcome = perform({**FILES, "CMakePresets.json": "{"})
    assert "--preset" not in outcome.logs["configure"]


def test_a_ctest_without_reports(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    from bbot_worker.drivers.cmake import CMake
    from bbot_worker.run import Answer

    monkeypatch.setattr(CMake, "ask", lambda *_arguments, **_more: Answer(0, ""))
    outcome = perform(FILES)
    assert outcome.status == "success", outcome
    assert counted(outcome) == (1, 0, 0)


def test_an_operation_that_a_driver_lacks_is_an_error(perform: Perform) -> None:
    outcome = perform(FILES, "config.bbot.operations=configure,test-installed")
    assert outcome.statuses == {"configure": "success", "test-installed": "error"}
    assert "the cmake driver has no operation 'test-installed'" in outcome.logs["test-installed"]


def test_a_part_of_a_project_is_none(perform: Perform) -> None:
    outcome = perform({"CMakeLists.txt": "add_library(x x.c)\n", "Makefile": "all:\n"})
    assert "driver: make" in outcome.logs["configure"]
