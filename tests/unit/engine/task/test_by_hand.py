# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task that a person does: by a worker's TFTP or by a file, at any time, or never."""

from __future__ import annotations

import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import Journal
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import Interrupted
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.task import by_hand as _by_hand
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.by_hand import perform_by_hand
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import (
    Booking,
    Outcome,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits

TASK = Task(name="hello", version="1.0", repository_url="https://x/", machine="m1")


class Site:
    def __init__(self, root: Path) -> None:
        self.lines: list[str] = []
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", None),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
            report=self.lines.append,
        )
        self.folder = root / "tftp" / "build" / "default"
        self.journal = Journal(str(root / "state" / "journal.sqlite"))
        self.number = self.journal.note(TASK, toolchain="default")

    def perform(self, alive: t.Callable[[], bool]) -> Outcome:
        booking = Booking(self.journal, self.number, awaited=False)
        return perform_by_hand(self.host, TASK, "default", 0, Limits(), alive, booking)

    def sends(self, content: str | bytes) -> t.Callable[[], bool]:
        """A person who puts a file there as soon as somebody waits for it."""

        def alive() -> bool:
            assert Task.parse((self.folder / "get" / "manifest").read_bytes(), "x") == TASK
            data = content.encode() if isinstance(content, str) else content
            (self.folder / "put" / "manifest").write_bytes(data)
            return True

        return alive


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(_by_hand, "_INTERVAL", 0.01)
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("content", "status", "culprit", "reason"),
    [
        (Result("hello", "1.0", Status.SUCCESS).to_text(), "success", "none", ""),
        (Result("hello", "1.0", Status.ERROR).to_text(), "error", "task", ""),
        (b"\0garbage", "abnormal", "task", "the result cannot be used"),
        (Result("other", "1.0", Status.SUCCESS).to_text(), "abnormal", "task", "it is of other"),
    ],
)
def test_what_a_person_sends(
    site: Site, content: str | bytes, status: str, culprit: str, reason: str
) -> None:
    outcome = site.perform(site.sends(content))
    assert (str(outcome.result.status), outcome.culprit) == (status, culprit)
    assert reason in outcome.reason
    entry = site.journal.get(site.number)
    assert entry is not None
    assert (entry.state, entry.status, entry.reason) == ("done", status, outcome.reason)
    assert not site.folder.exists()


def test_a_worker_that_asks_by_itself(site: Site) -> None:
    received: list[bytes] = []

    def work(port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as worker:
            worker.settimeout(30)
            worker.sendto(b"\0\1manifest\0octet\0", ("127.0.0.1", port))
            received.append(worker.recv(1000))
            worker.sendto(b"\0\4\0\1", ("127.0.0.1", port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as worker:
            worker.settimeout(30)
            worker.sendto(b"\0\2manifest\0octet\0", ("127.0.0.1", port))
            worker.recv(1000)
            text = Result("hello", "1.0", Status.WARNING).to_text().encode()
            worker.sendto(b"\0\3\0\1" + text, ("127.0.0.1", port))
            worker.recv(1000)

    threads: list[threading.Thread] = []

    def alive() -> bool:
        if not threads:
            (line,) = [line for line in site.lines if line.startswith("info: task hello/1.0")]
            port = int(line.rpartition(":")[2])
            threads.append(threading.Thread(target=work, args=(port,), daemon=True))
            threads[0].start()
        return True

    assert site.perform(alive).result.status is Status.WARNING
    threads[0].join()
    assert received[0].startswith(b"\0\3\0\1: 1\nname: hello\n")


def test_nobody_waits_for_ever(site: Site) -> None:
    left = [True, True]
    with pytest.raises(Interrupted):
        site.perform(lambda: bool(left) and left.pop())
    assert not site.folder.exists()
    entry = site.journal.get(site.number)
    assert entry is not None
    assert entry.state == "running"


def test_one_person_does_one_task_at_a_time(site: Site) -> None:
    with (
        site.host.lock("fake-default", "perform another"),
        pytest.raises(LockError, match="perform hello by hand"),
    ):
        site.perform(lambda: True)


def test_a_folder_is_no_result(site: Site) -> None:
    def alive() -> bool:
        (site.folder / "put" / "manifest").mkdir(exist_ok=True)
        left.append(1)
        return len(left) < 3

    left: list[int] = []
    with pytest.raises(Interrupted):
        site.perform(alive)
