# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An agent among controllers that misbehave at random, whose clock is stepped by hours.

One leftover cannot be deleted, all the while. What the agent does and says must stay level, and
no result be lost: a minute shows what is wrong, an hour (`-m long`) what grows.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import itertools
import os
import random
import subprocess
import tarfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.artifacts import FILE
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import leased
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    ResultRequest,
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from helpers import controller as wire
from helpers.agents import RunningAgent, engine, journal
from helpers.build_host import BuildHost, make_task
from helpers.waiting import until

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

# Into how many parts the time is divided, which must not differ.
PARTS = 10

# Notes each fork of the process that it is loaded into, by a byte in a file.
COUNTER = """
import os
_file = os.open(os.environ["FORKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.register_at_fork(after_in_parent=lambda: os.write(_file, b"."))
"""

REQUEST = b""": 1
agent: soak
toolchain-name: default
toolchain-version: 0.17.0
:
id: other-1
name: other
summary: A test
"""

HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"


class Moody(wire.Controller):
    """Spoils a share of the exchanges; has a new task for whoever asks, while it is generous."""

    def __init__(self, seed: int, share: float, **options: t.Any) -> None:
        super().__init__(**options)
        self.random = random.Random(seed)
        self.share = share
        self.spoiled: collections.Counter[str] = collections.Counter()
        self.exchanges = 0
        self.asked = 0
        self.generous = True
        # Sessions whose result was answered with something that says yes and is none.
        self.lied: set[str] = set()
        # When the result of each session was sent.
        self.attempts: dict[str, list[float]] = collections.defaultdict(list)

    def take_fault(self, kind: str) -> wire.Fault | None:
        with self._lock:
            self.exchanges += 1
            if kind == "task":
                self.asked += 1
                if self.generous and not any(task.name.startswith("hello") for task in self.tasks):
                    task = make_task(name=f"hello-{self.asked}", machine=f"m{self.asked % 3}")
                    self.tasks.append(task)
            # Where others are sent on to, everything is refused already.
            if not kind or self.random.random() >= self.share:
                return None
            faults: dict[str, wire.Fault] = {
                "reset": wire.reset,
                "half": wire.half,
                "refused": wire.status(503, "busy"),
                "wrong": wire.status(400, "bad\nrequest"),
                "large": wire.status(413, "payload too large"),
                "html": self._lie(kind, HTML),
                "slow": wire.drip(0.5),
                "login": wire.redirect(302, f"{self.base}login"),
                "garbage": self._lie(kind, self.random.randbytes(200)),
            }
            name = self.random.choice(sorted(faults))
            self.spoiled[f"{kind} {name}"] += 1
            return self._noting(faults[name]) if kind == "result" else faults[name]

    def _lie(self, kind: str, answer: bytes) -> wire.Fault:
        def fault(handler: t.Any, body: bytes) -> None:
            if kind == "result":
                self.lied.add(_session(body))
            wire.raw(answer)(handler, body)

        return fault

    def _noting(self, fault: wire.Fault) -> wire.Fault:
        def noting(handler: t.Any, body: bytes) -> None:
            self.attempts[_session(body)].append(time.monotonic())
            fault(handler, body)

        return noting

    def take(self, body: bytes) -> bytes:
        self.attempts[_session(body)].append(time.monotonic())
        return super().take(body)


def _session(body: bytes) -> str:
    return ResultRequest.parse(body).session


