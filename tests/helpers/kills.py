# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 of an agent, or of the process that performs its task, at each point of that task."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import typing as t

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.architecture import USUAL

from . import guest
from .agents import RunningAgent, entries, journal
from .build_host import BuildHost, make_task
from .controller import Controller
from .held_files import HeldFile, program_to_hold
from .users_host import UsersHost
from .waiting import PATIENCE, until

# A worker that lets us catch it at each point: it takes its time before and after its work.
WORKER = (
    guest.GET_TASK
    + guest.tell("+update")
    + "sleep 0.5\n"
    + guest.result("status: success", "update-status: success", "update-log: built")
    + guest.SLEEP
)

HALF_MADE, NAMESPACE, SEGMENT = "overlay half made", "namespace made", "segment up"
# Where guests are let out by who is not root.
RULES = "rules half made"

# When the agent is killed, whether a result has to arrive after that, and which. A task that
# was given back is performed once more. A task that the agent had no time to note is the
# controller's to give again. The overlay is made before `phase start` is said.
POINTS: list[tuple[str, Status | None]] = [
    ("says info: controller", Status.SUCCESS),
    ("asked", None),
    ("answered", None),
    ("says accepted from", Status.INTERRUPT),
    ("says phase snapshot", Status.INTERRUPT),
    (HALF_MADE, Status.INTERRUPT),
    ("says phase start", Status.INTERRUPT),
    (NAMESPACE, Status.INTERRUPT),
    (SEGMENT, Status.INTERRUPT),
    ("says phase first request", Status.INTERRUPT),
    ("says phase work", Status.INTERRUPT),
    (r"says \+update", Status.INTERRUPT),
    ("says phase upload", None),
    ("says phase store", Status.SUCCESS),
    ("says phase down", Status.SUCCESS),
    ("says phase delete", Status.SUCCESS),
    ("says hello/1.0 on machine tiny: success", Status.SUCCESS),
    ("result sent", Status.SUCCESS),
    ("result acknowledged", Status.SUCCESS),
]
USERS_POINTS = [*POINTS, (RULES, Status.INTERRUPT)]
_EXCHANGES = {
    "asked": ("task", False),
    "answered": ("task", True),
    "result sent": ("result", False),
    "result acknowledged": ("result", True),
}
# Where a job performs the task, which is the process that has all of it.
USERS_JOB_POINTS = [
    (point, expected)
    for point, expected in USERS_POINTS
    if point in (HALF_MADE, NAMESPACE, SEGMENT, RULES) or "phase" in point or "update" in point
]
JOB_POINTS = [each for each in USERS_JOB_POINTS if each in POINTS]


class Moment(t.Protocol):
    """A point at which something is held up: when it is, wait() returns."""

    def wait(self) -> None: ...

    def go_on(self) -> None: ...


class _Exchange:
    """A point in the exchange with the controller, which is held up there."""

    def __init__(self, controller: Controller, kind: str, done: bool) -> None:
        self._come = threading.Event()
        self._go_on = threading.Event()
        self._wanted = (kind, done)
        controller.told = self._told

    def _told(self, kind: str, done: bool) -> None:
        if (kind, done) == self._wanted and not self._come.is_set():
            self._come.set()
            self._go_on.wait(20)

    def wait(self) -> None:
        assert self._come.wait(PATIENCE)

    def go_on(self) -> None:
        self._go_on.set()


class _Held:
    """A point at which the process of the task stands still, as it does not get a file."""

    def __init__(self, host: BuildHost, point: str) -> None:
        self._host, self._point = host, point
        self.folder = host.root / "held"
        if point == HALF_MADE:
            self._file = HeldFile(host.volume / "tiny" / "tiny-default" / "disk.img")
            return
        programs = {
            # In the midst of the making of the namespace, and the first one for what was made.
            RULES: "nft",
            NAMESPACE: "slirp4netns" if isinstance(host, UsersHost) else "dnsmasq",
            SEGMENT: USUAL.program,
        }
        self._file = HeldFile(program_to_hold(self.folder, programs[point]))

    def wait(self) -> None:
        self._file.wait()
        host = self._host
        # It is where we believe it to be.
        halves = list(host.volume.glob("tiny/.*.half"))
        overlays = list(host.volume.glob("tiny/tiny-default-*"))
        half = self._point == HALF_MADE
        assert (bool(halves), bool(overlays)) == (half, not half)
        assert bool(host.helpers()) is (self._point == SEGMENT)
        assert host.qemus() == []

    def go_on(self) -> None:
        self._file.go_on()


