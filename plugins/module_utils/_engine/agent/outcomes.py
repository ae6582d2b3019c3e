# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""What the agent's jobs return to its loop: plain data in dataclasses that cross a fork."""

from __future__ import annotations

import dataclasses

from ..errors import Culprit


@dataclasses.dataclass(frozen=True)
class Bootstrapped:
    """The outcome of a bootstrap.

    `failure` says in words why it failed, or is None, and `culprit` who is to blame; `busy` that
    somebody else is about to do it; `unsaved` why the machine has no warm starts, or is empty.
    `logs` is the folder of logs, None if there are none.
    """

    failure: str | None
    busy: bool = False
    changed: bool = False
    unsaved: str = ""
    logs: str | None = None
    culprit: Culprit = "none"


@dataclasses.dataclass(frozen=True)
class Rehearsed:
    """The outcome of a rehearsal.

    `failure` says in words what keeps the host from performing tasks, or is None; `busy` that
    nobody knows, as others have the machines, or these are out of order.
    """

    failure: str | None = None
    busy: bool = False


@dataclasses.dataclass(frozen=True)
class Answer:
    """The outcome of asking controllers.

    `entry` is the number in the journal of the task that was accepted, None if there was none;
    `url` and `priority` are those of the controller that gave it. `failures` are pairs of a
    controller's URL and what is to be said about it. `obstacle` is what on this host kept
    everybody from being asked, or None.
    """

    entry: int | None = None
    url: str | None = None
    priority: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    obstacle: str | None = None


@dataclasses.dataclass(frozen=True)
class Performed:
    """The outcome of a task; its result is in the journal.

    `culprit` is who is to blame if it went wrong, `seconds` how long it took. `machine` is the
    machine at fault where that is not the task's own but an auxiliary one. `at_will` says that
    the guest had its task already, and can have failed so because the task wished it to.
    """

    status: str
    culprit: Culprit
    reason: str
    seconds: float
    logs: str
    machine: str = ""
    at_will: bool = False


@dataclasses.dataclass(frozen=True)
class Delivered:
    """The outcome of an attempt to deliver a result.

    `error` says why it failed, or is None; `noted` whether the journal knows of that.
    """

    error: str | None
    noted: bool = True
