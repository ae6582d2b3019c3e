# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands for people on a real state folder: logs that grow, end or are gone."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import sqlite3
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import commands as _commands
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.commands import run_command
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import OptionsError
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Journal,
    JournalError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspended,
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState


class Site:
    """A state folder with a task that is performed, whose log says `begun`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.words = []
        for option in ("machines", "tftp", "state-dir", "runtime-dir"):
            (root / option).mkdir()
            self.words += [f"--{option}", str(root / option)]
        self.journal = Journal(str(root / "state-dir" / "journal.sqlite"))
        self.logs = root / "logs"
        self.logs.mkdir()
        self.number = self.task("1.0", str(self.logs))
        self.say("begun")
        self.stream = io.StringIO()

    def task(self, version: str, logs: str | None) -> int:
        task = Task(name="hello", version=version, repository_url="https://x/", machine="m1")
        response = TaskResponse(
            "t/hello/1.0/linux/default//public/0.17.0/1", task, result_url="https://x/r"
        )
        number = self.journal.accept(
            response, toolchain="default", controller="https://x/", answer=None
        )
        if logs is not None:
            self.journal.own(number, "1-0@1.000", logs)
        return number

    def end(self) -> None:
        entry = self.journal.get(self.number)
        assert entry is not None
        self.journal.store(self.number, Result.for_task(Task.parse(entry.task, "x")))

    def say(self, line: str) -> None:
        with (self.logs / "agent.log").open("a") as file:
            file.write(f"{line}\n")

    def suspend(self, number: int) -> Path:
        """Leave a suspended machine. Returns the folder of its record."""
        folder = self.root / "state-dir" / "suspended" / str(number)
        folder.mkdir(parents=True)
        (folder / "state").write_bytes(b"memory")
        directory = str(self.root / "machines" / "default" / "m1" / f"m1-x-suspended-{number}")
        record = Suspended(
            str(number),
            "m1",
            "task hello/1.0",
            "build timeout",
            time.time(),
            "/l",
            Hardware("m1-x", directory, "02:00:00:00:00:01"),
            "tcg",
            SavedState(str(folder / "state"), "k", "q"),
        )
        (folder / "record.json").write_text(json.dumps(dataclasses.asdict(record)))
        return folder

    def run(self, name: str, *words: str) -> int:
        say = Diagnostics(1, stream=self.stream)
        return run_command(name, [*words, *self.words], t.cast("t.Any", None), say)


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Site(tmp_path)
    for number, handler in former.items():
        signal.signal(number, handler)


Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", ["1", "hello", "hello/1.0", "hello/"])
def test_a_log_is_found_by_whatever_a_task_is_called(site: Site, capsys: Output, name: str) -> None:
    (site.logs / "update.log").write_text("x")
    if name == "hello/":
        with pytest.raises(HostError, match="no task hello/ in the journal"):
            site.run("log", name)
        return
    assert site.run("log", name) == 0
    assert capsys.readouterr().out == (
        f"begun\n-- hello/1.0: running --\n-- {site.logs / 'update.log'}\n"
    )


@pytest.mark.parametrize(
    "name", ["2", "0", "hello/2.0", "other", "", "/", "9" * 30, "१", "-", "hello/1.0/x", "1.0"]
)
def test_a_task_that_there_is_not(site: Site, name: str) -> None:
    words = ["--", name] if name.startswith("-") else [name]
    site.words, words = [], [*site.words, *words]
    with pytest.raises(HostError, match=r"the last ones are: 1 \(hello/1\.0\)"):
        site.run("log", *words)


def test_a_journal_that_there_is_not(site: Site) -> None:
    Path(site.journal.path).unlink()
    with pytest.raises(HostError, match="the last ones are: none"):
        site.run("log", "hello")


def test_a_journal_that_is_none(site: Site) -> None:
    Path(site.journal.path).write_bytes(b"no database" * 1000)
    for words in (["log", "1"], ["log", "hello"], ["status"]):
        with pytest.raises(JournalError):
            site.run(*words)


def test_an_entry_that_is_damaged(site: Site) -> None:
    with sqlite3.connect(site.journal.path) as db:
        db.execute("UPDATE tasks SET logs = x'ff'")
    db.close()
    with pytest.raises(JournalError, match=r"task 1 in the journal .* is damaged"):
        site.run("log", "1")
    with pytest.raises(HostError, match=r"task 1, hello/1\.0, has no logs yet"):
        site.run("log", "hello")


def test_a_task_that_has_no_logs_yet(site: Site) -> None:
    number = site.task("2.0", None)
    with pytest.raises(HostError, match=f"task {number}, hello/2.0, has no logs yet"):
        site.run("log", str(number))


def test_logs_that_were_removed(site: Site) -> None:
    (site.logs / "agent.log").unlink()
    with pytest.raises(HostError, match=r"the logs of task 1, hello/1\.0, are gone: "):
        site.run("log", "1")


def test_a_log_that_is_no_text(site: Site, capsys: Output) -> None:
    (site.logs / "agent.log").write_bytes(b"\xff\xfe odd\n")
    assert site.run("log", "1") == 0
    assert "�� odd\n" in capsys.readouterr().out


def follow(site: Site, *moments: t.Callable[[], object]) -> t.Callable[[float], None]:
    """A sleep in which one thing after another happens."""
    left = list(moments)
    return lambda _seconds: left.pop(0)()


def test_who_follows_a_log_sees_its_last_line(
    site: Site, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Journal.get

    def last(journal: Journal, number: int) -> t.Any:
        # Between what was read and the look whether the task has ended.
        monkeypatch.setattr(Journal, "get", real)
        site.say("last")
        site.end()
        return real(journal, number)

    sleep = follow(
        site,
        lambda: site.say("more"),
        lambda: None,
        lambda: monkeypatch.setattr(Journal, "get", last),
    )
    monkeypatch.setattr(_commands.time, "sleep", sleep)
    assert site.run("log", "--follow", "1") == 0
    assert capsys.readouterr().out == "begun\nmore\nlast\n-- hello/1.0: abort --\n"


def test_who_follows_a_log_may_go(
    site: Site, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = follow(site, lambda: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(_commands.time, "sleep", sleep)
    assert site.run("log", "1", "--follow") == 0
    assert capsys.readouterr().out == "begun\n-- hello/1.0: running --\n"


def test_a_task_that_is_forgotten_while_somebody_follows_it(
    site: Site, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget() -> None:
        with sqlite3.connect(site.journal.path) as db:
            db.execute("DELETE FROM tasks")
        db.close()

    monkeypatch.setattr(_commands.time, "sleep", follow(site, forget))
    assert site.run("log", "1", "--follow") == 0
    assert capsys.readouterr().out == "begun\n"


def test_a_task_that_has_ended_is_not_waited_for(
    site: Site, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.end()
    monkeypatch.setattr(_commands.time, "sleep", lambda _seconds: pytest.fail("it waits"))
    assert site.run("log", "1", "--follow") == 0
    assert capsys.readouterr().out.endswith("-- hello/1.0: abort --\n")


def test_machines_that_failed(site: Site, capsys: Output) -> None:
    assert site.run("suspended") == 0
    assert capsys.readouterr().out == ""
    for number in (2, 10):
        site.suspend(number)
    assert site.run("suspended") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("2: machine m1, task hello/1.0: build timeout; since ")
    assert second.startswith("10: machine m1")


def test_a_record_that_lies_is_told_and_keeps_no_other_from_being_shown(
    site: Site, capsys: Output
) -> None:
    site.suspend(1)
    record = site.suspend(2) / "record.json"
    record.write_text(record.read_text().replace("m1-x-suspended-2", "m1-x"))
    assert site.run("suspended") == 0
    assert capsys.readouterr().out.startswith("1: machine m1")
    assert "error: a suspended machine's record is damaged" in site.stream.getvalue()


def test_who_throws_machines_away_throws_those_away(site: Site) -> None:
    folders = [site.suspend(number) for number in (1, 2, 3)]
    assert site.run("discard", "1", "3") == 0
    assert [folder.exists() for folder in folders] == [False, True, False]
    with pytest.raises(HostError, match="no suspended machine 1 on this host; there are: 2"):
        site.run("discard", "1")


def test_a_machine_that_somebody_looks_into_is_not_thrown_away(site: Site) -> None:
    folder = site.suspend(1)
    host = _commands.make_host(
        t.cast("t.Any", _Places(site.root)), t.cast("t.Any", None), lambda _line: None
    )
    with (
        host.lock("suspended-1", "look into it"),
        pytest.raises(LockError, match="cannot discard suspended machine 1"),
    ):
        site.run("discard", "1")
    assert folder.exists()


class _Places:
    storage, bridge, user = "auto", "br1", None
    egress, egress_refused, egress_proxy, resolver = "none", (), None, ()
    disk_reserve = 0

    def __init__(self, root: Path) -> None:
        self.machines, self.tftp = str(root / "machines"), str(root / "tftp")
        self.state_dir, self.runtime_dir = str(root / "state-dir"), str(root / "run")


@pytest.mark.parametrize("ended", [True, False])
def test_a_machine_that_goes_on(
    site: Site, capsys: Output, ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.suspend(1)

    def resume(_self: Suspensions, suspended: Suspended, alive: t.Callable[[], bool]) -> bool:
        assert suspended.id == "1"
        assert alive()
        if not ended:
            os.kill(os.getpid(), signal.SIGTERM)
        assert alive() is ended
        return ended

    monkeypatch.setattr(Suspensions, "resume", resume)
    assert site.run("resume", "1") == 0
    assert capsys.readouterr().out.splitlines() == [
        "machine m1 goes on; Ctrl-C suspends it again",
        "it has ended and is thrown away" if ended else "it is suspended again",
    ]


def test_what_goes_on_is_for_people_and_for_programs(site: Site, capsys: Output) -> None:
    assert site.run("status") == 0
    assert "agents: none\n" in capsys.readouterr().out
    assert site.run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["agents"] == []


def test_places_come_from_the_agents_own_options(site: Site, capsys: Output) -> None:
    words = [f"{site.words[i]} {site.words[i + 1]}\n" for i in range(0, len(site.words), 2)]
    options = site.root / "options"
    # With others, which are none of a command's business.
    options.write_text("".join([*words, "--cpu 4\n", "https://x/?build-task\n"]))
    site.words = []
    assert site.run("log", "--options-file", str(options), "1") == 0
    assert capsys.readouterr().out.startswith("begun\n")
    with pytest.raises(OptionsError):
        site.run("log", "--options-file", str(site.root / "gone"), "1")


@pytest.mark.parametrize("words", [["log"], ["log", "1", "2"], ["discard"], ["status", "--odd"]])
def test_a_command_that_is_not_understood(site: Site, words: list[str]) -> None:
    with pytest.raises(OptionsError):
        site.run(*words)
