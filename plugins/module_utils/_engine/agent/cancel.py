# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Cancelling a running task, whoever performs it: an agent, a play, or a person's command."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..controller.journal import Journal
from ..host.host import Host, HostError
from ..records.result import Result
from ..records.task import Task
from .running import find_running

# Seconds until the machine is thrown away; it is a matter of one or two.
_PATIENCE = 60.0
_PAUSE = 0.1

REASON = "cancelled"


def cancel(host: Host, journal: Journal, wanted: str) -> str:
    """Cancel the running task ``wanted``: its number, NAME or NAME/VERSION; what it was.

    It is aborted for whoever waits for its result. Returns when its machine is thrown away.
    Raises HostError, JournalError and OSError.
    """
    found = find_running(host, journal, wanted)
    row = found.row
    if row is not None:
        entry = journal.get(row.id)
        if entry is not None:
            # Before its performer gives it back, to be performed by somebody else.
            task = Task.parse(entry.task, f"journal entry {entry.id}")
            journal.store(row.id, Result.for_task(task), culprit="none", reason=REASON)
    _end(host, found.lease, int(found.record["pid"]), found.title)
    return found.title


def _end(host: Host, lease: str, pid: int, title: str) -> None:
    """Have the process end its task; it clears away by itself."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            # Now it cannot be another one of that number, if it still has its lease.
            if lease in host.leases.living():
                signal.pidfd_send_signal(process, signal.SIGTERM)
        except PermissionError:
            raise HostError(f"task {title} is another user's: only root may cancel it") from None
        finally:
            os.close(process)
    until = time.monotonic() + _PATIENCE
    while lease in host.leases.living():
        if time.monotonic() > until:
            raise HostError(f"task {title} was told to end, and has not within {_PATIENCE:g} s")
        time.sleep(_PAUSE)
