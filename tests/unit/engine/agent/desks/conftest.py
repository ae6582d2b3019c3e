# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An agent's desks without an agent: a clock set by hand, and jobs that fork nothing."""

from __future__ import annotations

import io
import itertools
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.desks import (
    asking,
    bootstraps,
    outbox,
    recovery,
    rehearsals,
    survey,
    tasks,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.desks.base import Desk
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.duties import Duties
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import JobError
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import read_settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.state import State
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator

URL = "http://127.0.0.1:9/?build-task"

DESKS: dict[str, type[Desk[t.Any]]] = {
    "recovery": recovery.RecoveryDesk,
    "survey": survey.SurveyDesk,
    "rehearsals": rehearsals.RehearsalsDesk,
    "tasks": tasks.TasksDesk,
    "bootstraps": bootstraps.BootstrapsDesk,
    "asking": asking.AskingDesk,
    "outbox": outbox.OutboxDesk,
}

RESPONSE = """: 1
session: t/hello/1.0/linux/default//public/0.17.0/1
result-url: http://127.0.0.1:9/?build-result
:
name: hello
version: {version}
repository-url: http://x.example/hello.tar.gz
machine: m1
"""


class Clock:
    """The monotonic clock, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _fail(error: Exception) -> t.NoReturn:
    raise error


class FakeJob:
    """A job that forks nothing, and ends when it is told to."""

    started: t.ClassVar[list[FakeJob]] = []
    # What keeps jobs from being started.
    obstacle: t.ClassVar[Exception | None] = None
    # What jobs leave as soon as they are started.
    at_once: t.ClassVar[t.Any] = None
    attempts: t.ClassVar[list[float]] = []
    clock: t.ClassVar[t.Any] = None

    def __init__(
        self, name: str, work: t.Any, kind: type[t.Any], *, timeout: float | None = None
    ) -> None:
        FakeJob.attempts.append(FakeJob.clock())
        if FakeJob.obstacle is not None:
            _fail(FakeJob.obstacle)
        self.name, self.work, self.kind = name, work, kind
        self.deadline: float | None = None
        self.outcome: t.Any = FakeJob.at_once
        self.signals: list[str] = []
        FakeJob.started.append(self)

    def ended(self) -> bool:
        return self.outcome is not None

    def result(self) -> t.Any:
        if isinstance(self.outcome, Exception):
            _fail(self.outcome)
        return self.outcome

    def terminate(self) -> None:
        self.signals.append("terminate")

    def kill(self) -> None:
        self.signals.append("kill")


class Store:
    """Storage in which everything is there, and some things cannot be deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.stuck: list[str] = []

    def info(self, path: str) -> object | None:
        return object() if os.path.exists(path) else None

    def delete(self, path: str) -> None:
        if path in self.stuck:
            raise OSError(39, "it holds other subvolumes", path)
        self.deleted.append(path)
        os.rmdir(path)

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        if found:
            self.delete(path)
        return found

    def tidy(self, _directory: str) -> list[str]:
        return []


class Lease:
    """The agent's lease."""

    name = "1-0@1.000"

    def __init__(self) -> None:
        self.told: list[dict[str, t.Any]] = []

    def tell(self, **facts: t.Any) -> None:
        self.told.append(facts)


class Office:
    """The desks' surroundings, real but for storage, jobs and the clock."""

    def __init__(self, root: Path) -> None:
        for name in ("machines/default/m1", "tftp/toolchains", "state", "run", "log"):
            (root / name).mkdir(parents=True)
        self.root = root
        self.clock = Clock()
        self.stream = io.StringIO()
        self.say = Diagnostics(1, stream=self.stream)
        places = {"machines": "machines", "tftp": "tftp", "state-dir": "state"}
        places |= {"runtime-dir": "run", "log-dir": "log"}
        words = [w for name, path in places.items() for w in (f"--{name}", str(root / path))]
        words += ["--toolchain-id", "t1", "--accelerator", "tcg", "--suspend-max", "1", URL]
        self.duties = Duties(read_settings(words), t.cast("t.Any", None), self.say, Lease.name)
        self.duties._accelerator = Accelerator("tcg", "for tests")
        self.store = Store()
        object.__setattr__(self.duties.host, "storage", self.store)
        self.lease = Lease()
        self.state = State(self.duties, t.cast("t.Any", self.lease), self.say, self.clock)
        self.state.duties.machines = lambda: [self.machine()]  # type: ignore[method-assign]

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def errors(self) -> list[str]:
        return [line for line in self.lines if line.startswith("error: ")]

    def machine(self, state: str = "current", name: str = "m1") -> Machine:
        folder = str(self.root / "machines" / "default" / name)
        manifest = MachineManifest(
            id=f"{name}-1", name=name, summary="x", type="kvm", mac="02:00:00:00:00:01"
        )
        old = BootstrappedMachine(manifest, ToolchainManifest("t1"), BootstrapResult())
        return Machine(
            "default",
            name,
            folder,
            f"{folder}/{name}-default",
            t.cast("t.Any", state),
            manifest=manifest,
            bootstrapped=old if state == "current" else None,
        )

    def entry(self, *, version: str = "1.0", stored: bool = False, owner: str = Lease.name) -> int:
        """The number of a task in the journal."""
        response = TaskResponse.parse(RESPONSE.format(version=version))
        number = self.duties.journal.accept(
            response, toolchain="default", controller=URL, answer=None, owner=owner
        )
        assert response.task is not None
        if stored:
            self.duties.journal.store(number, Result.for_task(response.task))
        return number

    def desk(self, name: str) -> Desk[t.Any]:
        return DESKS[name](self.state)

    def work(
        self,
        seconds: float,
        *desks: Desk[t.Any],
        each: t.Callable[[], object] = lambda: None,
    ) -> int:
        """Let the desks work for so long. Returns how often they were visited.

        As the loop does, this waits for their time; `each` is called after each round.
        """
        end, rounds = self.clock.now + seconds, 0
        while self.clock.now < end:
            for desk in desks:
                desk.visit()
            each()
            rounds += 1
            wake = min(desk.wake() for desk in desks)
            ended = any(
                job.ended() for desk in desks for job in desk.sources() if hasattr(job, "ended")
            )
            self.clock.now = max(self.clock.now + 0.5, self.clock.now if ended else min(wake, end))
        return rounds


class Broken:
    """Something that raises `error` as long as that is not None, and notes when it was called."""

    def __init__(self, clock: Clock, error: Exception, real: t.Any = None) -> None:
        self.error: Exception | None = error
        self.calls: list[float] = []
        self._clock = clock
        self._real = real

    def __call__(self, *arguments: t.Any, **options: t.Any) -> t.Any:
        self.calls.append(self._clock())
        if self.error is not None:
            raise self.error
        return self._real(*arguments, **options) if callable(self._real) else self._real


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    made = Office(tmp_path)
    for module in (asking, bootstraps, outbox, rehearsals, tasks):
        monkeypatch.setattr(module, "Job", FakeJob)
    for name, value in (("started", []), ("obstacle", None), ("at_once", None), ("attempts", [])):
        monkeypatch.setattr(FakeJob, name, value)
    monkeypatch.setattr(FakeJob, "clock", made.clock)
    return made


@pytest.fixture
def jobs() -> type[FakeJob]:
    return FakeJob


@pytest.fixture(
    params=[
        OSError(28, "No space left on device", "/x"),
        ValueError("odd"),
        RuntimeError("defect"),
        MemoryError(),
        JobError("it ended with signal 9"),
        KeyError("missing"),
    ],
    ids=lambda error: type(error).__name__,
)
def error(request: pytest.FixtureRequest) -> Exception:
    return t.cast("Exception", request.param)


@pytest.fixture
def broken(office: Office, error: Exception) -> t.Callable[..., Broken]:
    """Makes something that raises the error of this test."""
    return lambda real=None: Broken(office.clock, error, real)


@pytest.fixture
def apart() -> t.Callable[[list[float]], float]:
    """Says by how many seconds two calls were apart at the least."""
    return lambda calls: min(
        (later - former for former, later in itertools.pairwise(calls)), default=1e9
    )