def _moment(host: BuildHost, controller: Controller, point: str) -> Moment | None:
    if point in _EXCHANGES:
        return _Exchange(controller, *_EXCHANGES[point])
    return None if point.startswith("says ") else _Held(host, point)


@contextlib.contextmanager
def _caught(
    host: BuildHost, controller: Controller, point: str
) -> t.Iterator[tuple[RunningAgent, int]]:
    """An agent at that point of its task, and the process that performs this, if one does."""
    moment = _moment(host, controller, point)
    path = os.environ["PATH"]
    if isinstance(moment, _Held):
        path = f"{moment.folder}:{path}"
    controller.tasks += [make_task()]
    try:
        with RunningAgent(host, controller, environment={"PATH": path}) as agent:
            performer = 0
            if point in dict(USERS_JOB_POINTS):
                performer = until(lambda: _performer(host), "a job performs the task")
            if moment is not None:
                moment.wait()
            else:
                agent.says(point.removeprefix("says "), timeout=PATIENCE)
            yield agent, performer
    finally:
        if moment is not None:
            moment.go_on()


def _performer(host: BuildHost) -> int:
    """The process that has the lease of a task, 0 if none has."""
    for record in host.engine().leases.records().values():
        if record.get("what") == "task":
            return int(record["pid"])
    return 0


def kill_the_agent(host: BuildHost, point: str, expected: Status | None) -> None:
    """Kill the agent there: the next one brings all to a good end, and nothing is left."""
    with Controller() as controller:
        with _caught(host, controller, point) as (agent, _dummy):
            agent.kill()
            until(lambda: not host.survivors(), "all that it had running has died with it", 5)
        before = len(controller.arrivals)
        if point == "answered" and not entries(host):
            # It knows nothing of the task: what the controller gave is lost to it.
            controller.given.clear()
        with RunningAgent(host, controller) as agent:
            agent.says("cleared away the dead agent of process")
            if expected is not None or entries(host):
                until(lambda: bool(controller.arrivals), "a result has arrived", 180)
            until(lambda: not journal(host).queue(), "nothing waits to be delivered")
            # Whatever was left is gone as soon as it works again.
            _nothing_is_left(host)
            if not controller.arrivals:
                controller.tasks += [make_task()]
                until(lambda: bool(controller.arrivals), "the next task was performed", 60)
        statuses = {arrival.result.status for arrival in controller.arrivals}
        assert len(controller.arrivals) == 1
        assert statuses == {Status.SUCCESS}
        if expected is not None:
            assert bool(controller.interrupted) is (expected is Status.INTERRUPT)
        # Delivered once more only where the acknowledgement cannot have been noted.
        if point not in ("result sent", "result acknowledged"):
            assert controller.rejected == []
        assert before <= 1


def kill_the_job(host: BuildHost, point: str, expected: Status | None) -> None:
    """Kill the process that performs the task there: its agent clears away and delivers."""
    with Controller() as controller:
        with _caught(host, controller, point) as (agent, performer):
            with contextlib.suppress(ProcessLookupError):
                os.kill(performer, signal.SIGKILL)

            def told() -> bool:
                return bool(controller.arrivals or controller.interrupted)

            until(told, "the controller is told", 60)
            until(lambda: not journal(host).queue(), "nothing waits to be delivered")
            _nothing_is_left(host)
            # It was the agent that did so.
            assert agent.process.poll() is None
        assert len(controller.arrivals) + len(controller.interrupted) == 1
        if expected is not None:
            assert bool(controller.interrupted) is (expected is Status.INTERRUPT)
        assert controller.rejected == []


def _nothing_is_left(host: BuildHost) -> None:
    """Wait for that: an agent whose job died rehearses a task meanwhile, up to QEMU's start."""
    left: list[str] = []

    def nothing() -> bool:
        left[:] = host.leftovers_of_others()
        return not left

    try:
        until(nothing, "nothing is left")
    except AssertionError as error:
        raise AssertionError(f"left over: {left}") from error
