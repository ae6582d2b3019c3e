# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a controller knows, told from what it sent: no request asks for its version.

Source: brep. Its sessions have 9 fields with slashes between since 0.16, and had 7, 6 and
5 before. Whatever a controller does not know it refuses.
"""

from __future__ import annotations

from ..records.exchange import TaskResponse

_FIELDS = 9


def knows_interrupt(session: str) -> bool:
    """Return whether who made up `session` knows the status `interrupt` (brep 0.16)."""
    return session.count("/") >= _FIELDS - 1


def knows_checksums(response: TaskResponse) -> bool:
    """Return whether who sent `response` knows the checksums of soft rebuilds (brep 0.14).

    It sends an agent's only after one has sent it. One that gives no other sign of its age is
    taken for an older one.
    """
    task = response.task
    if response.agent_checksum is not None or knows_interrupt(response.session):
        return True
    if task is None:
        return False
    return bool(task.requires or task.tests or task.examples or task.benchmarks) or any(
        value is not None
        for value in (
            task.dependency_checksum,
            task.worker_checksum,
            task.host,
            task.interactive,
            task.package_config,
        )
    )
