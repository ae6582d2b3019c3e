# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deliveries that go wrong in every way: one attempt at its time, one reason, none lost."""

from __future__ import annotations

import io
import json
import lzma
import random
import sqlite3
import tarfile
import typing as t
import zlib
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.delivery import (
    deliver,
    deliver_all,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Journal,
    JournalError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.transport import (
    ControllerError,
    Transport,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs

TASK = Task(name="hello", version="1.0", repository_url="https://x/", machine="tiny")
URL = "https://agent:secret@x/?build-result&token=secret"


class Fake(Transport):
    """A transport whose controller does what it is told; `sent` is the lengths of results."""

    def __init__(self, *results: Exception | None, artifacts: t.Sequence[Exception | None] = ()):
        super().__init__()
        self.__dict__["results"] = list(results)
        self.__dict__["artifacts"] = list(artifacts)
        self.__dict__["sent"] = []
        self.__dict__["uploaded"] = []
        self.__dict__["most"] = None

    def upload_result(self, url: str, text: str) -> None:
        assert url == URL
        size = len(text.encode())
        self.__dict__["sent"].append(size)
        most = self.__dict__["most"]
        if most is not None and size > most:
            raise ControllerError("HTTP 413 Too large", 413)
        outcomes = self.__dict__["results"]
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome

    def upload_artifact(self, url: str, fields: t.Mapping[str, str], archive: str) -> None:
        outcomes = self.__dict__["artifacts"]
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome
        with tarfile.open(archive) as found:
            self.__dict__["uploaded"].append((fields["instance"], found.getnames()))


class Site:
    """A host with a journal in which one result is queued."""

    def __init__(self, folder: Path, log: str = "no\n") -> None:
        self.lines: list[str] = []
        self.host = Host(
            run=lambda *_args, **_more: (0, "", ""),
            storage=Btrfs(),
            state=str(folder / "state"),
            report=self.lines.append,
        )
        self.journal = Journal(str(folder / "state" / "journal.sqlite"))
        self.logs = folder / "logs"
        (self.logs / "artifacts").mkdir(parents=True)
        self.number = self.queue(log)

    def queue(self, log: str = "no\n") -> int:
        response = TaskResponse("s", TASK, result_url=URL, upload_urls={"bindist": "https://x/u"})
        number = self.journal.accept(
            response, toolchain="default", controller="https://x/", answer=None
        )
        self.journal.own(number, "1-0@5.000", str(self.logs))
        operation = OperationResult("update", Status.ERROR, log)
        self.journal.store(number, Result("hello", "1.0", Status.ERROR, (operation,)))
        return number

    def deliver(self, transport: Transport) -> str:
        done = deliver(self.host, self.journal, self.number, transport)
        assert (done.outcome == "delivered") is not bool(done.reason)
        assert "\n" not in done.reason
        assert "secret" not in done.reason
        return done.outcome

    def archive(self, data: bytes | None = None) -> None:
        if data is None:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as target:
                info = tarfile.TarInfo("upload/bindist/debian/hello.deb")
                info.size = 7
                target.addfile(info, io.BytesIO(b"package"))
            data = buffer.getvalue()
        (self.logs / "artifacts" / "upload.tar").write_bytes(data)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


CAUSES = [
    ControllerError("Connection refused"),
    ControllerError("HTTP 500", 500),
    ControllerError("HTTP 404", 404),
    ControllerError("HTTP 413", 413),
    ControllerError("Connection reset by peer", reset=True),
    OSError(28, "No space left on device"),
    ValueError("odd"),
    OverflowError("large"),
    MemoryError(),
    RecursionError(),
    UnicodeError("odd\ntext"),
    tarfile.ReadError("cut off"),
    tarfile.HeaderError("odd"),
    lzma.LZMAError("corrupt"),
    zlib.error("corrupt"),
    EOFError(),
    KeyError("x"),
    json.JSONDecodeError("odd", "", 0),
    AssertionError("defect"),
    sqlite3.OperationalError("locked"),
    JournalError("the disk is full"),
]


@pytest.mark.parametrize("cause", CAUSES, ids=repr)
@pytest.mark.parametrize("what", ["result", "artifact"])
def test_every_failure_is_one_attempt_with_a_pause(site: Site, cause: Exception, what: str) -> None:
    site.archive()
    refused = isinstance(cause, ControllerError) and cause.status in (404, 413)
    fake = Fake(cause) if what == "result" else Fake(artifacts=[cause])
    if what == "artifact" and refused:
        # Such an artifact does not hold up the result.
        assert site.deliver(fake) == "delivered"
        assert len(site.lines) == 1
        return
    assert site.deliver(fake) == "failed"
    (row,) = site.journal.queue()
    assert row.attempts == 1
    assert row.wait > 3
    assert row.last_error
    assert site.deliver(Fake()) == "delivered"
    assert site.journal.queue() == []


def test_pauses_grow(site: Site) -> None:
    waits = []
    for _dummy in range(9):
        assert site.deliver(Fake(ControllerError("no"))) == "failed"
        waits.append(site.journal.queue()[0].wait)
    assert waits[0] < 7
    assert waits[-1] > 400
    assert site.journal.queue()[0].attempts == 9


def test_a_result_is_shortened_while_that_helps(tmp_path: Path) -> None:
    site = Site(tmp_path, "a line of a log\n" * 20_000)
    fake = Fake()
    fake.__dict__["most"] = 30_000
    assert site.deliver(fake) == "delivered"
    sent = fake.__dict__["sent"]
    assert sent == sorted(set(sent), reverse=True)
    assert 10_000 < sent[-1] <= 30_000
    assert site.journal.latest(1)[0].attempts == 0


@pytest.mark.parametrize("log", ["no\n", "a line of a log\n" * 10_000])
def test_a_refusal_for_its_size_that_stays_is_a_failure(tmp_path: Path, log: str) -> None:
    site = Site(tmp_path, log)
    fake = Fake()
    fake.__dict__["most"] = 10
    assert site.deliver(fake) == "failed"
    assert len(fake.__dict__["sent"]) < 15
    assert site.journal.queue()[0].attempts == 1
    assert site.journal.queue()[0].wait > 3
    # What was found out holds for the next attempt.
    again = Fake()
    again.__dict__["most"] = 10
    assert site.deliver(again) == "failed"
    assert len(again.__dict__["sent"]) <= 2


def test_a_controller_that_hangs_up_on_a_large_result_gets_a_shorter_one(tmp_path: Path) -> None:
    site = Site(tmp_path, "a line of a log\n" * 20_000)
    reset = ControllerError("Connection reset by peer", reset=True)
    assert site.deliver(Fake(reset)) == "failed"
    fake = Fake(reset)
    assert site.deliver(fake) == "delivered"
    first, second = fake.__dict__["sent"]
    assert second <= first // 2


def test_a_controller_that_hangs_up_on_a_small_result_gets_the_same(site: Site) -> None:
    reset = ControllerError("Connection reset by peer", reset=True)
    for _dummy in range(4):
        assert site.deliver(Fake(reset)) == "failed"
    assert site.journal.queue()[0].resets == 0


def test_a_lock_that_is_held_is_no_attempt_and_no_spin(site: Site) -> None:
    fake = Fake()
    with site.host.lock(f"upload-{site.number}", "upload it"):
        assert site.deliver(fake) == "held"
    assert fake.__dict__["sent"] == []
    (row,) = site.journal.queue()
    assert row.attempts == 0
    assert row.wait > 3
    assert site.deliver(Fake()) == "delivered"


def test_the_rest_of_the_queue_goes_on(site: Site) -> None:
    other = site.queue()
    done = deliver_all(
        site.host, site.journal, site.journal.queue(), Fake(ControllerError("no", 500))
    )
    assert [each.outcome for each in done.values()] == ["failed", "delivered"]
    assert list(done) == [site.number, other]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE results SET text = 'garbage'",
        "DELETE FROM results",
        "UPDATE tasks SET answer = '===='",
        "UPDATE tasks SET upload_urls = '['",
        "UPDATE tasks SET received = 'x'",
    ],
)
def test_a_damaged_entry_is_set_aside_at_once(site: Site, change: str) -> None:
    with sqlite3.connect(site.journal.path) as db:
        db.execute(change)
    db.close()
    fake = Fake()
    assert site.deliver(fake) == "failed"
    assert fake.__dict__["sent"] == []
    assert site.journal.queue() == []
    assert site.journal.latest(1)[0].state == "damaged"


