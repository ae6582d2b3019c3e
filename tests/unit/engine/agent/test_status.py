# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people are shown, of leases, journals, templates and machines that are odd or lie."""

from __future__ import annotations

import json
import math
import sqlite3
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import status as _status
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.status import collect, render
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import Journal
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status

URL = "https://user:secret@x/?build-task"


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines: list[str] = []
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", None),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
            report=self.lines.append,
        )
        (root / "machines" / "default").mkdir(parents=True)
        (root / "tftp" / "toolchains").mkdir(parents=True)
        self.journal = Journal(str(root / "state" / "journal.sqlite"))

    def task(self, version: str = "1.0", *, stored: bool = True, **more: t.Any) -> int:
        task = Task(name="hello", version=version, repository_url="https://x/", machine="m1")
        response = TaskResponse(
            "t/hello/1.0/linux/default//public/0.17.0/1", task, result_url="https://x/r"
        )
        number = self.journal.accept(response, toolchain="default", controller=URL, answer=None)
        if stored:
            self.journal.store(number, Result.for_task(task, Status.ERROR), **more)
        return number

    def collect(self) -> dict[str, t.Any]:
        suspensions = Suspensions(self.host, 9, math.inf)
        status = collect(self.host, self.journal, suspensions)
        # Whatever is there: other programs can read it, people as well, and nobody's secrets.
        text = json.dumps(status, allow_nan=False) + render(status)
        assert "secret" not in text
        return status


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_host_on_which_nothing_was_ever_done(site: Site) -> None:
    status = site.collect()
    assert set(render(status).splitlines()) - {""} == {
        "agents: none",
        "machines: none",
        "running: none",
        "results to be delivered: none",
        "suspended machines: none",
        "last tasks: none",
    }
    assert status["tasks"]["total"] == 0
    # A look makes nothing.
    assert not Path(site.journal.path).exists()


def test_what_goes_on(site: Site) -> None:
    agent = site.host.leases.take(
        what="agent", toolchain="default", controllers=[URL], instance_max=2, version="9"
    )
    number = site.task(stored=False)
    site.journal.own(number, "x", "/logs/hello")
    task = site.host.leases.take(
        what="task", machine="m1", task="hello/1.0", logs="/logs/hello", phase="work"
    )
    agent.note(troubles={f"controller {URL}": f"{URL} is gone", "host": "no QEMU"})
    bootstrap = site.host.leases.take(what="bootstrap", machine="m2")
    queued = site.task("2.0")
    site.journal.failed(queued, f"unable to upload result to {URL}", 60.0)
    status = site.collect()
    (found,) = status["agents"]
    assert (found["toolchain"], found["controllers"]) == ("default", ["https://***@x/?build-task"])
    assert found["troubles"] == {
        "controller https://***@x/?build-task": "https://***@x/?build-task is gone",
        "host": "no QEMU",
    }
    first, second = status["running"]
    assert (first["id"], first["task"], first["phase"]) == (number, "hello/1.0", "work")
    assert (second["id"], second["what"], second["machine"]) == (None, "bootstrap", "m2")
    (waiting,) = status["queue"]
    assert (waiting["id"], waiting["attempts"], waiting["status"]) == (queued, 1, "error")
    assert [past["id"] for past in status["history"]] == [queued, number]
    assert waiting["finished"] >= waiting["received"]
    assert status["tasks"]["total"] == 2
    assert {k: v for k, v in status["tasks"]["last_hour"].items() if v} == {"error": 1}
    shown = render(status)
    assert "troubles:" in shown
    for line in (f"  {number}       hello/1.0  m1       work", "bootstrap  m2", "unable to upload"):
        assert line in shown
    for lease in (agent, task, bootstrap):
        lease.end()


ODD = [None, True, -1, 7, math.inf, math.nan, 10**400, -(10**400), 1e300, "x", "a\nb", "\x1b[2J"]
ODD += [[], [7], {}, {"m1": 7}, [[]]]
NAMES = [
    *("pid", "since", "what", "machine", "task", "phase", "logs", "toolchain", "controllers"),
    *("instance_max", "version", "failed", "troubles", "address", "journal"),
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: f"{value!r:.20}")
@pytest.mark.parametrize("what", ["agent", "task"])
def test_a_lease_that_lies_is_shown_as_far_as_it_can_be_believed(
    site: Site, value: t.Any, what: str
) -> None:
    (site.root / "tftp" / "toolchains" / "default").mkdir()
    folder = site.root / "state" / "leases"
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        record = {"pid": 1, "since": 5.0, "what": what, "toolchain": "default", name: value}
        (folder / f"7-{number}.lease").write_text(json.dumps(record) + "\n")
    status = site.collect()
    assert len(status["agents" if what == "agent" else "running"]) in (
        len(NAMES),
        len(NAMES) - 1,
    )
    assert all(line.isprintable() for line in render(status).splitlines())


