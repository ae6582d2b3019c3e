# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages show, of tasks that are whole, damaged and hostile; and what they read for it."""

from __future__ import annotations

import json
import re
import sqlite3
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller import schema
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.request import RequestError
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.response import Download

HOSTILE = "</pre><script>alert(1)</script>\x1b[2J\u202e&amp;\"'><img src=x onerror=alert(1)>"
ADDRESSES = ("/", "/history", "/trends", "/task/1", "/task/1/log/update.log?first=1")


@pytest.mark.parametrize("address", ["/", "/history", "/trends"])
def test_a_host_without_a_past(place: t.Any, address: str) -> None:
    page = place.get(address)
    assert "</html>" in page
    # Nothing is made by looking.
    assert not (place.logs.parent / "state").exists()


def test_what_is_not_there(place: t.Any) -> None:
    number = place.accept()
    place.folder(number)
    for address in (
        *(
            "/x",
            "//",
            "/task",
            "/task/",
            "/task/x",
            "/task/-1",
            "/task/99",
            "/task/1/x",
            "/events/x",
        ),
        *(f"/task/{1 << 70}", "/task/%D9%A1", "/task/1/log/none.log", "/task/1/raw/none"),
        *("/task/1/raw/artifacts/x", "/task/1/file/update.log", "/task/1/log/", "/trends?days=5"),
        "/task/1/file/artifacts/",
    ):
        with pytest.raises(RequestError) as caught:
            place.ask(address)
        assert caught.value.status == 404, address
        page = place.pages.trouble(404, str(caught.value), ("",))
        assert page.status == 404 and b"</html>" in page.body


@pytest.mark.parametrize("address", ["/history?before=x", "/task/1/log/a.log?at=1e9"])
def test_what_is_no_number(place: t.Any, address: str) -> None:
    place.folder(place.accept())
    with pytest.raises(RequestError) as caught:
        place.ask(address)
    assert caught.value.status == 400


