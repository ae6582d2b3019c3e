# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs: whatever a build prints becomes a value of a valid manifest, of a bearable size."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from bbot_worker.log import LOG_LIMIT, Log, clean, ecmascript
from bbot_worker.manifest import serialize_manifest
from bbot_worker.progress import Progress
from bbot_worker.result import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
output = st.binary() | st.lists(
    st.sampled_from(
        [
            b"\x1b",
            b"[",
            b"1;31m",
            b"]0;t\x07",
            b"\r",
            b"\n",
            b"\\",
            b"\xe2\x82",
            b"\xac",
            b" ",
            b"x",
        ]
    )
).map(b"".join)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1b[1;31merror:\x1b[0m bad\x1b[K", "error: bad"),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        (b"10%\r50%\r100%\nnext\r\n", "100%\nnext\n"),
        (b"done\r\r\n", "done\n"),
        (b"\xff\xfe\x00\xe2\x82\xac", "\ufffd\ufffd\ufffd€"),
        ("\ufeffa\u200bb\ue000".encode(), "\ufffda\ufffdb\ufffd"),
        (b"tab\there", "tab\there"),
    ],
)
def test_cleaning(data: bytes, text: str) -> None:
    assert clean(data) == text


@quick
@given(st.lists(output, max_size=5))
def test_any_output_makes_a_valid_manifest(pieces: list[bytes]) -> None:
    log = Log(4096)
    for piece in pieces:
        log.feed(piece)
    text = log.close()
    result = Result()
    result.add("update", "success", text)
    manifest = parse(result.serialize())[0]
    assert manifest.pairs[-1].value == text


@quick
@given(st.lists(st.binary(max_size=300), max_size=40), st.integers(300, 2000))
def test_a_log_keeps_its_limit(lines: list[bytes], limit: int) -> None:
    log = Log(limit)
    log.feed(b"\n".join(lines) + b"\n")
    text = log.close()
    assert len(serialize_manifest([("x", text)])) <= limit + 20


def test_the_first_and_the_last_lines_stay() -> None:
    log = Log(10_000)
    for number in range(5000):
        log.feed(b"line %d\n" % number)
    lines = log.close().split("\n")
    assert lines[0] == "line 0"
    assert lines[-1] == "line 4999"
    note = next(line for line in lines if line.startswith("["))
    match = re.fullmatch(r"\[… (\d+) lines \((\d+) bytes\) of this log are not shown …\]", note)
    assert match
    assert int(match[1]) == 5000 - (len(lines) - 1)
    shown = sum(len(line) + 1 for line in lines if line != note)
    assert int(match[2]) + shown == sum(len(f"line {number}\n") for number in range(5000))


def test_a_hostile_log_is_shown_bounded() -> None:
    log = Log()
    piece = b"\\\n\x1b[31m\xff\x00" + b"y" * 500 + b"\r\n"
    for _dummy in range(20_000):
        log.feed(piece)
    text = log.close()
    assert len(serialize_manifest([("update-log", text)])) < LOG_LIMIT + 100


def test_a_line_without_an_end_is_broken_between_characters() -> None:
    log = Log(1 << 20)
    data = "a€".encode() * 60_000
    for start in range(0, len(data), 4093):
        log.feed(data[start : start + 4093])
    text = log.close()
    assert text.count("\n") == 3
    assert text.replace("\n", "") == "a€" * 60_000


def test_lines_are_watched_whole_and_cleaned_for_a_while() -> None:
    seen: list[str] = []
    log = Log()
    log.feed(b"before\n")
    with log.watched(seen.append):
        log.feed(b"\x1b[31mo")
        log.note("ours")
        log.feed(b"ne\ntwo\nrest")
    log.feed(b"after\n")
    assert seen == ["o", "ne", "two", "rest"]


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        (b"warning: x", True),
        (b"a.c:1: warning: x", True),
        (b"\x1b[35mwarning: \x1b[0mx", True),
        (b" warning: x", False),
        (b"no warning", False),
        (b"Warning: x", False),
    ],
)
def test_warnings_are_noticed(line: bytes, warned: bool) -> None:
    log = Log()
    log.feed(b"first\n" + line + b"\nlast\n")
    log.close()
    assert log.warned is warned


