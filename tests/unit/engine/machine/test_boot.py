# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop that serves a machine: what it says, and how it ends, by a real server and sockets."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import Interrupted
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import boot as _boot
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import writes as _writes
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.boot import (
    Boot,
    CompanionError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Server
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError


class Guest:
    """A machine of which a test holds the other ends; `out_of_space` as QEMU tells it."""

    def __init__(self) -> None:
        self.console, self.says = socket.socketpair()
        self.progress, self.gets_on = socket.socketpair()
        self.monitor, self.qemu = socket.socketpair()
        for sock in (self.console, self.progress):
            sock.setblocking(False)
        self.end, self.ended = socket.socketpair()
        self.hardware = types.SimpleNamespace(name="m1", directory="/m/m1-t-1-0")
        self.alive = True
        self.out_of_space = False
        self.exit_status: int | None = None
        self.heard = 0
        self.monitored = True
        self.bytes = 0
        self.asked = 0
        self.tended: list[float] = []

    def tend(self, now: float) -> None:
        self.tended.append(now)

    def written(self) -> int:
        self.asked += 1
        return self.bytes

    def fileno(self) -> int:
        return self.end.fileno()

    def running(self) -> bool:
        return self.alive

    def listen(self) -> bool:
        self.heard += 1
        self.monitor.recv(100)
        return self.monitored

    def close(self) -> None:
        for sock in (self.console, self.says, self.progress, self.gets_on, self.monitor):
            sock.close()
        for sock in (self.qemu, self.end, self.ended):
            sock.close()


class Site:
    def __init__(self, root: Path, dnsmasq: object = None) -> None:
        self.root = root
        self.lines: list[str] = []
        self.wanted = True
        self.checks = 0
        self.broken = False
        self.guest = Guest()
        (root / "get").mkdir()
        (root / "put").mkdir()
        (root / "get" / "manifest").write_text("a task\n")
        self.server = Server("127.0.0.1", 0, get_root=str(root / "get"), put_root=str(root / "put"))
        self.host = Host(run=t.cast("t.Any", None), storage=t.cast("t.Any", None))
        self.boot = Boot(
            self.host,
            t.cast("t.Any", self.guest),
            t.cast("t.Any", types.SimpleNamespace(dnsmasq=dnsmasq, check=self.check)),
            self.server,
            self.lines.append,
            lambda: self.wanted,
        )
        self.boot.listen(str(root))

    def check(self) -> None:
        self.checks += 1
        if self.broken:
            raise NetworkError("no bridge br7")

    def serve(self, *steps: t.Callable[[], object], timeout: float = 60) -> str:
        """Serve, and before each look whether it is done take a step; done without one."""
        left = list(steps)

        def done() -> bool:
            if left:
                left.pop(0)()
                return False
            return not steps or self.guest.alive

        return self.boot.serve(done, timeout)


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.boot.close()
    made.server.close()
    made.guest.close()


def test_what_a_machine_says_goes_to_its_logs_and_to_who_listens(site: Site) -> None:
    steps = (
        lambda: site.guest.says.send(b"booting\r\nlogin: "),
        lambda: site.guest.gets_on.send(b"update\nte"),
        lambda: site.guest.gets_on.send(b"st\n"),
    )
    assert site.serve(*steps) == "done"
    assert (site.root / "console.log").read_bytes() == b"booting\nlogin: "
    assert site.lines == ["update", "test"]
    assert site.boot.last_words() == "login:"


def test_a_machine_that_ends_is_heard_to_its_last_word(site: Site) -> None:
    def end() -> None:
        site.guest.says.sendall(b"".join(b"line %d\n" % number for number in range(10_000)))
        site.guest.gets_on.send(b"bye\n")
        site.guest.alive = False

    assert site.serve(end) == "ended"
    assert site.boot.last_words() == "line 9999"
    assert (site.root / "console.log").read_bytes().count(b"\n") == 10_000
    assert site.lines == ["bye"]


@pytest.mark.parametrize("outcome", ["done", "ended", "timeout", "writes"])
def test_what_is_said_last_is_heard_whatever_the_outcome(site: Site, outcome: str) -> None:
    """It is there before the outcome is, as a guest says it before it sends its result."""

    def done() -> bool:
        if outcome == "writes":
            site.boot.limit(1)
            site.guest.bytes = 1025
        site.guest.says.sendall(b"last words\n")
        site.guest.gets_on.sendall(b"+update\n")
        site.guest.alive = outcome != "ended"
        return outcome == "done"

    assert site.boot.serve(done, 0 if outcome == "timeout" else 60) == outcome
    assert site.boot.last_words() == "last words"
    assert set(site.lines) == {"+update"}


def test_one_that_never_stops_talking_holds_nobody_up(site: Site) -> None:
    said = site.guest.says
    said.setblocking(False)

    class Endless(_boot.Channel):
        def read(self) -> bool:
            with contextlib.suppress(BlockingIOError):
                while said.send(b"x" * 1000):
                    pass
            return super().read()

    for channel in site.boot._channels:
        channel.__class__ = Endless
    said.send(b"x")
    assert site.serve() == "done"


def test_what_a_companion_says_last_is_heard(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")
    try:
        site.boot.accompany([other.boot])
        other.guest.gets_on.sendall(b"ready\n")
        assert site.serve() == "done"
        assert other.lines == ["ready"]
    finally:
        site.boot.accompany(())
        other.boot.close()
        other.server.close()
        other.guest.close()


def test_a_machine_that_writes_too_much(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_writes, "_INTERVAL", 0.0)
    assert site.serve(lambda: None) == "done"
    assert site.guest.asked == 0
    site.boot.limit(2)
    site.guest.bytes = 2048
    assert site.serve(lambda: None) == "done"
    assert site.guest.asked == 1
    site.guest.bytes = 2049
    assert site.serve(lambda: None) == "writes"


def test_what_companions_write_counts(site: Site) -> None:
    site.guest.bytes = 1024
    other = types.SimpleNamespace(written=lambda: 1025)
    both = [t.cast("t.Any", each) for each in (site.guest, other)]
    writes = _writes.Writes(2, both)
    assert writes.too_many(5.0)
    # QEMU is not asked each time something is served.
    site.guest.bytes = 0
    assert not writes.too_many(6.9)
    assert site.guest.asked == 1
    assert not writes.too_many(7.0)
    assert site.guest.asked == 2


def test_what_arrives_as_the_machine_ends_has_arrived(site: Site) -> None:
    arrived: list[bool] = []

    def done() -> bool:
        if arrived:
            return True
        site.guest.alive = False
        arrived.append(True)
        return False

    assert site.boot.serve(done, 60) == "done"


def test_a_machine_that_says_nothing_has_its_time(site: Site) -> None:
    assert site.serve(*[lambda: None] * 5, timeout=0) == "timeout"
    assert site.boot.last_words() == ""


def test_nobody_waits_for_what_is_not_wanted(site: Site) -> None:
    site.wanted = False
    with pytest.raises(Interrupted):
        site.serve(lambda: None)


def test_ends_of_streams_are_no_ends_of_machines(site: Site) -> None:
    """Else a loop that looks at what is readable would spin."""

    def hang_up() -> None:
        site.guest.says.close()
        site.guest.gets_on.close()
        site.guest.monitored = False
        site.guest.qemu.send(b"x")

    def count() -> None:
        rounds.append(site.guest.heard)

    rounds: list[int] = []
    site.serve(hang_up, lambda: None, lambda: None, count)
    # One stream after another is left alone; the server's goes on.
    assert site.guest.heard == 1
    keys = site.boot._selector.get_map()
    assert {key.data for key in keys.values()} == {site.server, site.guest}


def test_a_guest_is_served_meanwhile(site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.bind(("127.0.0.1", 0))
        place = (site.server.address, site.server.port)

        def ask() -> None:
            client.sendto(b"\0\1manifest\0octet\0", place)

        answers: list[bytes] = []

        def done() -> bool:
            if not answers:
                answers.append(b"")
                ask()
                return False
            client.setblocking(False)
            try:
                answers.append(client.recv(1000))
            except BlockingIOError:
                return False
            return True

        assert site.boot.serve(done, 60) == "done"
    assert answers[-1] == b"\0\3\0\1a task\n"


def test_the_time_in_which_it_stands_still_is_not_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(_boot, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    stood = [0.0, 50.0, 50.0]
    monkeypatch.setattr(site.boot._stall, "look", lambda _now: stood.pop(0) if stood else 0.0)

    def later() -> None:
        now[0] += 50

    # 60 seconds of its own: without what it stood still these would be over.
    assert site.serve(lambda: None, later, later, timeout=60) == "done"
    assert site.serve(lambda: None, later, later, timeout=60) == "timeout"


def test_a_machine_that_stands_still_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_now: float) -> t.NoReturn:
        raise VmError("no space left")

    monkeypatch.setattr(site.boot._stall, "look", look)
    with pytest.raises(VmError):
        site.serve(lambda: None)


class Dnsmasq:
    """A dnsmasq of which a test holds the other end."""

    def __init__(self) -> None:
        self.end, self.other = socket.socketpair()

    def fileno(self) -> int:
        return self.end.fileno()

    def check(self) -> None:
        if select.select([self], [], [], 0)[0]:
            raise NetworkError("dnsmasq has ended")


def test_a_network_that_fails_is_no_fault_of_the_machine(tmp_path: Path) -> None:
    dnsmasq = Dnsmasq()
    site = Site(tmp_path, dnsmasq)
    with dnsmasq.end, pytest.raises(NetworkError, match="dnsmasq has ended"):
        # As long as it is there nothing is amiss, whoever else has something to say.
        site.serve(lambda: site.guest.ended.send(b"x"), dnsmasq.other.close, lambda: None)
    site.boot.close()
    site.server.close()
    site.guest.close()


def test_a_guest_that_has_lost_its_network_is_not_blamed(site: Site) -> None:
    site.broken = True
    with pytest.raises(NetworkError, match="no bridge br7"):
        site.boot.serve(lambda: False, 60)
    site.broken = False
    assert site.boot.serve(lambda: False, 0.2) == "timeout"
    # Once a second, however much there is to do.
    assert site.checks == 1


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    site = Site(tmp_path)
    assert site.boot.serve(lambda: True, 1) == "done"
    site.boot.close()
    site.server.close()
    site.guest.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def other(tmp_path: Path) -> t.Iterator[Site]:
    (tmp_path / "other").mkdir()
    made = Site(tmp_path / "other")
    yield made
    made.boot.close()
    made.server.close()
    made.guest.close()


def test_companions_are_served_and_heard_meanwhile(site: Site, other: Site) -> None:
    site.boot.accompany([other.boot])
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect((other.server.address, other.server.port))
    client.settimeout(5)
    steps = (
        lambda: other.guest.says.send(b"ready\n"),
        lambda: client.send(b"\0\1manifest\0octet\0"),
        lambda: other.guest.gets_on.send(b"a query\n"),
        lambda: None,
    )
    assert site.serve(*steps) == "done"
    assert client.recv(100)[4:] == b"a task\n"
    client.close()
    assert (other.root / "console.log").read_bytes() == b"ready\n"
    assert other.lines == ["a query"]
    # From then on they are on their own.
    site.boot.accompany(())
    other.guest.alive = False
    assert site.serve(lambda: None) == "done"


def test_a_companion_that_ends_ends_it_all(site: Site, other: Site) -> None:
    def end() -> None:
        other.guest.alive = False
        other.guest.ended.send(b"x")

    site.boot.accompany([other.boot])
    with pytest.raises(CompanionError, match="machine m1, which the task needs") as caught:
        site.serve(end)
    assert caught.value.boot is other.boot
    assert caught.value.culprit == "machine"
