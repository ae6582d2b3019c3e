# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A task on no machine (`--fake-machine`): a person, or a worker started by hand, does it."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t

from ..errors import Interrupted
from ..host.host import Host
from ..host.phases import Phases
from ..records.names import RESULT, arrived_in
from ..records.result import Result
from ..records.task import Task
from ..records.values import Status
from ..tftp.server import Limits, Server
from .perform import Booking, Delivery, Outcome, for_result, offer_task

# The worker has to be told to ask here.
_ADDRESS = "127.0.0.1"

_INTERVAL = 0.2


def perform_by_hand(
    host: Host,
    task: Task,
    toolchain: str,
    port: int,
    limits: Limits,
    alive: t.Callable[[], bool],
    booking: Booking | None = None,
) -> Outcome:
    """Put the task where a worker gets it, and wait for its result, without a limit.

    The folders are bbot's: `build/<toolchain>/get` and `put` of the TFTP folder, which
    are also served, on loopback. Raises Interrupted, LockError, TftpError and OSError.
    """
    phases = Phases(host.report)
    folder = os.path.join(host.tftp, "build", toolchain)
    get, put = os.path.join(folder, "get"), os.path.join(folder, "put")
    lock = host.lock(f"fake-{toolchain}", f"perform {task.name} by hand")
    with lock, contextlib.ExitStack() as stack:
        for place in (get, put):
            os.makedirs(place, exist_ok=True)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        offer_task(task, get)
        server = Server(_ADDRESS, port, get_root=get, put_root=put, limits=for_result(limits))
        with server, phases.during("work"):
            place = f"in {get} and at {_ADDRESS}:{server.port}"
            host.report(f"info: task {task.name}/{task.version} is {place}")
            delivery = Delivery(task, put)
            while not arrived_in(put, RESULT):
                if not alive():
                    raise Interrupted
                server.serve(_INTERVAL, lambda: arrived_in(put, RESULT) is not None)
        delivery.judge()
    result: Result = delivery.result
    if booking is not None:
        booking.journal.store(booking.entry, result, reason=delivery.complaint)
    culprit: t.Literal["none", "task"] = "task" if result.status >= Status.ERROR else "none"
    return Outcome(result, culprit, delivery.complaint, None, phases.seconds(), {})
