# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that run beside the agent, and their rounds with a time that is set by hand."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import sys
import typing as t
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.status import collect
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

FILES = Path(__file__).parents[3] / "roles" / "agent" / "files"
# Wherever pytest is run from.
sys.path.insert(0, str(FILES / "alerts"))

from bbot_alerts import main as _main
from bbot_alerts.asking import AskingError
from bbot_alerts.clock import Moment
from bbot_alerts.message import Message
from bbot_alerts.ways import WayError

URL = "https://agent:secret@x/?build-task"

EMPTY: dict[str, t.Any] = {
    "agents": [{"toolchain": "default", "troubles": {}}],
    "machines": [],
    "queue": [],
    "suspended": [],
}


class Site:
    """A host with an agent, a machine that failed, tasks that run and wait, and a journal."""

    def __init__(self, root: Path) -> None:
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", None),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
        )
        (root / "tftp" / "toolchains" / "default").mkdir(parents=True)
        for name in ("m1", "m2"):
            folder = root / "machines" / "default" / name
            (folder / f"{name}-1.0").mkdir(parents=True)
            (folder / f"{name}-1.0" / "manifest").write_text(
                f": 1\nid: {name}-1\nname: {name}\nsummary: x\ntype: kvm\nmac: 02:00:00:00:00:01\n"
            )
            (folder / f"{name}-1").symlink_to(f"{name}-1.0")
        self.journal = Journal(str(root / "state" / "journal.sqlite"))

    def task(self, status: Status | None, *, delivered: bool = False, **changes: t.Any) -> None:
        """Have a task in the journal with these values."""
        task = Task(name="hello", version="1.0", repository_url="https://x/", machine="m1")
        response = TaskResponse("s", task, result_url="https://x/?build-result")
        number = self.journal.accept(response, toolchain="default", controller=URL, answer=None)
        if status is not None:
            self.journal.store(number, Result.for_task(task, status))
        if delivered:
            self.journal.delivered(number)
        with sqlite3.connect(self.journal.path) as db:
            for name, value in changes.items():
                db.execute(f"UPDATE tasks SET {name} = ? WHERE id = ?", (value, number))
        db.close()

    def collect(self) -> dict[str, t.Any]:
        """What `bbot-agent status --json` says."""
        suspensions = Suspensions(self.host, 9, math.inf)
        text = json.dumps(collect(self.host, self.journal, suspensions), allow_nan=False)
        assert "secret" not in text
        found: dict[str, t.Any] = json.loads(text)
        return found


class Rounds:
    """Rounds of the program for alerts, each half a minute after the last one.

    `status` is what the agents say, None that they say nothing. The ways in `broken` fail.
    `heard` is what has come through by each way, a list of words and keys, and `attempts` when
    each was tried. `ids` are those of the messages that came through.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "alert.state"
        self.moment = Moment("boot 1", 1000.0, 1.7e9)
        self.status: dict[str, t.Any] | None = json.loads(json.dumps(EMPTY))
        self.broken: set[str] = set()
        self.ways = ["webhook", "mail"]
        self.heard: dict[str, list[tuple[str, str]]] = {"webhook": [], "mail": []}
        self.ids: dict[str, list[str]] = {"webhook": [], "mail": []}
        self.attempts: dict[str, list[float]] = {"webhook": [], "mail": []}
        self.tried: dict[str, list[str]] = {"webhook": [], "mail": []}
        self.before: t.Callable[[str], None] = lambda _way: None
        (root / "places").write_text("")
        (root / "default.options").write_text("")

    @property
    def troubles(self) -> dict[str, str]:
        """What the agent says is wrong."""
        assert self.status is not None
        found: dict[str, str] = self.status["agents"][0]["troubles"]
        return found

    def ask(self, _file: str) -> t.Any:
        if self.status is None:
            raise AskingError("no space left")
        return json.loads(json.dumps(self.status))

    def tell(self, way: str, _address: str, message: Message) -> None:
        self.attempts[way].append(self.moment.up)
        self.tried[way].append(message.id)
        self.before(way)
        if way in self.broken:
            raise WayError("it is broken")
        self.heard[way] += [(each.what, each.key) for each in message.events]
        self.ids[way].append(message.id)

    def round(self, seconds: float = 30.0) -> int:
        """Do one round, so many seconds later."""
        self.pass_by(seconds)
        config = {way: "somebody" if way in self.ways else "" for way in ("webhook", "mail")}
        (self.root / "alert.json").write_text(json.dumps(config))
        words = ["--options-file", str(self.root / "places")]
        words += ["--config", str(self.root / "alert.json"), "--state", str(self.state)]
        return _main.main(words)

    def rounds(self, seconds: float, step: float = 30.0) -> None:
        """Do rounds for so long, one each `step` seconds."""
        end = self.moment.up + seconds
        while self.moment.up < end:
            self.round(step)

    def pass_by(self, seconds: float) -> None:
        boot, up, wall = self.moment.boot, self.moment.up, self.moment.wall
        self.moment = Moment(boot, up + seconds, wall + seconds)

    def set_clock(self, wall: float) -> None:
        """Set the wall clock."""
        self.moment = Moment(self.moment.boot, self.moment.up, wall)

    def reboot(self) -> None:
        self.moment = Moment(f"{self.moment.boot}+", 5.0, self.moment.wall + 60)


@pytest.fixture
def make_rounds(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[Path], Rounds]:
    """Makes rounds in a folder; the last ones that were made are those that are done."""

    def make(root: Path) -> Rounds:
        made = Rounds(root)
        monkeypatch.setattr(_main.clock, "now", lambda: made.moment)
        monkeypatch.setattr(_main, "ask", made.ask)
        monkeypatch.setattr(_main, "tell", made.tell)
        # Days of rounds would take minutes.
        monkeypatch.setattr(os, "fsync", lambda _fd: None)
        return made

    return make


@pytest.fixture
def rounds(tmp_path: Path, make_rounds: t.Callable[[Path], Rounds]) -> Rounds:
    return make_rounds(tmp_path)


@pytest.fixture(scope="session")
def metrics() -> ModuleType:
    """The program for metrics as a module, though its file has no ending."""
    loader = SourceFileLoader("bbot_metrics", str(FILES / "metrics"))
    # Beside the file it would become a part of the role.
    loader.set_data = lambda *_args, **_keywords: None  # type: ignore[method-assign]
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