def test_what_is_over_is_not_delivered_again(site: Site) -> None:
    assert site.deliver(Fake()) == "delivered"
    fake = Fake()
    assert site.deliver(fake) == "delivered"
    assert fake.__dict__["sent"] == []
    site.number = 4711
    assert site.deliver(fake) == "delivered"


def test_a_journal_that_is_lost(site: Site) -> None:
    Path(site.journal.path).write_bytes(b"no database" * 1000)
    assert site.deliver(Fake()) == "failed"


def test_artifacts_are_uploaded_once(site: Site) -> None:
    site.archive()
    first = Fake(ControllerError("no", 500))
    assert site.deliver(first) == "failed"
    assert first.__dict__["uploaded"] == [("debian", ["debian/hello.deb"])]
    second = Fake()
    assert site.deliver(second) == "delivered"
    assert second.__dict__["uploaded"] == []
    # The worker's own stay, what was made of them does not.
    assert [path.name for path in site.logs.iterdir()] == ["artifacts"]


def test_artifacts_that_are_refused_are_told_of_once(site: Site) -> None:
    site.archive(b"garbage" * 1000)
    for _dummy in range(3):
        assert site.deliver(Fake(ControllerError("no", 500))) == "failed"
    assert site.deliver(Fake()) == "delivered"
    assert len(site.lines) == 1
    assert "cannot unpack the artifacts" in site.lines[0]


@pytest.mark.parametrize(
    "count", [pytest.param(100, id="some"), pytest.param(10_000, id="all", marks=pytest.mark.long)]
)
def test_mutated_artifacts_never_hold_up_a_result(site: Site, count: int) -> None:
    pick = random.Random(5)
    site.archive()
    base = (site.logs / "artifacts" / "upload.tar").read_bytes()[:2048]
    for _dummy in range(count):
        data = bytearray(base)
        for _again in range(pick.randint(1, 6)):
            at = pick.choice([pick.randrange(len(data)), pick.randrange(512), 345, 124, 156])
            data[at] = pick.choice([pick.randrange(256), 0, 0x31, 0x67, 0x78, 0x53, 0xFF])
        site.archive(bytes(data))
        (site.logs / "artifacts.refused").unlink(missing_ok=True)
        site.number = site.queue()
        assert site.deliver(Fake()) == "delivered"
    assert len(site.lines) > count // 50
