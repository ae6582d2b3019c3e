# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the dead have left: it is removed, and nothing that is or may be somebody's."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import recovery as _recovery
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.recovery import (
    recover,
    remove_leftovers,
    remove_old_logs,
    settle_orphans,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Journal,
    JournalError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
)


class Store:
    """Folders as subvolumes; `stuck` are those that cannot be deleted, `error` is why.

    `half` are those that are half-made; None if not even that can be found out.
    """

    def __init__(self) -> None:
        self.stuck: list[str] = []
        self.half: list[str] | None = []
        self.error: Exception = StorageError("it is in use")

    def info(self, path: str) -> object | None:
        return object() if os.path.isdir(path) else None

    def discard(self, path: str) -> bool:
        if os.path.basename(path) in self.stuck:
            raise self.error
        found = os.path.exists(path)
        if found:
            shutil.rmtree(path)
        return found

    def tidy(self, directory: str) -> list[str]:
        if self.half is None:
            raise self.error
        return [os.path.join(directory, name) for name in self.half]


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines: list[str] = []
        self.store = Store()
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", self.store),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
            runtime=str(root / "run"),
            report=self.lines.append,
        )
        self.place = root / "machines" / "default" / "m1"
        self.place.mkdir(parents=True)
        (root / "tftp" / "toolchains" / "stage").mkdir(parents=True)
        self.suspensions = Suspensions(self.host, 9, 86400.0)
        self.journal = Journal(str(root / "state" / "journal.sqlite"))

    def make(self, *names: str) -> None:
        for name in names:
            (self.place / name).mkdir()

    def names(self) -> set[str]:
        return {path.name for path in self.place.iterdir()}

    def remove(self) -> None:
        remove_leftovers(self.host, self.suspensions, "stage")

    def task(self, version: str) -> int:
        task = Task(name="hello", version=version, repository_url="https://x/", machine="m1")
        response = TaskResponse(
            "t/hello/1.0/linux/default//public/0.17.0/1", task, result_url="https://x/r"
        )
        return self.journal.accept(
            response, toolchain="stage", controller="https://x/", answer=None, owner="7-7@7.000"
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def test_only_what_is_of_the_dead_goes(site: Site, dead: int) -> None:
    gone = [f"m1-stage-{dead}-0", f"m1-stage-{dead}-1.ram", "m1-stage-suspended-9"]
    kept = [
        "m1-1.0",
        "m1-stage",
        f"m1-stage-{os.getpid()}-0",
        f"m1-other-{dead}-0",
        f"m1-stage-{dead}",
        f"m1-stage-{dead}-x",
        "m1-stage-99999999-0",
        "m1-stage-20261128-1",
        f".m1-stage-{dead}-0",
        f"m2-stage-{dead}-0",
    ]
    site.make(*gone, *kept)
    # A toolchain that former versions let be called so.
    (site.root / "tftp" / "toolchains" / "stage-20261128-1").mkdir()
    site.remove()
    assert site.names() == set(kept)
    assert len(site.lines) == len(gone)
    assert all(line.startswith("info: deleted the left-over snapshot") for line in site.lines)


def test_what_a_lease_names_is_left_to_who_clears_that_away(site: Site, dead: int) -> None:
    names = [f"m1-stage-{dead}-{number}" for number in range(3)]
    site.make(*names)
    paths = [str(site.place / name) for name in names]
    lease = site.host.leases.take(snapshot=paths[0], snapshots=[paths[1]])
    site.remove()
    assert site.names() == set(names[:2])
    lease.end()


@pytest.mark.parametrize(
    "error",
    [StorageError("in use"), OSError(16, "busy"), ValueError("odd"), MemoryError()],
    ids=repr,
)
def test_what_cannot_be_removed_keeps_nothing_else(site: Site, dead: int, error: Exception) -> None:
    names = [f"m1-stage-{dead}-{number}" for number in range(3)]
    site.make(*names)
    site.store.stuck, site.store.error = [names[0]], error
    site.remove()
    assert site.names() == {names[0]}
    assert [line.partition(": ")[0] for line in site.lines] == ["error", "info", "info"]


def test_what_is_half_made_goes_first(site: Site, dead: int) -> None:
    site.make(f"m1-stage-{dead}-0")
    site.store.half = [".half"]
    site.remove()
    assert site.lines[0] == f"info: removed the half-made {site.place}/.half"
    assert site.lines[1].startswith("info: deleted the left-over snapshot")
    site.make(f"m1-stage-{dead}-0")
    site.store.half = None
    site.lines.clear()
    site.remove()
    assert site.names() == set()
    assert site.lines[0].startswith(f"error: cannot remove what is half-made in {site.place}: ")


def test_folders_that_guests_were_served_from(site: Site, dead: int) -> None:
    names = {f"stage-{dead}-0": False, f"stage-{os.getpid()}-0": True, f"x-{dead}-0": True}
    for kind in ("build", "bootstrap"):
        for name in names:
            (site.root / "tftp" / kind / name / "put").mkdir(parents=True)
    site.remove()
    for kind in ("build", "bootstrap"):
        for name, kept in names.items():
            assert (site.root / "tftp" / kind / name).exists() is kept


@pytest.mark.parametrize(
    ("name", "old", "age", "gone"),
    [
        ("hello-1.0-20260101T000000-7", True, 60.0, True),
        ("hello-1.0-20260101T000000-7", False, 60.0, False),
        ("hello-1.0-20260101T000000-7", True, 0, False),
        ("somebody-elses", True, 60.0, False),
        ("20260101T000000-7", True, 60.0, False),
        ("hello-1.0-20260101T000000-7.kept", True, 60.0, False),
    ],
)
def test_old_logs(site: Site, name: str, old: bool, age: float, gone: bool) -> None:
    path = site.root / "logs" / name
    path.mkdir(parents=True)
    if old:
        os.utime(path, (time.time() - 1000, time.time() - 1000))
    remove_old_logs(site.host, str(site.root / "logs"), age)
    assert path.exists() is not gone
    assert bool(site.lines) is gone
    remove_old_logs(site.host, str(site.root / "no-logs"), age)


def test_logs_that_another_agent_removes_as_well(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(site.root / "hello-1.0-20260101T000000-7")
    monkeypatch.setattr(_recovery, "subfolders", lambda _directory: [path])
    remove_old_logs(site.host, str(site.root), 60.0)
    assert site.lines == []


def test_tasks_that_nobody_performs_any_more_get_results(site: Site) -> None:
    numbers = [site.task(version) for version in ("1.0", "2.0", "3.0")]
    with sqlite3.connect(site.journal.path) as db:
        db.execute("UPDATE tasks SET task = 'garbage' WHERE id = ?", (numbers[1],))
        db.execute("UPDATE tasks SET received = 'x' WHERE id = ?", (numbers[2],))
    db.close()
    recover(site.host, site.journal, site.suspensions)
    rows = {row.id: row.state for row in site.journal.latest(9)}
    assert rows == {numbers[0]: "queued", numbers[1]: "damaged", numbers[2]: "damaged"}
    told = [line.partition(": ")[0] for line in site.lines]
    assert told == ["error", "warning", "warning"]


@pytest.mark.parametrize(
    "error", [JournalError("full"), OSError(5, "odd"), KeyError("x")], ids=repr
)
def test_one_that_cannot_be_settled_keeps_no_other(
    site: Site, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.task("1.0"), site.task("2.0")
    real = _recovery.settle

    def settle(journal: Journal, entry: int) -> None:
        if entry == first:
            raise error
        real(journal, entry)

    monkeypatch.setattr(_recovery, "settle", settle)
    settle_orphans(site.host, site.journal)
    assert {row.id: row.state for row in site.journal.latest(9)} == {
        first: "running",
        second: "queued",
    }
    assert "task hello/1.0 on machine m1 cannot be given a result: " in site.lines[0]


def test_a_journal_that_cannot_be_read_is_told(site: Site) -> None:
    site.task("1.0")
    Path(site.journal.path).write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError):
        recover(site.host, site.journal, site.suspensions)
