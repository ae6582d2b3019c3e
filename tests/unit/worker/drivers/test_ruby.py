# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Ruby, with this host's own gems and without a network."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kinds.lang import KINDS

Perform = Callable[..., Any]

GOOD = KINDS["ruby"].project("good")
ALL = "config.bbot.operations=configure,update,test,install"


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_the_gem_is_built_and_installed(perform: Perform, tmp_path: Path) -> None:
    outcome = perform(GOOD, ALL)
    assert outcome.status == "success", outcome
    installed = tmp_path / "work" / "installed" / "gems" / "sample-1.0.0" / "lib" / "sample.rb"
    assert installed.exists()
    assert "build/sample.gem" in [each["path"] for each in outcome.report["artifacts"]]


def test_a_gem_that_asks_git_for_its_files_is_not_empty(perform: Perform, tmp_path: Path) -> None:
    gemspec = GOOD["sample.gemspec"].replace("['lib/sample.rb']", "`git ls-files`.split")
    outcome = perform({**GOOD, "sample.gemspec": gemspec})
    assert outcome.statuses["update"] == "success", outcome
    gem = tmp_path / "work" / "build" / "sample.gem"
    listed = subprocess.run(["tar", "-xOf", gem, "data.tar.gz"], capture_output=True, check=True)
    names = subprocess.run(["tar", "-tz"], input=listed.stdout, capture_output=True, check=True)
    assert b"lib/sample.rb" in names.stdout.split()


RAKEFILE = "task(:%s) { ruby '-Ilib', 'checks/sample.rb' }\n"


@pytest.mark.parametrize("task", ["test", "spec"])
def test_the_task_of_the_rakefile(perform: Perform, task: str) -> None:
    checks = GOOD["test/test_sample.rb"]
    files = {**GOOD, "Rakefile": RAKEFILE % task, "checks/sample.rb": checks}
    outcome = perform(files)
    assert f" rake {task}\n" in outcome.logs["test"], outcome
    assert outcome.report["tests"]["test"]["passed"] == 1


def test_a_rakefile_without_tests(perform: Perform) -> None:
    files = {**GOOD, "Rakefile": "task(:build) { }\n"}
    del files["test/test_sample.rb"]
    outcome = perform(files)
    assert outcome.statuses["test"] == "warning"
    assert "no tests were run: there is no task test or spec" in outcome.logs["test"]


def test_a_library_that_is_not_there_is_named(perform: Perform) -> None:
    checks = "require 'no_such_gem'\n"
    outcome = perform({**GOOD, "test/test_sample.rb": checks})
    assert outcome.statuses["test"] == "error"
    assert (
        "error: cannot have no_such_gem: bring them with the sources (vendor/bundle), have them in "
        "the image (machine_image_extra_packages: ruby-NAME)"
    ) in outcome.logs["test"]
