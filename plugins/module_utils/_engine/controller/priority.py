# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Controllers' URLs and priorities: who is asked when, and who may interrupt whom.

bbot writes `[<priority>=]<url>` with a priority of decimal digits `[F]DCBA`, 0 by
default (bbot-agent(1)). What a digit brings a digit further left brings as well:

- A: the higher one is asked first, equal ones in random order
- B: lower ones are not asked while a task of a higher one runs
- C: may interrupt one lower task, if its machine or its place is needed
- D: interrupts all lower tasks
- F, 0 or 1: such a task gets all CPUs of the host
"""

from __future__ import annotations

import dataclasses
import random
import re
import typing as t
import urllib.parse

from ..errors import EngineError
from .urls import masked

_FORM = re.compile(r"(?:([0-9]+)=)?(.*)", re.DOTALL)
_MOST = 19999


class ControllerUrlError(EngineError, ValueError):
    """A text is not a controller's URL; the message says what is wrong with it."""

    temporary = False


@dataclasses.dataclass(frozen=True)
class Priority:
    """A priority; the attributes are comparable among priorities, the larger one prevails."""

    number: int = 0

    @property
    def asking(self) -> int:
        """Levels D to A: whom to ask first."""
        return self.number % 10000

    @property
    def excluding(self) -> int:
        """Levels D to B: whom not to ask meanwhile."""
        return self.asking // 10

    @property
    def interrupting(self) -> int:
        """Levels D and C: whose task may be interrupted."""
        return self.asking // 100

    @property
    def ousting(self) -> int:
        """Level D: whose tasks are all interrupted."""
        return self.asking // 1000

    @property
    def boosted(self) -> bool:
        """Whether its tasks get all CPUs."""
        return self.number >= 10000


@dataclasses.dataclass(frozen=True)
class ControllerUrl:
    """Where to ask for tasks, and how urgent those are."""

    url: str
    priority: Priority = Priority()

    @classmethod
    def parse(cls, text: str) -> ControllerUrl:
        """Read `[<priority>=]<url>`; ControllerUrlError if it is none."""
        match = _FORM.fullmatch(text)
        digits, url = match.groups() if match else (None, text)
        if digits is not None and (len(digits) > 5 or int(digits) > _MOST):
            raise ControllerUrlError(
                f"{text!r}: the priority {digits} is not of the form [F]DCBA, at most {_MOST}"
            )
        return cls(check_http_url(url), Priority(int(digits or 0)))


def check_http_url(url: str) -> str:
    """``url`` if it can be sent requests to; ControllerUrlError if not."""
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(ord(char) <= 32 for char in url):
        raise ControllerUrlError(
            f"{masked(url)!r} is not a URL of the form http[s]://HOST[:PORT]/..."
        )
    return url


@dataclasses.dataclass(frozen=True)
class Busy:
    """A task that runs: on which machine, and with what priority it came."""

    machine: str
    priority: Priority


@dataclasses.dataclass(frozen=True)
class Question:
    """A controller to ask, and the names of the machines to offer it."""

    controller: ControllerUrl
    machines: tuple[str, ...]


def questions(
    controllers: t.Sequence[ControllerUrl],
    idle: t.Sequence[str],
    running: t.Sequence[Busy],
    places: int,
) -> list[Question]:
    """Whom to ask, in this order, and for tasks on which machines.

    ``idle`` are the machines that could begin at once, ``places`` says how many more
    tasks may run. Whoever may interrupt a task is offered its machine, too.
    """
    order = list(controllers)
    random.shuffle(order)
    order.sort(key=lambda each: each.priority.asking, reverse=True)
    barrier = max((busy.priority.excluding for busy in running), default=0)
    found = []
    for controller in order:
        priority = controller.priority
        if priority.excluding < barrier:
            continue
        weaker = [
            busy.machine for busy in running if busy.priority.interrupting < priority.interrupting
        ]
        machines = [*idle, *weaker] if places > 0 or weaker else []
        if machines:
            found.append(Question(controller, tuple(dict.fromkeys(machines))))
    return found


def victims(
    priority: Priority, machine: str | None, running: t.Sequence[Busy], places: int
) -> list[Busy]:
    """Which running tasks have to make way for one with ``priority``.

    It is on ``machine``, which it has to have for itself, or None if it has not.
    """
    ousted = [busy for busy in running if busy.priority.ousting < priority.ousting]
    holder = [busy for busy in running if busy.machine == machine and busy not in ousted]
    gone = ousted + holder
    if not gone and places <= 0:
        weaker = [b for b in running if b.priority.interrupting < priority.interrupting]
        gone = sorted(weaker, key=lambda busy: busy.priority.asking)[:1]
    return gone
