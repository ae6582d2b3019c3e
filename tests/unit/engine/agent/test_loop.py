# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's loop with real signals to itself, and desks that do, refuse or raise anything."""

from __future__ import annotations

import io
import math
import os
import signal
import socket
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import loop as _loop
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.desks.base import Desk, Work
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.loop import Agent, run_agent
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import read_settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError

URL = "https://user:secret@ci.example.org/?build-task"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE)


class Script:
    """What the desks of a test do, turn by turn, and what became of them."""

    def __init__(self, *turns: t.Callable[[], object]) -> None:
        self.turns = list(turns)
        self.idle = True
        self.events: list[str] = []
        self.modes: list[str] = []
        self.state: t.Any = None
        self.others = 0
        self.stops: list[float] = []
        self.troubles: dict[str, str] = {}


class First(Desk[Work]):
    """A desk that has its turns as the script says."""

    name = "first"
    modes = ("run", "drain", "reload", "stop")
    script: t.ClassVar[Script]

    def turn(self, now: float) -> None:
        script = self.script
        script.state = self.state
        script.modes.append(self.state.mode)
        self._next = now + 0.01
        if script.turns:
            script.turns.pop(0)()
        elif len(script.modes) > 500:
            raise SystemExit("the agent does not end")

    def idle(self) -> bool:
        return self.script.idle

    def stop(self, deadline: float) -> None:
        self.script.events.append("stop")
        self.script.stops.append(deadline)

    def kill(self) -> None:
        self.script.events.append("kill")


class Second(Desk[Work]):
    """A desk that just counts its turns."""

    name = "second"

    def turn(self, now: float) -> None:
        self._next = now
        First.script.others += 1


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.stream = io.StringIO()
        words = []
        for option in ("machines", "tftp", "state-dir", "runtime-dir", "log-dir"):
            (root / option).mkdir()
            words += [f"--{option}", str(root / option)]
        # Options that can be read again, or not.
        (root / "options").write_text("--cpu 1\n")
        words += ["--options-file", str(root / "options"), "--toolchain-id", "t1"]
        self.words = [*words, "--fake-bootstrap", "--fake-build", URL]

    def run(self, *turns: t.Callable[[], object], idle: bool = True) -> Script:
        script = First.script = Script(*turns)
        script.idle = idle
        status = Agent(
            self.words,
            read_settings(self.words),
            t.cast("t.Any", None),
            Diagnostics(1, stream=self.stream),
        ).run()
        assert status == 0
        # Its lease is gone with it.
        assert list((self.root / "state-dir" / "leases").iterdir()) == []
        return script

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Site]:
    monkeypatch.setattr(_loop, "_DESKS", (First, Second))
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    former = {number: signal.getsignal(number) for number in SIGNALS}
    yield Site(tmp_path)
    for number, handler in former.items():
        signal.signal(number, handler)


def send(*numbers: signal.Signals) -> t.Callable[[], None]:
    def turn() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)

    return turn