def test_warnings_of_our_own_notes_do_not_count() -> None:
    log = Log()
    log.note("warning: x")
    log.close()
    assert not log.warned


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        (r"^.+\(\d+\): warning C\d+:", "a.cpp(12): warning C4100: unused", True),
        (r"a\/b", "a/b", True),
        (r"x$", "x", True),
        (r"[$]", "$", True),
        (r"[[]", "[", True),
        (r"[\[\]]", "]", True),
        (r"^[^]$", "x", True),
        (r"[]", "x", False),
        (r"\d", "٣", False),
        (r"\cI", "\t", True),
        (r"(?=a)a(?!b)", "ac", True),
    ],
)
def test_ecmascript(pattern: str, line: str, found: bool) -> None:
    assert bool(ecmascript(pattern).search(line)) is found


@pytest.mark.parametrize("pattern", ["(", "[[:alpha:]]", "*", "[a"])
def test_patterns_that_cannot_be_used_are_refused(pattern: str) -> None:
    with pytest.raises(re.error):
        ecmascript(pattern)


class TestProgress:
    @pytest.fixture
    def pipe(self) -> tuple[int, int]:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        return reader, writer

    def test_a_port_is_found_by_its_name(self, tmp_path: Path) -> None:
        for port, name in (("vport1p1", "other"), ("vport1p2", "bbot.progress")):
            (tmp_path / "ports" / port).mkdir(parents=True)
            (tmp_path / "ports" / port / "name").write_text(f"{name}\n")
            (tmp_path / port).write_text("")
        progress = Progress.open(str(tmp_path / "ports"), str(tmp_path))
        progress.begin("update")
        progress.end("update", "success", 1.5)
        os.close(progress.descriptor)
        assert (tmp_path / "vport1p2").read_text() == "+update\n-update success 1.50\n"
        assert (tmp_path / "vport1p1").read_text() == ""

    def test_without_a_port_nothing_happens(self, tmp_path: Path) -> None:
        progress = Progress.open(str(tmp_path / "none"), str(tmp_path))
        progress.begin("update")
        progress.show("line")
        assert progress.descriptor is None

    def test_lines_are_cut_and_their_number_limited(
        self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
        progress = Progress(pipe[1])
        progress.show("€" * 400)
        progress.show("\n".join(["line"] * 500))
        progress.end("update", "success", 2)
        lines = os.read(pipe[0], 1 << 20).decode().splitlines()
        assert len(lines[0].encode()) <= Progress.LINE + 1
        assert lines[0].endswith("€…")
        assert lines[1:200] == [" line"] * 199
        assert lines[200:] == [" … 301 lines not shown", "-update success 2.00"]

    def test_a_reader_that_does_not_read_stops_nobody(
        self, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(100_000))
        monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
        progress = Progress(pipe[1])
        for _dummy in range(3000):
            progress.show("x" * 400)
        progress.end("update", "success", 3)
        assert len(progress.pending) < 2 * Progress.BACKLOG
        data = b""
        while progress.pending:
            data += os.read(pipe[0], 1 << 20)
            progress._write("")
        data += os.read(pipe[0], 1 << 20)
        lines = data.decode().splitlines()
        assert lines[-1] == "-update success 3.00"
        assert re.fullmatch(r" … \d+ lines not shown", lines[-2])

    def test_a_port_that_fails_is_given_up(
        self, pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        os.close(pipe[0])
        progress = Progress(pipe[1])
        progress.begin("update")
        assert progress.descriptor is None
        assert "live progress ends" in capsys.readouterr().err
