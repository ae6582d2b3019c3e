# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for JavaScript, with this host's tools and without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Perform = Callable[..., Any]

NOWHERE = "config.bbot.index=http://127.0.0.1:9/"


def package(**fields: Any) -> dict[str, str]:
    return {"package.json": json.dumps({"name": "sample", "version": "1.0.0", **fields})}


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


@pytest.mark.parametrize(
    "scripts", [{}, {"test": 'echo "Error: no test specified" && exit 1'}, {"test": 1}, [], None]
)
def test_no_tests(perform: Perform, scripts: Any) -> None:
    outcome = perform(package(scripts=scripts))
    assert outcome.statuses["test"] == "warning", outcome
    assert "no tests were run: package.json has no script 'test'" in outcome.logs["test"]


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("echo 'No tests found, exiting with code 1'; exit 1", "warning", "No tests found"),
        ("echo 'Error: No test files found: \"test\"'; exit 1", "warning", "No test files found"),
        ("echo ' 3 passing'; echo 'No tests found, exiting'; exit 1", "error", "npm failed"),
        ("no-such-runner --now", "error", "the script 'test' needs what is not there: no-such-"),
        ("exit 3", "error", "error: npm failed with exit status 3"),
        ("echo all is well", "success", ""),
    ],
)
def test_what_runners_say(perform: Perform, command: str, status: str, said: str) -> None:
    outcome = perform(package(scripts={"test": command}))
    assert outcome.statuses["test"] == status, outcome
    assert said in outcome.logs["test"]


def test_it_is_built_and_packed(perform: Perform) -> None:
    scripts = {
        "build": "echo 'exports.answer = 42' > built.js",
        "test": "node -e 'require(\"./built\")'",
    }
    outcome = perform(
        package(scripts=scripts, main="built.js"),
        "config.bbot.operations=configure,update,test,install",
    )
    assert outcome.status == "success", outcome
    assert [each["path"] for each in outcome.report["artifacts"]] == ["sample-1.0.0.tgz"]


def test_dependencies_that_cannot_be_had_are_named(perform: Perform) -> None:
    outcome = perform(package(dependencies={"left": "1"}, devDependencies={"right": "2"}), NOWHERE)
    assert outcome.statuses["configure"] == "error"
    assert (
        "error: cannot have the packages left, right: let the machine reach the network (egress), "
        "or name an index that it reaches (config.bbot.index)"
    ) in outcome.logs["configure"]


def test_dependencies_that_are_there_are_used(perform: Perform) -> None:
    files = package(dependencies={"left": "1"}, scripts={"test": "node -e 'require(\"left\")'"})
    outcome = perform({**files, "node_modules/left/index.js": ""}, NOWHERE)
    assert outcome.status == "success", outcome
    assert "the dependencies are in the folder node_modules" in outcome.logs["configure"]


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"package-lock.json": "{}"}, "npm ci --no-audit"),
        ({}, "npm install --no-audit"),
        ({"pnpm-lock.yaml": ""}, "--package=pnpm --fetch-retries=1"),
        ({"yarn.lock": "", ".yarnrc.yml": "yarnPath: .yarn/y.cjs\n"}, "node .yarn/y.cjs install"),
        ({"yarn.lock": ""}, "--package=@yarnpkg/cli-dist@3.1.0 --fetch-retries=1"),
    ],
)
def test_the_package_manager_is_that_of_the_lock(
    perform: Perform, files: dict[str, str], command: str
) -> None:
    named = {"packageManager": "yarn@3.1.0+sha.1"} if "yarn.lock" in files else {}
    tree = {**package(dependencies={"left": "1"}, **named), **files}
    outcome = perform(tree, NOWHERE)
    assert outcome.statuses["configure"] == "error"
    assert command in outcome.logs["configure"], outcome


def test_the_older_yarn(perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yarn = tmp_path / "bin" / "yarnpkg"
    yarn.parent.mkdir()
    yarn.write_text("#!/bin/sh\necho $0 $*\n")
    yarn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{yarn.parent}:/usr/bin:/bin")
    files = {**package(dependencies={"left": "1"}), "yarn.lock": "# yarn lockfile v1\n"}
    outcome = perform(files)
    assert "yarnpkg install --non-interactive --frozen-lockfile" in outcome.logs["configure"]
