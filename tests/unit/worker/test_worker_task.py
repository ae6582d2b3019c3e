# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a task to its result, whatever goes wrong between."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import (
    join_words,
    split_words,
)
from bbot_worker import VERSION, guest, main, sources
from bbot_worker import perform as perform_module
from bbot_worker.main import upload
from bbot_worker.progress import Progress
from bbot_worker.result import Result as WorkerResult
from bbot_worker.task import split_words as worker_split_words
from bbot_worker.tftp import TftpError
from hypothesis import given
from hypothesis import strategies as st

Perform = Callable[..., Any]


def script(*lines: str) -> dict[str, str]:
    return {"bbot-build": "\n".join(["#!/bin/sh", *lines, ""])}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_environment_of_a_build(perform: Perform, tmp_path: Path) -> None:
    auxiliary = ("auxiliary-environment", "DATABASE=pg://10.0.0.2/x=y\nnot a variable\n")
    outcome = perform(script("env; cat; pwd"), "config.bbot.jobs=7", auxiliary)
    lines = outcome.logs["update"].splitlines()
    assert f"HOME={tmp_path}/work" in lines
    assert "LANG=C.UTF-8" in lines
    assert "BBOT_JOBS=7" in lines
    assert "DATABASE=pg://10.0.0.2/x=y" in lines
    assert lines[-1] == f"{tmp_path}/work/source"


@pytest.mark.parametrize("signal", ["SEGV", "KILL", "ABRT", "RTMIN"])
def test_a_tool_killed_by_a_signal_is_the_tasks_error(perform: Perform, signal: str) -> None:
    outcome = perform(script(f"kill -{signal} $$"))
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    assert "was killed by signal " in outcome.logs["configure"]


def test_operations_that_were_not_begun_are_there(perform: Perform) -> None:
    names = "config.bbot.operations=configure,update,test,install"
    outcome = perform(script('[ "$1" != update ]'), names)
    assert outcome.operations == ["configure", "update", "test", "install"]
    assert list(outcome.statuses.values()) == ["success", "error", "skip", "skip"]
    assert outcome.status == "error"
    assert outcome.logs["install"] == "not begun: update has failed"


def test_time_is_limited(perform: Perform) -> None:
    started = time.monotonic()
    outcome = perform(script("echo started; sleep 60 & sleep 60"), "config.bbot.timeout=1")
    assert time.monotonic() - started < 30
    assert outcome.statuses["configure"] == outcome.status == "abort"
    assert outcome.logs["configure"].endswith("was ended after 1 seconds")
    assert "started" in outcome.logs["configure"]


def test_time_is_limited_for_the_silent(perform: Perform) -> None:
    outcome = perform(script("exec > /dev/null 2>&1; sleep 60"), "config.bbot.timeout=1")
    assert outcome.status == "abort"


def test_warnings_of_the_task(perform: Perform) -> None:
    regexes = [("warning-regex", r"^.+\(\d+\): warning C\d+:"), ("warning-regex", "(")]
    outcome = perform(script("echo 'a.cpp(12): warning C4100: x'"), "", *regexes)
    assert set(outcome.statuses.values()) == {"warning"}
    assert "warning-regex '(' of the task is not used: missing )" in outcome.logs["update"]


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ("config.bbot.jobs=0", "config.bbot.jobs=0: not a positive whole number"),
        ("config.bbot.jobs=x", "config.bbot.jobs=x: not a positive whole number"),
        ("config.bbot.operations=update,update", "invalid or repeated operation 'update'"),
        ("config.bbot.operations=../x", "invalid or repeated operation '../x'"),
        ("config.bbot.colour=red", "unknown setting config.bbot.colour"),
        ("'unfinished", "unreadable target-config"),
    ],
)
def test_a_wrong_configuration_is_the_tasks_error(
    tmp_path: Path, configuration: str, message: str
) -> None:
    result = work_off(tmp_path, task(f"target-config: {configuration}"))
    assert (result.name, result.version, result.status) == ("libhello", "1.0.0", "error")
    (operation,) = result.operations
    assert operation[:2] == ("configure", "error")
    assert message in operation[2]


class Given:
    """TFTP with what is to be got, and what is to be said of all else; or an error instead."""

    def __init__(
        self,
        files: dict[str, bytes],
        error: Exception | None = None,
        absent: Exception | None = None,
    ) -> None:
        self.files = files
        self.error = error
        self.absent = absent
        self.sent: list[bytes] = []

    def get(self, name: str, file: io.BytesIO, patience: float = 0) -> int:
        if self.error:
            raise self.error
        if name not in self.files and self.absent:
            raise self.absent
        return file.write(self.files[name])

    def put(self, name: str, file: io.BytesIO, patience: float = 0) -> None:
        if self.error:
            raise self.error
        self.sent.append(file.read())


def task(*lines: str) -> bytes:
    return "\n".join([": 1", "name: libhello", "version: 1.0.0", *lines, ""]).encode()


