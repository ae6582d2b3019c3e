# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that do not outlive us, and what they hand over."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import spawn as _spawn
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.spawn import (
    SpawnError,
    hand_over,
    spawn,
)


def test_descriptors_come_in_their_order() -> None:
    def work() -> list[int]:
        fds = []
        for text in (b"one", b"two"):
            fds.append(os.memfd_create("x"))
            os.write(fds[-1], text + str(os.getpid()).encode())
        return fds

    first, second = hand_over(work, 10)
    try:
        texts = [os.pread(fd, 100, 0) for fd in (first, second)]
        assert [text[:3] for text in texts] == [b"one", b"two"]
        # It was another process, which is gone.
        pid = int(texts[0][3:])
        assert pid != os.getpid()
        assert not Path(f"/proc/{pid}").exists()
        assert not os.get_inheritable(first)
    finally:
        os.close(first)
        os.close(second)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineError("it is so"), "it is so"),
        (PermissionError(1, "Operation not permitted"), "Operation not permitted"),
        (MemoryError(), "no memory left"),
        (ValueError("odd"), "internal error: ValueError: odd"),
        (KeyError("\udcff"), "internal error: KeyError"),
        (KeyboardInterrupt(), "its process ended without a word"),
    ],
    ids=["engine", "os", "memory", "defect", "surrogate", "interrupt"],
)
def test_what_it_raises_is_said_here(error: BaseException, words: str) -> None:
    def work() -> list[int]:
        raise error

    with pytest.raises(SpawnError, match=words):
        hand_over(work, 10)


@pytest.mark.parametrize("status", [None, 0, 3])
def test_one_that_dies(status: int | None) -> None:
    def work() -> list[int]:
        if status is not None:
            os._exit(status)
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    with pytest.raises(SpawnError, match="its process ended without a word"):
        hand_over(work, 10)


def test_one_that_never_ends() -> None:
    def work() -> list[int]:
        for each in range(1, 32):
            if each not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(each, signal.SIG_IGN)
        time.sleep(600)
        return []

    began = time.monotonic()
    with pytest.raises(SpawnError, match=r"it took longer than 0\.3 s"):
        hand_over(work, 0.3)
    assert time.monotonic() - began < 5


def test_more_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spawn, "_MOST", 1)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SpawnError, match="too many files open"):
        hand_over(lambda: [os.memfd_create("x") for _dummy in range(9)], 10)
    assert os.listdir("/proc/self/fd") == before


def test_a_program(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT, 0o600)
    passed = os.memfd_create("passed")
    kept_back = os.memfd_create("kept back")
    script = "import os; print(os.getcwd(), *sorted(os.listdir('/proc/self/fd'), key=int)[3:])"
    pid = spawn(sys.executable, ["-c", script], directory=str(tmp_path), output=log, keep=[passed])
    assert os.waitpid(pid, 0)[1] == 0
    for fd in (log, passed, kept_back):
        os.close(fd)
    place, *fds = (tmp_path / "log").read_text().split()
    assert place == str(tmp_path)
    # One more is that of the listing itself.
    assert str(passed) in fds
    assert len(fds) == 2


@pytest.mark.parametrize(
    ("program", "directory", "words"),
    [
        ("/nonexistent", "/", "cannot start /nonexistent: No such file or directory: /nonexistent"),
        (sys.executable, "/nonexistent", "No such file or directory: /nonexistent"),
    ],
)
def test_a_program_that_cannot_be_started(program: str, directory: str, words: str) -> None:
    with pytest.raises(SpawnError, match=words):
        spawn(program, [], directory=directory, output=1)
