# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Go, with this host's own and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Perform = Callable[..., Any]

NEEDY = {
    "go.mod": "module example.org/x\n\ngo 1.19\n\nrequire example.org/helper v1.0.0\n",
    "x.go": 'package main\n\nimport "example.org/helper"\n\nfunc main() { print(helper.Answer) }\n',
}
VENDOR = {
    "vendor/modules.txt": "# example.org/helper v1.0.0\n## explicit\nexample.org/helper\n",
    "vendor/example.org/helper/helper.go": "package helper\n\nconst Answer = 42\n",
}


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_vendored_modules(perform: Perform, tmp_path: Path) -> None:
    outcome = perform({**NEEDY, **VENDOR}, "config.bbot.operations=configure,update,test,install")
    assert outcome.statuses == {
        "configure": "success",
        "update": "success",
        "test": "warning",
        "install": "success",
    }, outcome
    assert "all modules are in the folder vendor" in outcome.logs["configure"]
    assert "warning: no tests were run: the runner found none" in outcome.logs["test"]
    assert (tmp_path / "work" / "installed" / "bin" / "x").exists()


def test_a_module_that_cannot_be_had_is_named(perform: Perform) -> None:
    outcome = perform(NEEDY, "config.bbot.index=http://127.0.0.1:9/")
    assert outcome.statuses["configure"] == "error"
    assert (
        "error: cannot have the modules example.org/helper@v1.0.0: bring them with the sources "
        "(go mod vendor), let the machine reach the network (egress), or name an index"
    ) in outcome.logs["configure"]


def test_a_module_file_that_is_wrong_is_no_matter_of_networks(perform: Perform) -> None:
    outcome = perform({"go.mod": "module example.org/x\nnonsense\n"})
    assert outcome.statuses["configure"] == "error"
    assert "unknown directive: nonsense" in outcome.logs["configure"]
    assert "error: go failed with exit status 1" in outcome.logs["configure"]


def test_words_are_for_build_and_tests(perform: Perform) -> None:
    tagged = "//go:build special\n\npackage x\n\n"
    test = tagged + 'import "testing"\n\nfunc TestSpecial(t *testing.T) { }\n'
    files = {"go.mod": "module example.org/x\n\ngo 1.19\n", "x.go": "package x\n"}
    outcome = perform({**files, "x_test.go": test}, "-tags=special")
    assert outcome.status == "success", outcome
    assert "go build -tags=special ./..." in outcome.logs["update"]