def odd_archive(choice: random.Random) -> bytes:
    """What a guest may have uploaded instead of artifacts, or with them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo(f"upload/bindist/hello/{choice.randrange(1000)}.bin")
        member.size = choice.randrange(20000)
        archive.addfile(member, io.BytesIO(choice.randbytes(member.size)))
        if choice.random() < 0.3:
            odd = tarfile.TarInfo("upload/bindist/hello/odd")
            odd.type = choice.choice([tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
            odd.linkname = "/etc/shadow"
            archive.addfile(odd)
    data = bytearray(buffer.getvalue())
    for _dummy in range(choice.choice([0, 0, 1, 5])):
        data[choice.randrange(len(data))] = choice.randrange(256)
    return bytes(data[: choice.choice([len(data), len(data), choice.randrange(len(data))])])


def add_artifacts(host: BuildHost, moody: Moody, number: int, choice: random.Random) -> None:
    """Have a performed task in the journal whose worker has uploaded something odd.

    This is how it is when the agent was killed after a task.
    """
    task = make_task(name=f"odd-{number}", machine="other")
    with moody._lock:
        moody.tasks.append(task)
    response = TaskResponse.parse(moody.give(REQUEST).decode())
    assert response.task is not None
    assert response.task.name == task.name
    logs = host.logs / f"odd-{number}"
    (logs / "artifacts").mkdir(parents=True)
    (logs / "artifacts" / FILE).write_bytes(odd_archive(choice))
    noted = journal(host)
    entry = noted.accept(
        response, toolchain="default", controller=moody.url, answer=None, timeout=3600
    )
    # Of a living owner: the agent would give a dead one's task back in the midst of this.
    with leased(host.engine(), what="test") as lease:
        noted.own(entry, lease.name, str(logs))
        assert noted.store(entry, Result.for_task(task))


@dataclasses.dataclass(frozen=True)
class Sample:
    """What the agent has used so far: forks, lines, CPU seconds; and holds: KiB, descriptors.

    It has done so for so many exchanges with controllers.
    """

    exchanges: int
    forks: int
    lines: int
    cpu: float
    memory: int
    descriptors: int


class Soak:
    """The agent, its controllers and its clock, for so many seconds."""

    def __init__(self, host: BuildHost, folder: Path, seconds: float) -> None:
        self.host = host
        self.folder = folder
        self.seconds = seconds
        self.choice = random.Random(11)
        self.samples: list[Sample] = []
        self.clock = folder / "clock"
        self.forks = folder / "forks"
        self.clock.write_text("+0")
        (folder / "sitecustomize.py").write_text(COUNTER)

    def environment(self) -> dict[str, str]:
        assert FAKETIME is not None, "install the package faketime"
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FORKS": str(self.forks),
            "PYTHONPATH": str(self.folder),
        }

    def sample(self, agent: RunningAgent, *controllers: Moody) -> Sample:
        proc = Path("/proc", str(agent.process.pid))
        times = proc.joinpath("stat").read_text().rpartition(")")[2].split()[11:15]
        fields = dict(
            line.split(":", 1) for line in proc.joinpath("status").read_text().splitlines()
        )
        return Sample(
            sum(each.exchanges for each in controllers),
            self.forks.stat().st_size,
            len(agent.lines),
            sum(map(int, times)) / os.sysconf("SC_CLK_TCK"),
            int(fields["VmRSS"].split()[0]),
            len(list(proc.joinpath("fd").iterdir())),
        )

    def run(
        self, agent: RunningAgent, moody: Moody, leaving: Moody, leave: t.Callable[[], None]
    ) -> None:
        """Let it all happen: a part at a time, the clock stepped in three of them."""
        steps = {2: "+5h", 5: "-5h", 7: "+0"}
        self.samples.append(self.sample(agent, moody, leaving))
        number = 0
        for part in range(PARTS):
            if part in steps:
                self.clock.write_text(steps[part])
            if part == PARTS // 2:
                leave()
            end = time.monotonic() + self.seconds / PARTS
            while time.monotonic() < end:
                number += 1
                add_artifacts(self.host, moody, number, self.choice)
                time.sleep(min(2.0, self.seconds / PARTS / 3))
            self.samples.append(self.sample(agent, moody, leaving))

    def cost(self, name: str, begin: int, end: int) -> float:
        """How much of `name` an exchange has taken, from one sample to another."""
        first, last = self.samples[begin], self.samples[end]
        spent: float = getattr(last, name) - getattr(first, name)
        return spent / max(1, last.exchanges - first.exchanges)


@pytest.fixture
def stuck(host: BuildHost) -> t.Iterator[None]:
    """A host with a work snapshot of a process that is no more, which cannot be deleted."""
    for name in ("m0", "m1", "m2"):
        host.install(name)
    process = subprocess.Popen(["true"])
    process.wait()
    path = host.volume / "m0" / f"m0-default-{process.pid}-1"
    host.storage.create(str(path))
    host.storage.create(str(path / "nested"))
    try:
        yield
    finally:
        host.storage.delete(str(path / "nested"))
        host.storage.delete(str(path))


@pytest.mark.usefixtures("stuck")
@pytest.mark.parametrize("seconds", [40, pytest.param(3600, marks=pytest.mark.long)])
def test_nothing_grows_and_no_result_is_lost(
    host: BuildHost, tmp_path: Path, seconds: float
) -> None:
    soak = Soak(host, tmp_path, seconds)
    # The one that leaves for good has none of its results taken then.
    with Moody(1, 0.4, upload_types=["bindist"]) as moody:
        leaving = Moody(2, 0.1)
        leaving.__enter__()
        left = threading.Event()

        def leave() -> None:
            left.set()
            leaving.__exit__()

        try:
            with RunningAgent(
                host,
                moody,
                leaving,
                fake_bootstrap=True,
                fake_build=True,
                poll_interval=1,
                result_timeout=max(20, int(seconds / 10)),
                instance_max=2,
                environment={**engine(host.root), **soak.environment()},
            ) as agent:
                agent.says("cannot delete the left-over snapshot")
                soak.run(agent, moody, leaving, leave)
                moody.share = 0.0
                moody.generous = False
                until(lambda: not journal(host).queue(), "the queue is empty", 700 + seconds / 10)
                moody.tasks.append(make_task(name="last", machine="m1"))
                until(
                    lambda: any(each.result.name == "last" for each in moody.arrivals),
                    "a task is taken and its result has arrived",
                    330,
                )
        finally:
            if not left.is_set():
                leaving.__exit__()
    print(f"\n{dict(moody.spoiled)}\n{soak.samples}")

    rows = journal(host).latest(100_000)
    noted = [entry for row in rows if (entry := journal(host).get(row.id))]
    states = collections.Counter(entry.state for entry in noted)
    print(states)
    assert set(states) <= {"delivered", "expired"}
    arrived = [each.session for each in moody.arrivals]
    assert len(arrived) == len(set(arrived)) > seconds / 20
    # Each task that was given has its result there, or it was wanted no more.
    lost = {*moody.outstanding(), *leaving.outstanding()}
    expired = {entry.session for entry in noted if entry.state == "expired"}
    unexplained = lost - expired - moody.lied - leaving.lied
    told = [(e.session, e.state, e.attempts, e.last_error, e.reason) for e in noted]
    assert not unexplained, [each for each in told if each[0] in unexplained]
    assert len(moody.spoiled) > 8

    # Nothing is tried more often than once in a second, but for a result that was too large.
    gaps = [
        later - former
        for each in (moody, leaving)
        for times in each.attempts.values()
        for former, later in itertools.pairwise(times)
    ]
    hurried = [gap for gap in gaps if gap < 0.9]
    assert gaps
    assert len(hurried) <= moody.spoiled["result large"] + leaving.spoiled["result large"]
    # How much is done depends on how busy the machine is; what it takes does not.
    half = PARTS // 2
    for name in ("forks", "lines", "cpu"):
        early, late = soak.cost(name, 0, half), soak.cost(name, half, PARTS)
        assert late <= 2.5 * early, (name, early, late)
    assert soak.samples[-1].descriptors <= soak.samples[1].descriptors + 4
    assert soak.samples[-1].memory <= soak.samples[1].memory + 8192
    leftovers = [line for line in agent.lines if "left-over snapshot" in line]
    assert len(leftovers) <= 2 + seconds / 600, leftovers
