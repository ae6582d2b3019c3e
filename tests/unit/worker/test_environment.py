# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that a task names is that of its commands, or there is a sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import environment

Perform = Callable[..., Any]
SCRIPT = {"bbot-build": "#!/bin/sh\nenv\n"}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "environments"
    folder.mkdir()
    (tmp_path / "toolchain").mkdir()
    found = ((str(folder), ""), (str(tmp_path / "toolchain"), "environment-"))
    monkeypatch.setattr(environment, "PLACES", found)
    return folder


def test_commands_of_all_operations_have_what_it_exports(perform: Perform, places: Path) -> None:
    (places / "gcc_13-O3").write_text(
        'export CC=gcc-13 CFLAGS="-O3\n-g"\nlocal=1\nexport TOO="$CC $BBOT_NAME"\necho said\n'
    )
    outcome = perform(SCRIPT, "", ("environment", "gcc_13-O3"))
    assert outcome.status == "success", outcome
    for operation in ("configure", "update", "test"):
        lines = outcome.logs[operation].splitlines()
        assert {"CC=gcc-13", "CFLAGS=-O3", "-g", "TOO=gcc-13 libhello"} <= set(lines)
        assert f"BBOT_OPERATION={operation}" in lines
        assert not any(line.startswith("local=") for line in lines)
    assert "said" in outcome.logs["configure"].splitlines()


def test_the_toolchain_may_have_environments(perform: Perform, tmp_path: Path) -> None:
    (tmp_path / "toolchain/environment-clang").write_text("export CC=clang\n")
    outcome = perform(SCRIPT, "", ("environment", "clang"))
    assert "CC=clang" in outcome.logs["test"].splitlines()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "none",
            "no environment 'none', neither as {0}/none nor as {1}/environment-none; it has: ",
        ),
        ("../x", "'../x' is no name of an environment"),
        ("bad", "sh failed with exit status 7"),
    ],
)
def test_an_environment_that_cannot_be_had(
    perform: Perform, places: Path, tmp_path: Path, name: str, message: str
) -> None:
    (places / "bad").write_text("exit 7\n")
    outcome = perform(SCRIPT, "", ("environment", name))
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    assert message.format(places, tmp_path / "toolchain") in outcome.logs["configure"]
    if name == "none":
        assert "it has: bad" in outcome.logs["configure"]


@pytest.mark.parametrize(
    ("machine", "target", "status"),
    [
        ("x86_64", "", "success"),
        ("x86_64", "x86_64-linux-gnu", "success"),
        ("x86_64", "amd64-linux", "success"),
        ("x86_64", "aarch64-linux-gnu", "error"),
        ("x86_64", "i686-linux-gnu", "error"),
        ("aarch64", "x86_64-linux-gnu", "error"),
        ("x86_64", "whatever", "success"),
    ],
)
def test_the_targets_architecture(
    perform: Perform,
    places: Path,
    machine: str,
    target: str,
    status: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [*os.uname()[:4], machine]
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(names))
    outcome = perform(SCRIPT, "", ("target", target))
    assert outcome.status == status
    if status == "error":
        sentence = f"the task's target is {target}, and this machine is {machine}"
        assert sentence in outcome.logs["configure"]
        (places / "cross").write_text("export CC=cross\n")
        more = [("target", target), ("environment", "cross")]
        assert perform(SCRIPT, "", *more).status == "success"
