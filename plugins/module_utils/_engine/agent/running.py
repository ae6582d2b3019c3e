# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Tasks that run on this host, by what people call them."""

from __future__ import annotations

import dataclasses
import typing as t

from ..controller.journal import Journal, Row
from ..host.host import Host, HostError

# So many of the journal's last entries are looked at.
_LATEST = 1000


@dataclasses.dataclass(frozen=True)
class RunningTask:
    """A task with the `record` of its `lease`, and its `row` in the journal if it has one."""

    lease: str
    record: t.Mapping[str, t.Any]
    row: Row | None

    @property
    def title(self) -> str:
        """What to call it."""
        number = f"{self.row.id} " if self.row else ""
        return f"{number}({self.record.get('task')} on {self.record.get('machine')})"

    def is_called(self, wanted: str) -> bool:
        """Whether `wanted` is its number, its lease, NAME or NAME/VERSION."""
        title = str(self.record.get("task") or "")
        names = [self.lease, title, title.partition("/")[0]]
        return wanted in names or (self.row is not None and wanted == str(self.row.id))


def find_running(host: Host, journal: Journal, wanted: str) -> RunningTask:
    """Return the running task that is called ``wanted``.

    Raises HostError, which names those that there are, and JournalError.
    """
    rows = {row.logs: row for row in journal.latest(_LATEST) if row.logs and row.state == "running"}
    running = [
        RunningTask(lease, record, rows.get(str(record.get("logs"))))
        for lease, record in host.leases.living().items()
        if record.get("what") == "task"
    ]
    found = [task for task in running if task.is_called(wanted)]
    if len(found) != 1:
        known = ", ".join(task.title for task in running) or "none"
        how = "several" if found else "no"
        raise HostError(f"{how} running task {wanted} on this host; there are: {known}")
    return found[0]
