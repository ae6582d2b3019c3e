# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest says: behind a prefix, and never too much of it."""

from __future__ import annotations

import io

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.bounded_file import (
    BoundedFile,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.guest_lines import (
    GuestLines,
    Refusals,
    cut,
)


class Clock:
    """Stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


FORGED = ["error: call me", "warning: w", "info: i", "phase down", "=== end", "<3>error: x", ""]


@pytest.mark.parametrize("line", FORGED)
@pytest.mark.parametrize("context", ["", "task x/1 on machine m: "])
def test_a_guest_forges_no_priority(line: str, context: str) -> None:
    said = io.StringIO()
    diagnostics = Diagnostics(2, systemd=True, stream=said)
    GuestLines(lambda text: diagnostics.report(text, context)).say(line)
    assert said.getvalue() == f"<7>{context}| {line}\n"


def test_a_flood_of_lines_is_counted() -> None:
    told: list[str] = []
    clock = Clock()
    lines = GuestLines(told.append, clock=clock)
    for number in range(5000):
        lines.say(str(number))
    assert told == [f"| {number}" for number in range(1000)]
    clock.now += 1
    lines.say("again")
    assert told[1000:] == ["| [4000 lines of the machine are left out here]", "| again"]
    for _dummy in range(100):
        lines.say("more")
    lines.close()
    lines.close()
    assert told[1002:] == ["| more"] * 49 + ["| [51 lines of the machine are left out here]"]


def test_bytes_are_limited_however_slowly_they_come() -> None:
    told: list[str] = []
    clock = Clock()
    lines = GuestLines(told.append, clock=clock, most_bytes=10_000)
    for _dummy in range(10_000):
        clock.now += 60
        lines.say("ä" * 100_000)
    lines.close()
    assert sum(len(line.encode()) for line in told) < 10_100
    assert max(map(len, told)) <= 502


def test_the_first_refusals_are_told_and_the_others_counted() -> None:
    told: list[str] = []
    refusals = Refusals(told.append, most=2)
    for number in range(5):
        refusals.tell("put", f"{number}" + "n" * 2000, "error: no\nwarning: no" + "e" * 2000)
    refusals.close()
    assert len(told) == 3
    assert all(line.startswith("| tftp") and len(line) < 350 and "\n" not in line for line in told)
    assert told[2] == "| tftp: 3 more transfers were refused or failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a\n b\tc", "a b c"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "x" * 9 + "…"),
        (" " * 100 + "x", "…"),
        ("y" * 10_000_000, "y" * 9 + "…"),
    ],
)
def test_what_is_long_is_cut(text: str, expected: str) -> None:
    assert cut(text, 10) == expected


def test_a_file_does_not_outgrow_its_limit(tmp_path) -> None:
    path = tmp_path / "log"
    for _dummy in range(2):
        file = BoundedFile(str(path), 100)
        for _dummy in range(50):
            file.write("a line")
        file.write("the end", always=True)
        file.close()
        file.close()
    lines = path.read_text().splitlines()
    assert lines == ["a line"] * 14 + ["[cut here: 100 bytes are kept]", "the end", "the end"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_is_none(tmp_path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("none/log", "link"):
        file = BoundedFile(str(tmp_path / name))
        file.write("x")
        file.close()
    assert not (tmp_path / "elsewhere").exists()
