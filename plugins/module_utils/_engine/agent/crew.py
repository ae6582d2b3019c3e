# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Several tasks performed at once on this host, each in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import time
import typing as t

from ..errors import EngineError, Interrupted, sentence
from ..host.room import Room
from ..linux.process import Runner
from ..vm.accelerator import Accelerator
from .job import CancelToken, Job, JobError
from .performer import Order, Performer
from .settings import Settings

# Bytes of a line that a task reports.
_LINE_MOST = 1 << 16
# Seconds in which a task that is not wanted any more has thrown its machine away.
_ENDING = 60.0


@dataclasses.dataclass(frozen=True)
class Performed:
    """What became of an order.

    ``logs`` is the folder with its results on this host; where it is empty there are none, by a
    fault of ``culprit`` for this ``reason``, or because it was ``interrupted``. ``phases`` are
    seconds by phase.
    """

    logs: str = ""
    culprit: str = "none"
    reason: str = ""
    phases: tuple[tuple[str, float], ...] = ()
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round(sum(seconds for _name, seconds in self.phases), 1)


class Crew:
    """Performs orders by ``settings``, at most ``at_once`` of them together.

    ``say`` is told the key of an order and a line that it reports. ``patience`` and ``hold`` are
    those of a Performer.
    """

    def __init__(
        self,
        settings: Settings,
        run: Runner,
        accelerator: Accelerator,
        at_once: int,
        say: t.Callable[[str, str], None],
        *,
        patience: float,
        hold: float = 0,
    ) -> None:
        self._settings = settings
        self._run = run
        self._accelerator = accelerator
        self.at_once = at_once
        self._say = say
        self._patience = patience
        self._hold = hold
        self._jobs: dict[str, _Member] = {}

    def __len__(self) -> int:
        """How many are being performed, or wait in line for it."""
        return len(self._jobs)

    def free(self) -> int:
        """How many more could be started now, without having to wait for room."""
        left = self.at_once - len(self)
        if left <= 0:
            return 0
        host = Performer(self._settings, self._run, lambda _line: None, lambda: True).host
        room = Room(host)
        claims = self._settings.ram
        while left and room.objection(claims * left):
            left -= 1
        return left

    def start(self, key: str, order: Order) -> None:
        """Have an order performed. Raises OSError if no process can be started."""
        ours, theirs = os.pipe()
        try:
            job = Job(key, lambda token: self._perform(order, theirs, token), Performed)
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        self._jobs[key] = _Member(job, ours)

    def _perform(self, order: Order, out: int, token: CancelToken) -> Performed:
        """In the process of its own."""

        def report(line: str) -> None:
            # That nobody reads any more does not end a task.
            with contextlib.suppress(OSError):
                data = " ".join(line.splitlines()).encode(errors="replace")[:_LINE_MOST]
                os.write(out, data + b"\n")

        performer = Performer(
            self._settings,
            self._run,
            report,
            token,
            accelerator=self._accelerator,
            patience=self._patience,
            hold=self._hold,
        )
        try:
            outcome, logs = performer.perform(order)
        except Interrupted:
            return Performed(interrupted=True, reason=sentence(Interrupted()))
        except Exception as error:
            culprit = error.culprit if isinstance(error, EngineError) else "host"
            interrupted = not token()
            return Performed(culprit=culprit, reason=sentence(error), interrupted=interrupted)
        phases = tuple((name, float(seconds)) for name, seconds in outcome.phases.items())
        return Performed(logs, outcome.culprit, outcome.reason, phases)

    def turn(self, timeout: float) -> list[tuple[str, Performed]]:
        """Pass on what is reported, for up to ``timeout`` seconds; what has ended, by key."""
        watched = {member.job.fileno(): member for member in self._jobs.values()}
        watched |= {member.out: member for member in self._jobs.values() if member.out >= 0}
        select.select(list(watched), [], [], timeout)
        ended = []
        for key, member in list(self._jobs.items()):
            over = member.job.ended()
            for line in member.lines():
                self._say(key, line)
            if over:
                del self._jobs[key]
                member.close()
                try:
                    done = member.job.result()
                except JobError as error:
                    done = Performed(culprit="host", reason=str(error))
                ended.append((key, done))
        return ended

    def cancel(self) -> None:
        """Tell all that they are not wanted any more."""
        for member in self._jobs.values():
            member.job.terminate()

    def close(self) -> None:
        """Have all end, and wait for that; whatever has not after a minute is killed."""
        self.cancel()
        until = time.monotonic() + _ENDING
        while self._jobs and time.monotonic() < until:
            self.turn(0.2)
        for member in self._jobs.values():
            member.job.kill()
            member.close()
        self._jobs.clear()


class _Member:
    """A ``job`` that reports lines by the pipe ``out``."""

    def __init__(self, job: Job[Performed], out: int) -> None:
        self.job = job
        self.out = out
        self._rest = b""

    def lines(self) -> list[str]:
        """What was reported since the last time."""
        while self.out >= 0:
            try:
                data = os.read(self.out, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                self.close()
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        """Let go of the pipe."""
        if self.out >= 0:
            os.close(self.out)
        self.out = -1


def default_at_once(settings: Settings) -> int:
    """Return how many machines can have CPUs of their own on this host."""
    return max(1, len(os.sched_getaffinity(0)) // settings.cpu)