@pytest.mark.parametrize(
    "change",
    [
        "name = x'ff'",
        "status = x'ff'",
        'phases = \'{"work": "x"}\'',
        "phases = '{\"work\": true}'",
        "phases = '{\"work\": NaN}'",
        "phases = '{\"work\": Infinity}'",
        "phases = '{\"work\": 1e999}'",
        f"phases = '{{\"work\": 1{'0' * 400}}}'",
        "phases = '[]'",
        "phases = '['",
        "received = 'x'",
        "received = 9e999",
        "attempts = 'many'",
        "last_error = x'ff'",
        "lifetime = 9e999",
        "state = 'odd'",
        "finished = 'x'",
    ],
)
def test_a_journal_that_is_damaged_is_shown_all_the_same(site: Site, change: str) -> None:
    number = site.task(reason="odd")
    with sqlite3.connect(site.journal.path) as db:
        db.execute(f"UPDATE tasks SET {change}")
    db.close()
    (past,) = site.collect()["history"]
    assert (past["id"], past["state"]) == (number, "damaged")


def machine(site: Site, toolchain: str) -> None:
    folder = site.root / "machines" / "default" / "m1"
    (folder / "m1-1.0").mkdir(parents=True)
    manifest = ": 1\nid: m1-1\nname: m1\nsummary: x\ntype: kvm\nmac: 02:00:00:00:00:01\n"
    (folder / "m1-1.0" / "manifest").write_text(manifest)
    (folder / "m1-1").symlink_to("m1-1.0")
    (site.root / "tftp" / "toolchains" / toolchain).mkdir()


def test_a_machine_that_failed_says_why(site: Site) -> None:
    machine(site, "default")
    (site.root / "tftp" / "toolchains" / ".hidden").mkdir()
    # No toolchain can be called so.
    (site.root / "tftp" / "toolchains" / "no-name").mkdir()
    lease = site.host.leases.take(
        what="agent", toolchain="default", failed={"m1": "bootstrap timeout"}
    )
    (found,) = site.collect()["machines"]
    assert (found["name"], found["toolchain"], found["state"]) == ("m1", "default", "missing")
    assert found["failure"] == "bootstrap timeout"
    lease.note(failed={"m2": "another"})
    (found,) = site.collect()["machines"]
    assert found["failure"] is None
    lease.end()


def test_machines_that_cannot_be_read_keep_nobody_from_the_rest(site: Site) -> None:
    machine(site, "default")
    site.host = Host(
        run=t.cast("t.Any", None),
        storage=t.cast("t.Any", None),
        machines=str(site.root / "gone"),
        tftp=site.host.tftp,
        state=site.host.state,
    )
    assert site.collect()["machines"] == []


@pytest.mark.parametrize(
    ("phases", "how", "seconds"),
    [
        ({}, "", ""),
        ({"start": 1.25, "work": 2.0}, "cold", "3.2"),
        ({"resume": 0.5, "work": 2.0}, "warm", "2.5"),
        # It could not be resumed.
        ({"resume": 0.5, "start": 1.0}, "cold", "1.5"),
    ],
)
def test_how_a_task_came_up(site: Site, phases: dict[str, float], how: str, seconds: str) -> None:
    number = site.task()
    site.journal.describe(number, culprit="", reason="", phases=phases)
    last = render(site.collect()).splitlines()[-1].split()
    assert last == [str(number), "hello/1.0", "m1", "error", "queued", *f"{how} {seconds}".split()]


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (-9e9, "0 s"),
        (0, "0 s"),
        (119.5, "119 s"),
        (121, "2 min"),
        (7100, "118 min"),
        (7201, "2 h"),
        (172801, "2 d"),
        (9e9, "104166 d"),
    ],
)
def test_how_long_ago(ago: float, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(_status.time, "time", lambda: now)
    assert _status._ago(now - ago) == words
    assert _status._ago(None) == ""
