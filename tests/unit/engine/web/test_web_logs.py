# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows into logs of any size, and the first error in them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.folder import Folder, NoFile
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.logs import (
    WINDOW,
    Errors,
    tail,
    window,
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "task").mkdir()
    return Folder(str(tmp_path / "task"), str(tmp_path))


def write(folder: Folder, content: bytes, name: str = "a.log") -> None:
    (Path(folder.path) / name).write_bytes(content)


LINES = [f"line {number} {'x' * (number % 90)}\n" for number in range(5000)]


def test_windows_are_of_whole_lines(folder: Folder) -> None:
    content = "".join(LINES)
    write(folder, content.encode())
    whole, at = "", 0
    while True:
        shown = window(folder, "a.log", at)
        assert shown.start == at and shown.end - shown.start <= WINDOW
        assert shown.text.endswith("\n")
        whole += shown.text
        at = shown.end
        if at == shown.size:
            break
    assert whole == content
    last = window(folder, "a.log", -1)
    assert last.end == last.size and content.endswith(last.text)
    assert last.text.startswith("line ")
    # In the midst of a line: from the next one on.
    assert window(folder, "a.log", 3).text.startswith(LINES[1])


@pytest.mark.parametrize("at", [-1, 0, 5, WINDOW, 1 << 40])
def test_a_line_that_never_ends(folder: Folder, at: int) -> None:
    write(folder, b"y" * (3 * WINDOW))
    shown = window(folder, "a.log", at)
    assert set(shown.text) <= {"y"} and len(shown.text) <= WINDOW
    assert (shown.start, shown.end) == {
        -1: (2 * WINDOW, 3 * WINDOW),
        1 << 40: (3 * WINDOW,) * 2,
    }.get(at, (at, at + WINDOW))


def test_an_empty_log(folder: Folder) -> None:
    write(folder, b"")
    shown = window(folder, "a.log", -1)
    assert (shown.text, shown.start, shown.end, shown.size) == ("", 0, 0, 0)


def test_the_end(folder: Folder) -> None:
    write(folder, "".join(LINES).encode())
    assert tail(folder, "a.log", 2048, 3) == [line.rstrip("\n") for line in LINES[-3:]]
    assert tail(folder, "none", 2048, 3) == []
    write(folder, b"z" * 9000)
    assert tail(folder, "a.log", 2048, 3) == ["z" * 2048]


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (b"", b"a.c:1:2: error: 'x' undeclared"),
        (b"checking for error.h... no\n0 errors\n+ cat error\n", b"make: *** [all] Error 1"),
        (b"x" * 3_000_000 + b"\n", b"fatal: not a git repository"),
        (b"ok\n" * 700_000, b"Segmentation fault"),
    ],
    ids=["first", "behind what only seems so", "behind a huge line", "behind many lines"],
)
def test_the_first_error(folder: Folder, before: bytes, line: bytes) -> None:
    write(folder, before + line + b"\nerror: another\n")
    found = Errors().first(folder, "a.log")
    assert found is not None
    assert (found.place, found.line) == (len(before), line.decode())
    shown = window(folder, "a.log", max(0, found.place - WINDOW // 4), found.place)
    assert shown.mark is not None
    assert shown.text.split("\n")[shown.mark].endswith(line.decode())


def test_an_error_that_goes_on(folder: Folder) -> None:
    write(folder, b"CMake Error at x:2 (add_library):\n  C_STANDARD is '23'\n\nerror: no\n")
    found = Errors().first(folder, "a.log")
    assert found is not None
    assert (found.place, found.line) == (0, "CMake Error at x:2 (add_library): C_STANDARD is '23'")


def test_no_error(folder: Folder) -> None:
    write(folder, b"all is well\n" * 100_000)
    assert Errors().first(folder, "a.log") is None
    with pytest.raises(NoFile):
        Errors().first(folder, "none")


def test_an_error_is_found_anew_when_the_log_has_grown(folder: Folder) -> None:
    errors = Errors()
    write(folder, b"fine\n")
    assert errors.first(folder, "a.log") is None
    write(folder, b"fine\nerror: now\n")
    found = errors.first(folder, "a.log")
    assert found is not None and found.line == "error: now"


@pytest.mark.parametrize(
    "content",
    [b"no errors\n" * 2_000_000, b"0 errors " * 2_000_000, b"\x1b[error" * 2_000_000],
    ids=["lines", "one line", "escapes"],
)
def test_no_log_takes_long(folder: Folder, content: bytes) -> None:
    write(folder, content)
    began = time.perf_counter()
    Errors().first(folder, "a.log")
    window(folder, "a.log", -1)
    assert time.perf_counter() - began < 4
