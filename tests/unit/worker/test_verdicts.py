# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verdict says is true: kinds of project x what can be the matter with one."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.progress import Progress
from kinds.table import CASES, Kind, all_kinds

KINDS = all_kinds()

# Seconds for what comes before a test that hangs.
LONG = 180


@dataclass
class Verdict:
    """What is expected of a case: the status of its operation, whose fault it is, what is said."""

    status: str
    culprit: str
    said: str
    operation: str = ""


VERDICTS = {
    "good": Verdict("success", "none", ""),
    "broken": Verdict("error", "task", "^error: .*failed"),
    "none": Verdict("warning", "none", "^warning: no tests were run: "),
    "crash": Verdict("error", "task", r"SIGSEGV|Segmentation fault|SEGFAULT|signal:? 11"),
    "hang": Verdict("abort", "task", "^error: .* was ended after {seconds} seconds"),
    "disk": Verdict("error", "task", "^error: out of disk: "),
    "tool": Verdict(
        "error",
        "task",
        "^error: this machine has no {tool}, which the {driver} driver needs: images of the "
        "flavour '{flavour}' have it",
        "configure",
    ),
}

# By the agent's rules: what the machine is blamed for is abnormal.
CULPRITS = {"success": "none", "warning": "none", "error": "task", "abort": "task"}


class Impatient(Progress):
    """Has time run out soon for the tests, but not for what comes before them."""

    def __init__(self, kind: Kind, settings: dict[str, str]) -> None:
        super().__init__()
        self._kind = kind
        self._settings = settings

    def begin(self, operation: str) -> None:
        is_testing = operation == self._kind.operation
        self._settings["timeout"] = str(self._kind.seconds if is_testing else LONG)


@pytest.fixture(name="small_disk")
def small_disk_fixture(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Make a directory on a file system of its own, of so many MiB."""
    place = tmp_path / "small"

    def mount(size: int) -> Path:
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0755", "tmpfs", str(place)]
        subprocess.run(command, check=True)
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


# The cases in which a driver's own knowledge decides. In the others the same code does for all.
TELLING = ("good", "broken", "none")
WHOLE = ("script", "make", "python-pytest", "cargo")


def is_long(name: str, case: str) -> bool:
    """Whether the case is run by ``-m long`` only, for the sake of time."""
    return KINDS[name].dear or not (case in TELLING or name in WHOLE)


# A script needs no tool that we would know of.
TABLE = [
    pytest.param(name, case, marks=[pytest.mark.long] if is_long(name, case) else [])
    for name, kind in KINDS.items()
    for case in CASES
    if case != "tool" or kind.tool
]


@pytest.mark.parametrize(("name", "case"), TABLE)
def test_the_verdict_is_true(
    name: str,
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    perform: Callable[..., Any],
    small_disk: Callable[[int], Path],
) -> None:
    kind = KINDS[name]
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
    if case == "tool":
        take_away(kind.tool, monkeypatch)
    place = small_disk(kind.disk) if case == "disk" else tmp_path
    outcome = perform(
        kind.project(case),
        kind.configuration,
        work=place / "work",
        progress=functools.partial(Impatient, kind) if case == "hang" else None,
    )
    check(name, kind, case, outcome)


def take_away(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the machine not find *tool*."""
    find = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda program, *more: None if program == tool else find(program, *more)
    )


def check(name: str, kind: Kind, case: str, outcome: Any) -> None:
    expected = VERDICTS[case]
    driver = kind.driver or name
    operation = expected.operation or ("test" if case in ("good", "none") else kind.operation)
    assert outcome.statuses[operation] == expected.status, outcome
    assert CULPRITS[outcome.statuses[operation]] == expected.culprit
    assert outcome.operations == ["configure", "update", "test"], outcome
    said = kind.said.get(case) or expected.said.format(
        tool=re.escape(kind.tool), driver=driver, flavour=kind.flavour, seconds=kind.seconds
    )
    log = outcome.logs[operation]
    assert re.search(said, log, re.MULTILINE), f"{said!r} is not said:\n{log}"
    if case == "tool":
        assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
        return
    assert outcome.report["driver"] == driver
    assert set(outcome.statuses) == {"configure", "update", "test"}
    tests = outcome.report.get("tests", {}).get(operation)
    numbers = (
        None if tests is None else tuple(tests[key] for key in ("passed", "failed", "skipped"))
    )
    if case == "good":
        assert numbers == kind.counts
    elif case == "none":
        assert numbers is not None and numbers[:2] == (0, 0)
    elif case == "broken" and kind.counts is not None:
        assert numbers is not None and numbers[1] >= 1, outcome
        assert tests["first_failure"]["name"]
