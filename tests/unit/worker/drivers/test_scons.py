# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for SCons."""

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


SCONSTRUCT = text(
    """
    program = Program('hello', 'hello.c')
    Default(program)
    prefix = ARGUMENTS.get('DESTDIR', '') + ARGUMENTS['prefix']
    Alias('install', Install(prefix + '/bin', program))
    AlwaysBuild(Alias('test', program, './hello'))
    """
)
FILES = {"SConstruct": SCONSTRUCT, "hello.c": "int main(void) { return 0; }\n"}


def test_everything(perform: Perform, tmp_path: Path) -> None:
    outcome = perform(FILES, "config.bbot.operations=configure,update,test,install,uninstall")
    assert outcome.status == "success", outcome
    assert "\n./hello\n" in outcome.logs["test"]
    assert "Installed" in outcome.logs["install"] or "Install file" in outcome.logs["install"]
    assert not (tmp_path / "work" / "installed" / "bin" / "hello").exists()


def test_what_would_be_installed_is_an_artifact(perform: Perform) -> None:
    outcome = perform(FILES, "config.bbot.artifacts=install")
    assert [each["path"] for each in outcome.report["artifacts"]] == ["bin/hello"]


@pytest.mark.parametrize("more", [{}, {"test/data": ""}])
def test_no_tests(perform: Perform, more: dict[str, str]) -> None:
    sconstruct = SCONSTRUCT.replace("AlwaysBuild", "# ")
    outcome = perform({**FILES, **more, "SConstruct": sconstruct})
    assert outcome.statuses["test"] == "warning", outcome
    assert "no tests were run: the SConstruct has no target check or test" in outcome.logs["test"]


def test_no_target_install(perform: Perform) -> None:
    sconstruct = SCONSTRUCT.replace("Alias('install'", "# ")
    outcome = perform({**FILES, "SConstruct": sconstruct}, "config.bbot.operations=install")
    assert "error: the SConstruct has no target install" in outcome.logs["install"]
