# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for configure scripts that were written by hand."""

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


MAKEFILE = "all:\n\techo built in $$PWD for $(PREFIX)\ncheck:\n\techo checked\n"


@pytest.mark.parametrize(
    ("script", "given"),
    [
        # Knows nothing, complains, understands, is a wrapper of autosetup.
        ("cp Makefile.in Makefile", ""),
        ('case $1 in --prefix*) echo "configure: unused argument: $1"; exit 1;; esac', ""),
        ("# --prefix=DIR", "--prefix="),
        ("# see autosetup", "--prefix="),
    ],
)
def test_the_prefix_is_given_to_scripts_that_know_it(
    perform: Perform, tmp_path: Path, script: str, given: str
) -> None:
    script = f'#!/bin/sh\n{script}\necho "configured with $* in $PWD"\ncp Makefile.in Makefile\n'
    outcome = perform({"configure": script, "Makefile.in": MAKEFILE}, "--enable-x CC=gcc")
    assert outcome.status == "success", outcome
    work = tmp_path / "work"
    words = f"--prefix={work}/installed --enable-x" if given else "--enable-x"
    assert f"configured with {words} CC=gcc in {work}/source" in outcome.logs["configure"]
    assert f"built in {work}/source for {work}/installed" in outcome.logs["update"]
    assert "checked" in outcome.logs["test"]


def test_a_failure_for_another_reason_is_one(perform: Perform) -> None:
    script = "#!/bin/sh\n# --prefix\necho no compiler; exit 1\n"
    outcome = perform({"configure": script, "Makefile.in": MAKEFILE})
    assert outcome.statuses["configure"] == "error"
    assert outcome.logs["configure"].count("+ ./configure") == 1


def test_a_script_without_its_mode(perform: Perform, tmp_path: Path) -> None:
    files = {"configure": "", "Makefile.in": MAKEFILE}
    perform(files)
    path = tmp_path / "tree" / "configure"
    path.write_text("#!/bin/sh -e\ncp Makefile.in Makefile\n")
    path.chmod(0o644)
    outcome = perform({"Makefile.in": MAKEFILE}, work=tmp_path / "again")
    assert outcome.status == "success", outcome
    assert "+ /bin/sh -e configure" in outcome.logs["configure"]


def test_the_other_way_is_said_where_the_chosen_one_fails(perform: Perform) -> None:
    files = {
        "CMakeLists.txt": 'project(x NONE)\nmessage(FATAL_ERROR "win32/x.rc is missing")\n',
        "configure": "#!/bin/sh\n",
        "Makefile.in": MAKEFILE,
    }
    outcome = perform(files)
    lines = outcome.logs["configure"].splitlines()
    hint = (
        "also possible: configure (configure, written by hand): choose by config.bbot.driver=NAME, "
        "such as configure"
    )
    assert lines[-2:] == ["error: cmake failed with exit status 1", hint]
    assert lines.index(hint) < len(lines) - 1
    assert lines[lines.index(hint) - 1] == "driver: cmake (CMakeLists.txt)"