def work_off(work: Path, manifest: bytes, **files: bytes) -> Any:
    # As a machine that was booted: nothing tells it that it was resumed.
    given = Given({"manifest": manifest, **files}, absent=TftpError("no such file", 1))
    return main.work_off(given, str(work / "work"), Progress())


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (b"", "one task manifest expected, not 0"),
        (b": 1\nname: a\nversion: 1\n:\nname: b\n", "one task manifest expected, not 2"),
        (b": 1\nname: a\n", "no name or no version in the task manifest"),
        (b"\xff", "the task is unreadable: manifest:1: error: invalid UTF-8"),
    ],
)
def test_an_unreadable_task(tmp_path: Path, manifest: bytes, message: str) -> None:
    result = work_off(tmp_path, manifest)
    record = Result.from_manifest(parse(result.serialize())[0])
    assert (record.name, record.version, record.status.value) == ("unknown", "0", "abnormal")
    assert message in result.operations[0][2]


def test_a_task_that_does_not_come(tmp_path: Path) -> None:
    given = Given({}, TftpError("no answer"))
    result = main.work_off(given, str(tmp_path), Progress())
    assert (result.name, result.version, result.status) == ("unknown", "0", "abnormal")
    assert result.operations[0][2] == "error: cannot get the task: no answer"


def test_a_crash_of_the_worker_is_abnormal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_arguments: object) -> None:
        raise RuntimeError("a defect \x1b[1m")

    monkeypatch.setattr(sources, "fetch_source", crash)
    result = work_off(tmp_path, task("repository-url: tftp:x"))
    record = Result.from_manifest(parse(result.serialize())[0])
    assert (record.name, record.version, record.status.value) == ("libhello", "1.0.0", "abnormal")
    statuses = {name: status.value for name, status in record.statuses.items()}
    assert statuses == {"configure": "abnormal", "update": "skip", "test": "skip"}
    assert "Traceback" in record.logs["configure"]
    assert "RuntimeError: a defect" in record.logs["configure"]


def test_a_crash_outside_of_an_operation_is_abnormal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perform_module, "Account", None)
    result = work_off(tmp_path, task("repository-url: tftp:x"))
    assert [entry[:2] for entry in result.operations] == [("worker", "abnormal")]
    assert "TypeError" in result.operations[0][2]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_an_operation_that_cannot_begin_is_in_the_result(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    begun: list[object] = []

    def fail_at_the_second(*_arguments: object) -> guest.Guest:
        begun.append(1)
        if len(begun) == 2:
            raise error
        return guest.Guest("/")

    monkeypatch.setattr(perform_module, "Guest", fail_at_the_second)
    outcome = perform(script("true"))
    assert outcome.statuses == {"configure": "success", "update": "abnormal", "test": "skip"}
    assert outcome.status == "abnormal"


def test_the_order_of_a_result() -> None:
    result = WorkerResult()
    result.name, result.version = "a", "1"
    result.add("update", "success", "one\ntwo")
    result.add("test", "error", "")
    names = [pair.name for pair in parse(result.serialize())[0]]
    assert names == [
        *("name", "version", "status", "update-status", "test-status", "update-log", "test-log")
    ]
    assert result.status == "error"


def test_all_logs_together_keep_the_controllers_limit(perform: Perform, tmp_path: Path) -> None:
    names = ",".join(f"op{number}" for number in range(12))
    command = "yes 'a line of the log that says nothing' | head -c 2000000"
    outcome = perform(script(command), f"config.bbot.operations={names}")
    assert len(outcome.logs) == 12
    assert 8 << 20 < sum(len(log) for log in outcome.logs.values()) < 9 << 20


def test_an_upload_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given({})
    answers = iter([TftpError("lost"), None])
    monkeypatch.setattr(time, "sleep", lambda _: setattr(given, "error", next(answers)))
    given.error = TftpError("lost")
    assert upload(given, WorkerResult(), "")
    assert len(given.sent) == 1


def test_an_upload_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert not upload(Given({}, TftpError("lost")), WorkerResult(), "")


class TestCommandLine:
    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = Path(__file__).parents[3] / "roles" / "toolchain" / "worker"
        return subprocess.run(
            [sys.executable, "-I", "-S", str(path), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_bootstrap(self) -> None:
        assert self.run("--bootstrap").stdout == f": 1\nbbot-version: {VERSION}\n"

    def test_version(self) -> None:
        assert self.run("--version").stdout == f"bbot-worker {VERSION}\n"

    @pytest.mark.parametrize(
        "arguments",
        [[], ["--nonsense"], ["--startup", "--build"], ["--startup", "--tftp-host", "a:b"]],
    )
    def test_misuse(self, arguments: list[str]) -> None:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "bbot-worker" in done.stderr


@given(st.text(st.sampled_from("ab \t\n\r'\"\\#$=é"), max_size=20))
def test_words_are_those_of_the_agent(text: str) -> None:
    try:
        expected = split_words(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"[Nn]o closing quotation"):
            worker_split_words(text)
    else:
        assert worker_split_words(text) == expected


@given(st.lists(st.text(st.sampled_from("ab \n'\"\\#$="), max_size=8), max_size=5))
def test_words_that_the_agent_joins_are_split_again(words: list[str]) -> None:
    assert worker_split_words(join_words(words)) == words
