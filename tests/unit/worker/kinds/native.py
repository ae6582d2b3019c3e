# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds for C and its like, and those that need nothing but what the shipped image has."""

from __future__ import annotations

from . import C_TESTS, Kind, cases, text

CMAKELISTS = text(
    """
    cmake_minimum_required(VERSION 3.16)
    project(sample C)
    enable_testing()
    add_executable(tests tests.c)
    add_test(NAME tests COMMAND tests)
    """
)

MAKEFILE = text(
    """
    all: tests
    check: all
    \t./tests
    """
)

KINDS = {
    "cmake": Kind(
        files={"CMakeLists.txt": CMAKELISTS, "tests.c": C_TESTS["good"]},
        cases=cases(
            "tests.c", C_TESTS, none={"CMakeLists.txt": CMAKELISTS.replace("add_test", "# ")}
        ),
        tool="cmake",
        said={"crash": r"\*\*\*Exception: SegFault"},
    ),
    "make": Kind(
        files={"Makefile": MAKEFILE, "tests.c": C_TESTS["good"]},
        # A folder of that name is no target.
        cases=cases(
            "tests.c",
            C_TESTS,
            none={"Makefile": "all: tests\n", "test/data": "", "check/data": ""},
        ),
        tool="make",
        said={"none": "no tests were run: the makefile has no target check or test"},
        counts=None,
    ),
}
