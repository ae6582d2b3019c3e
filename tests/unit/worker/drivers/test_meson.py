# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Meson."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

Perform = Callable[..., Any]


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip("\n")


def counted(outcome: Any) -> tuple[int, int, int]:
    tests = outcome.report["tests"]["test"]
    return tests["passed"], tests["failed"], tests["skipped"]


MESON_BUILD = text(
    """
    project('sample', 'c')
    program = executable('hello', 'hello.c', install: true)
    test('runs', program)
    """
)
FILES = {"meson.build": MESON_BUILD, "hello.c": "int main(void) { return 0; }\n"}


def test_everything(perform: Perform) -> None:
    operations = "config.bbot.operations=configure,update,test,install"
    outcome = perform(FILES, f"{operations} config.bbot.jobs=2 buildtype=release")
    assert outcome.status == "success", outcome
    assert "--wrap-mode=nodownload -Dbuildtype=release" in outcome.logs["configure"]
    assert counted(outcome) == (1, 0, 0)
    paths = {each["path"] for each in outcome.report["artifacts"]}
    assert paths == {"build/meson-logs/testlog.junit.xml", "bin/hello"}


def test_what_would_be_installed_is_an_artifact(perform: Perform) -> None:
    outcome = perform(FILES, "config.bbot.artifacts=install")
    assert [each["path"] for each in outcome.report["artifacts"]] == ["bin/hello"]


def test_skipped_and_failing_tests(perform: Perform) -> None:
    more = "test('never', find_program('sh'), args: ['-c', 'exit 77'])\n"
    more += "test('bad', program, should_fail: true)\n"
    outcome = perform({**FILES, "meson.build": MESON_BUILD + more})
    assert outcome.statuses["test"] == "error"
    assert counted(outcome) == (1, 1, 1)


def test_a_task_may_have_wraps_fetched(perform: Perform) -> None:
    outcome = perform(FILES, "--wrap-mode=forcefallback")
    assert "nodownload" not in outcome.logs["configure"]


def test_a_part_of_a_project_is_none(perform: Perform) -> None:
    outcome = perform({"meson.build": "executable('a', 'a.c')\n", "Makefile": "all:\n"})
    assert "driver: make" in outcome.logs["configure"]