def nothing() -> None:
    """A turn in which nothing is due."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_agent_that_is_told_to_end_has_its_desks_end_and_waits_for_them(
    site: Site, number: signal.Signals
) -> None:
    turns = [nothing, send(number), nothing, nothing, lambda: setattr(First.script, "idle", True)]
    script = site.run(*turns, idle=False)
    assert script.events == ["stop"]
    assert script.modes == ["run", "run", "stop", "stop", "stop"]
    assert f"info: {number.name}: ending, 0 tasks running" in site.lines
    # What is to be said at last is said at once.
    assert script.state.called == {"tasks": True, "outbox": True}


def test_what_is_wrong_is_in_the_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[t.Any] = []
    monkeypatch.setattr(First, "troubles", lambda _desk: dict(First.script.troubles))

    def look() -> None:
        (record,) = First.script.state.duties.host.leases.records().values()
        seen.append(record.get("troubles"))

    def begin() -> None:
        First.script.troubles = {"host": "no QEMU"}

    def end() -> None:
        First.script.troubles = {}

    site.run(begin, look, end, look, send(signal.SIGTERM))
    assert seen == [{"host": "no QEMU"}, {}]


def test_desks_that_do_not_end_in_time_are_killed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_loop, "STOPPING", 0.05)
    script = site.run(send(signal.SIGTERM), idle=False)
    assert script.events == ["stop", "kill"]
    assert script.stops[0] < math.inf


def test_a_second_signal_gives_no_more_time_and_changes_no_mind(site: Site) -> None:
    script = site.run(
        send(signal.SIGTERM),
        send(signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1),
        lambda: setattr(First.script, "idle", True),
        idle=False,
    )
    assert script.events == ["stop"]
    assert set(script.modes) == {"run", "stop"}


def test_an_agent_that_drains_stops_nothing(site: Site) -> None:
    script = site.run(
        send(signal.SIGUSR1), nothing, lambda: setattr(First.script, "idle", True), idle=False
    )
    assert script.events == []
    assert script.modes == ["run", "drain", "drain"]
    assert "info: SIGUSR1: ending when the running tasks have ended" in site.lines


def test_an_agent_that_drains_can_be_told_to_end(site: Site) -> None:
    script = site.run(
        send(signal.SIGUSR1),
        send(signal.SIGTERM),
        lambda: setattr(First.script, "idle", True),
        idle=False,
    )
    assert script.modes == ["run", "drain", "stop"]
    assert script.events == ["stop"]


@pytest.fixture
def execv(monkeypatch: pytest.MonkeyPatch) -> list[t.Any]:
    """What the agent has become."""
    become: list[t.Any] = []
    monkeypatch.setattr(os, "execv", lambda *arguments: become.append(arguments))
    return become


def test_an_agent_that_is_to_read_its_options_becomes_another(
    site: Site, execv: list[t.Any]
) -> None:
    script = site.run(
        send(signal.SIGHUP), nothing, lambda: setattr(First.script, "idle", True), idle=False
    )
    assert script.modes == ["run", "reload", "reload"]
    assert script.events == []
    assert execv == [(sys.executable, [sys.executable, sys.argv[0], *site.words])]


@pytest.mark.parametrize("content", ["--no-such-option\n", "--cpu none\n", None])
def test_options_that_are_wrong_leave_the_agent_as_it_is(
    site: Site, execv: list[t.Any], content: str | None
) -> None:
    path = site.root / "options"

    def spoil() -> None:
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        os.kill(os.getpid(), signal.SIGHUP)

    script = site.run(spoil, nothing, send(signal.SIGTERM))
    assert script.modes == ["run", "run", "run"]
    assert execv == []
    (line,) = [line for line in site.lines if line.startswith("error: ")]
    assert line.startswith("error: SIGHUP: the options stay as they were: ")


def test_an_agent_that_was_to_reload_and_is_to_end_ends(site: Site, execv: list[t.Any]) -> None:
    script = site.run(
        send(signal.SIGHUP),
        send(signal.SIGTERM),
        lambda: setattr(First.script, "idle", True),
        idle=False,
    )
    assert script.modes == ["run", "reload", "stop"]
    assert execv == []


def test_a_signal_that_comes_while_it_reloads_is_not_lost(
    site: Site, execv: list[t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # After the last look, before the other agent is there.
    monkeypatch.setattr(First, "idle", lambda _self: send(signal.SIGTERM)() or True)
    script = site.run(send(signal.SIGHUP))
    assert script.modes[0] == "run"
    assert execv == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        HostError("no toolchain"),
        ValueError("odd\ntext"),
        MemoryError(),
        RecursionError(),
        KeyError("missing"),
        AssertionError(),
    ],
    ids=repr,
)
def test_a_desk_that_raises_anything_keeps_no_other_from_its_work(
    site: Site, error: Exception
) -> None:
    def fail() -> None:
        raise error

    # Of a desk that rests the next turn is later: the signal comes with the one that fails.
    def last() -> None:
        send(signal.SIGTERM)()
        fail()

    script = site.run(last)
    assert script.others > 0
    (line,) = [line for line in site.lines if line.startswith("error: ")]
    assert "first rests for" in line


def test_who_may_know_is_told_what_it_is(site: Site) -> None:
    site.run(send(signal.SIGTERM))
    text = site.stream.getvalue()
    assert f"process {os.getpid()}" in text
    assert "toolchain default, number 1" in text
    assert "accelerator tcg: no machine is booted" in text
    assert "secret" not in text


def test_others_see_what_it_is_by_its_lease(site: Site) -> None:
    seen: list[dict[str, t.Any]] = []

    def look() -> None:
        seen.extend(First.script.state.duties.host.leases.records().values())
        assert First.script.state.duties.owner == First.script.state.lease.name

    site.run(look, send(signal.SIGTERM))
    (record,) = seen
    assert (record["what"], record["toolchain"], record["instance_max"]) == ("agent", "default", 1)


def test_the_service_manager_knows_how_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(site.root / "notify")
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)

        def listen() -> None:
            while (words := manager.recv(1000).decode()) != "over":
                told.append(words)

        # Few datagrams wait to be taken.
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "20000")
        site.run(
            nothing,
            send(signal.SIGUSR1),
            send(signal.SIGTERM),
            lambda: setattr(First.script, "idle", True),
            idle=False,
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"over", path)
        listener.join()
    # A desk's turn has to be over soon, else the agent is taken for one that hangs.
    assert told[:3] == ["WATCHDOG=1", "WATCHDOG=1", "READY=1"]
    others = [line for line in told[3:] if line != "WATCHDOG=1"]
    assert others == [
        "STATUS=no task; 0 machines",
        "STATUS=draining, no task; 0 machines",
        "STOPPING=1",
        "STATUS=ending, no task; 0 machines",
    ]


def test_a_descriptor_of_a_desk_wakes_the_loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen: list[bool] = []

        def wait() -> None:
            # Nothing is due any more: without the descriptor this would last a minute.
            monkeypatch.setattr(First, "wake", lambda _self: math.inf)
            monkeypatch.setattr(Second, "wake", lambda _self: math.inf)
            monkeypatch.setattr(First, "sources", lambda _self: [ours])
            monkeypatch.setattr(First, "due", lambda _self: 0.0)
            theirs.send(b"x")

        def take() -> None:
            seen.append(ours.recv(1) == b"x")
            os.kill(os.getpid(), signal.SIGTERM)

        site.run(wait, take)
    assert seen == [True]


def run(site: Site) -> int:
    First.script = Script()
    say = Diagnostics(1, stream=site.stream)
    return run_agent(site.words, read_settings(site.words), t.cast("t.Any", None), say)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (HostError("no user x on this host"), 1, "error: no user x on this host"),
        (OSError(28, "No space left on device", "/x"), 1, "error: the build host failed: /x: No"),
        (KeyboardInterrupt(), 0, ""),
    ],
    ids=repr,
)
def test_an_agent_that_cannot_begin(
    site: Site, error: BaseException, status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: t.Any) -> t.NoReturn:
        raise error

    monkeypatch.setattr(Agent, "_introduce", fail)
    assert run(site) == status
    assert words in site.stream.getvalue()
    assert list((site.root / "state-dir" / "leases").iterdir()) == []


def test_an_agent_whose_state_cannot_be_kept(site: Site) -> None:
    (site.root / "state-dir").rmdir()
    (site.root / "state-dir").write_text("in the way")
    assert run(site) == 1
    assert "error: the build host failed: " in site.stream.getvalue()


def test_a_defect_is_not_taken_for_an_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agent, "_introduce", lambda _self: {}["missing"])
    with pytest.raises(KeyError):
        run(site)
