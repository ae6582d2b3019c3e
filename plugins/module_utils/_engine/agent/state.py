# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""What the agent's desks share: what is known, who works where, and what is not to be asked for."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..controller.priority import Busy, Priority
from ..host.diagnostics import Diagnostics
from ..host.locks import Lease
from ..machine.inventory import Machine
from ..records.machine import MachineHeader
from .brake import Brake
from .duties import Duties
from .settings import Settings

Mode = t.Literal["run", "drain", "reload", "stop"]


@dataclasses.dataclass(frozen=True)
class Accepted:
    """A task that a controller gave, not begun yet: its number in the journal."""

    entry: int
    priority: Priority


@dataclasses.dataclass
class State:
    """The state that the desks share.

    `machines` are those of the last survey, `fake` the one that is offered instead, if any.
    `places` are those taken by tasks and bootstraps, `running` the tasks that run and are not
    interrupted, `working` the machines of all that run, `titles` what people call those.
    `begun` is when each of these was. `accepted` are tasks that wait to be begun, `asking` says
    whether a request that may bring one is under way. `called` are the desks that are wanted
    before their time; True stands for at once.
    """

    duties: Duties
    lease: Lease
    say: Diagnostics
    clock: t.Callable[[], float] = time.monotonic
    mode: Mode = "run"
    machines: list[Machine] = dataclasses.field(default_factory=list)
    fake: MachineHeader | None = None
    places: set[int] = dataclasses.field(default_factory=set)
    running: list[Busy] = dataclasses.field(default_factory=list)
    working: list[str] = dataclasses.field(default_factory=list)
    titles: list[str] = dataclasses.field(default_factory=list)
    begun: list[float] = dataclasses.field(default_factory=list)
    accepted: list[Accepted] = dataclasses.field(default_factory=list)
    asking: bool = False
    bootstrapping: bool = False
    called: dict[str, bool] = dataclasses.field(default_factory=dict)
    brake: Brake = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.brake = Brake(self.say, self.clock)

    @property
    def settings(self) -> Settings:
        """The agent's options."""
        return self.duties.settings

    def call(self, *desks: str, at_once: bool = False) -> None:
        """Have the desks of these names do their work.

        At the earliest a second after the last time, unless they are to do it `at_once`.
        """
        for desk in desks:
            self.called[desk] = at_once or self.called.get(desk, False)

    def headers(self) -> dict[str, MachineHeader]:
        """Return the machines that may be offered, in use or not, by name, in this order."""
        if self.fake is not None:
            return {self.fake.name: self.fake}
        return self.duties.offers(self.machines)

    def free_places(self) -> int:
        """Return how many more tasks and bootstraps may run."""
        return self.settings.instance_max - len(self.places)

    def lowest_place(self) -> int:
        """Return the lowest place that nobody has."""
        return next(place for place in range(len(self.places) + 1) if place not in self.places)