def furnish(place: t.Any) -> None:
    number = place.accept()
    (place.folder(number) / "agent.log").write_text(f"12:00:00 | {HOSTILE}\n")
    log = f"fine\nerror: {HOSTILE}\n{'x' * 200_000}\n"
    place.store(
        number,
        Status.ERROR,
        {"update": (Status.ERROR, "error\n")},
        reason=f"update failed: {HOSTILE}",
        culprit="task",
        phases={"wait": 1.0, "start": 2.0, HOSTILE: 3.0},
    )
    # No worker of ours sends such a log.
    (place.logs / "task-1" / "update.log").write_text(log)
    place.journal.failed(number, f"https://a:canary@x/ {HOSTILE}", 5)
    report = {"driver": HOSTILE, "warnings": {"update": HOSTILE}, "uploads": [], "tests": {}}
    report["artifacts"] = [{"path": "<b>.so", "size": 1, "sha256": "0" * 64, "type": HOSTILE}]
    (place.logs / "task-1" / "report.json").write_text(json.dumps(report))
    running = place.accept()
    (place.folder(running) / "agent.log").write_text(f"12:00:00 | {HOSTILE}\n")
    place.lease = place.host.leases.take(
        what="task", task="<i>", machine="<i>", phase="<i>", waits="<i>", shell="/x",
        logs=str(place.logs / "task-2"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "address", [*ADDRESSES, "/task/2", "/history?q=%3Cscript%3E", "/task/1/log/agent.log"]
)
def test_hostile_words_are_words(place: t.Any, address: str) -> None:
    furnish(place)
    page = place.get(address)
    place.lease.end()
    live = "data-live=" in page
    assert page.count("<script>") == live
    assert "<img" not in page and "<i>" not in page and "<b>" not in page
    assert "\x1b" not in page and "\u202e" not in page and "[2J" not in page
    assert "canary" not in page
    assert "onerror=" not in re.sub(r"&lt;.*?&gt;", "", page)


def test_a_task_is_told_whole(place: t.Any) -> None:
    number = place.accept(name="libfoo", version="1.2.3", machine="debian_12")
    place.folder(number)
    place.store(
        number,
        Status.ERROR,
        {
            "configure": (Status.SUCCESS, "ok\n"),
            "update": (Status.WARNING, "a.c:1: warning: x\n"),
            "test": (Status.ERROR, "1 of 2 failed\nFAIL: second\n"),
            "install": (Status.SKIP, ""),
        },
        reason="test: error",
        culprit="task",
        phases={"wait": 1.0, "resume": 1.0, "work": 8.0},
    )
    page = place.get(f"/task/{number}")
    words = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", page.split("<main")[1]))
    for told in (
        *("libfoo/1.2.3 on debian_12", "warm start", "the task itself", "test: error"),
        *("Where the 10.0 seconds went", "wait 1.0", "work 8.0", "test error", "install skip"),
        *("First error , in test.log : 1 of 2 failed", "https://***@x/?build-task"),
        "is not delivered: no attempt yet",
    ):
        assert told in words, (told, words)
    assert 'aria-label="80 %"' in page
    shown = place.get(f"/task/{number}/log/test.log?first=1")
    assert '<mark id="error" tabindex="-1">1 of 2 failed</mark>' in shown


def test_a_task_whose_logs_are_gone_or_elsewhere(place: t.Any) -> None:
    number = place.accept()
    assert "It has no logs." in place.get("/task/1")
    folder = place.folder(number)
    folder.rmdir()
    assert "Its logs are not there any more." in place.get("/task/1")
    place.journal.own(number, "owner", "/etc")
    assert "are not below" in place.get("/task/1")
    with pytest.raises(EngineError):
        place.ask("/task/1/raw/passwd")


def test_files_are_handed_out_as_they_are(place: t.Any) -> None:
    number = place.accept()
    folder = place.folder(number)
    (folder / "update.log").write_text("<b>")
    (folder / "artifacts" / "a").mkdir(parents=True)
    (folder / "artifacts" / "a" / "x.html").write_text("<script>")
    for address, kind, attached in (
        ("/task/1/raw/update.log", "text/plain; charset=utf-8", False),
        ("/task/1/file/artifacts/a/x.html", "application/octet-stream", True),
    ):
        answer = place.ask(address)
        assert isinstance(answer, Download)
        with answer.file as file:
            assert (answer.type, answer.attached, len(file.read())) == (kind, attached, answer.size)


def test_pages_of_the_past(place: t.Any) -> None:
    for number in range(120):
        place.accept(name=f"p{number % 3}", version=f"{number}", machine=f"m{number % 2}")
    place.store(5, Status.ERROR, reason="Linker crashed", culprit="machine")

    def ids(address: str) -> list[int]:
        return [int(n) for n in re.findall(r'href="(?:\./)?task/(\d+)"', place.get(address))]

    assert ids("/history") == list(range(120, 70, -1))
    assert ids("/history?before=71") == list(range(70, 20, -1))
    assert ids("/history?before=21") == list(range(20, 0, -1))
    assert ids("/history?after=20") == list(range(70, 20, -1))
    assert ids("/history?after=100") == list(range(120, 100, -1))
    assert (
        ids("/history?q=linker")
        == [5]
        == ids("/history?outcome=bad")
        == ids("/history?q=P1/4&outcome=error")
    )
    assert ids("/history?q=p2&machine=m1&outcome=running")[0] == 120
    assert ids("/history?q=%25") == [] == ids("/history?machine=none")
    last = place.get("/history?q=p1&before=21&machine=m1")
    assert "Older tasks" not in last and 'href="history?q=p1&amp;machine=m1&amp;after=' in last
    assert "Newer" not in place.get("/history")


@pytest.mark.parametrize(
    "change", ["name = x'ff'", "received = 'x'", "phases = '['", "state = 'odd'"]
)
def test_a_damaged_journal_is_shown_all_the_same(place: t.Any, change: str) -> None:
    place.store(place.accept(), reason="odd")
    with sqlite3.connect(place.journal.path) as db:
        db.execute(f"UPDATE tasks SET {change}")
    db.close()
    for address in ("/", "/history", "/trends"):
        assert "</html>" in place.get(address)
    with pytest.raises(EngineError, match="damaged"):
        place.ask("/task/1")


def test_a_journal_of_another_release_is_left_alone(place: t.Any) -> None:
    place.accept()
    for version, way_out in ((1, "bbot-agent status"), (9, "upgrade bbot-agent")):
        with sqlite3.connect(place.journal.path) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        with pytest.raises(EngineError, match=way_out):
            place.ask("/history")
        # The rest of the page is there.
        place.pages._snapshots._last = None
        assert way_out in place.get("/")


@pytest.mark.parametrize(
    "change",
    [
        *("phases = '['", "phases = '[]'", "phases = '{},{}'", "phases = x'ff'", "phases = 7"),
        *(
            'phases = \'{"work": "x"}\'',
            "phases = '{\"work\": NaN}'",
            "phases = '{\"work\": 1e999}'",
        ),
        *("received = 9e999", "status = x'ff'"),
    ],
)
def test_a_damaged_task_is_no_figure(place: t.Any, change: str) -> None:
    for _number in range(3):
        place.store(place.accept(), Status.ERROR, culprit="task", phases={"work": 2.0})
    with sqlite3.connect(place.journal.path) as db:
        db.execute(f"UPDATE tasks SET {change} WHERE id = 2")
    db.close()
    page = place.get("/trends")
    assert '<td data-label="Tasks" class="number">2</td>' in page, change


def reads(place: t.Any, address: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many statements the journal is asked by for a page."""
    asked: list[str] = []
    connect = sqlite3.connect

    def counting(*arguments: t.Any, **more: t.Any) -> sqlite3.Connection:
        db = connect(*arguments, **more)
        db.set_trace_callback(asked.append)
        return db

    with monkeypatch.context() as patched:
        patched.setattr(schema.sqlite3, "connect", counting)
        place.pages._snapshots._last = None
        place.get(address)
    return len(asked)


def test_more_tasks_take_no_more_reads(place: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(place)
    few = {address: reads(place, address, monkeypatch) for address in (*ADDRESSES, "/task/2")}
    leases = [place.lease]
    for _number in range(30):
        number = place.accept()
        place.folder(number)
        place.store(number)
        running = place.accept()
        logs = str(place.folder(running))
        leases.append(place.host.leases.take(what="task", task="x/1", machine="m1", logs=logs))
    place.pages._choices.forget()
    place.pages._buckets.forget()
    many = {address: reads(place, address, monkeypatch) for address in few}
    for lease in leases:
        lease.end()
    assert many == few
    assert max(few.values()) <= 12, few
