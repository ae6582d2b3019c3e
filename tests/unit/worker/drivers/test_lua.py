# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Lua, with this host's own rocks and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kinds.lang import KINDS

Perform = Callable[..., Any]

GOOD = KINDS["lua"].project("good")
ROCKSPEC = "sample-1.0-1.rockspec"
NOWHERE = "config.bbot.index=http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_it_is_installed(perform: Perform, tmp_path: Path) -> None:
    outcome = perform(GOOD, "config.bbot.operations=configure,update,test,install")
    assert outcome.status == "success", outcome
    assert list((tmp_path / "work" / "installed").rglob("sample.lua"))


def test_the_tests_of_the_rockspec(perform: Perform) -> None:
    tested = GOOD[ROCKSPEC] + "test = { type = 'command', script = 'checks.lua' }\n"
    checks = "assert(require('sample').answer == %d)\nprint('1..1') print('ok 1 - answers')\n"
    files = {**GOOD, ROCKSPEC: tested, "checks.lua": checks % 42}
    outcome = perform(files)
    assert " luarocks test sample-1.0-1.rockspec\n" in outcome.logs["test"], outcome
    assert outcome.status == "success", outcome
    assert outcome.report["tests"]["test"]["passed"] == 1
    assert perform({**files, "checks.lua": checks % 41}).statuses["test"] == "error"


def test_the_rockspec_of_the_sources_as_they_are(perform: Perform) -> None:
    scm = GOOD[ROCKSPEC].replace("1.0-1", "scm-1")
    outcome = perform({**GOOD, "sample-scm-1.rockspec": scm})
    assert "sample-scm-1.rockspec" in outcome.logs["update"], outcome


def test_a_rock_that_cannot_be_had_is_named(perform: Perform) -> None:
    needy = GOOD[ROCKSPEC] + "dependencies = { 'lua >= 5.1', 'no-such-rock >= 2' }\n"
    outcome = perform({**GOOD, ROCKSPEC: needy}, NOWHERE)
    assert outcome.statuses["update"] == "error"
    assert (
        "error: cannot have the rocks no-such-rock: have them in the image "
        "(machine_image_extra_packages: lua-NAME)"
    ) in outcome.logs["update"], outcome


def test_a_rockspec_that_is_wrong(perform: Perform) -> None:
    outcome = perform({**GOOD, ROCKSPEC: "package = {}\n"})
    assert outcome.statuses["configure"] == "error"
    assert "error: luarocks does not understand it: " in outcome.logs["configure"]
