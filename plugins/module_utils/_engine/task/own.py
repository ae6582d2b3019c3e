# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A task of this host's own people: performed, and told of in the folder of its logs."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..controller.journal import FILE, Journal
from ..host.host import Host
from ..machine.auxiliary import Companion
from ..machine.bootstrap import Running
from ..machine.conversation import Waits
from ..machine.inventory import Machine
from ..machine.toolchain import Toolchain
from ..records.task import Task
from ..tftp.server import Limits
from .logs import lay_out_artifacts, write_logs
from .origin import Origin
from .perform import Booking, Outcome, book, perform, perform_booked
from .task_log import task_log


@dataclasses.dataclass(frozen=True)
class OwnTask:
    """A ``task`` and what perform() wants to know of it.

    With a ``booking`` it is a controller's, which is in the journal already.
    """

    task: Task
    machine: Machine
    toolchain: Toolchain
    running: Running
    waits: Waits
    limits: Limits
    logs: str
    files: t.Mapping[str, str]
    companions: t.Sequence[Companion] = ()
    booking: Booking | None = None
    fake: bool = False


def perform_own(host: Host, own: OwnTask) -> tuple[Outcome, dict[str, str]]:
    """Perform the task; what became of it, and all files of its logs, by name.

    What is reported is among them. Raises what perform() does.
    """
    task, toolchain, logs = own.task, own.toolchain, own.logs
    with task_log(host, logs) as told:
        accelerator = own.running.accelerator.on(own.machine.name)
        running = dataclasses.replace(own.running, progress=told.report)
        told.report(f"task {task.name} {task.version} on machine {own.machine.name}")
        told.report(f"accelerator {accelerator.name}: {accelerator.reason}")
        journal = Journal(os.path.join(host.state, FILE))
        booking = own.booking or book(told, journal, task, toolchain.name, logs)
        outcome = perform_booked(
            booking,
            task,
            lambda: perform(
                told, task, own.machine, toolchain, running, own.waits, own.limits, logs, own.files,
                booking=booking, companions=own.companions, fake=own.fake,
            ),
        )  # fmt: skip
    Origin.of(own.machine, toolchain, own.running).write(logs)
    if own.booking is None:
        lay_out_artifacts(host, outcome, logs)
    return outcome, write_logs(outcome, task, logs)
