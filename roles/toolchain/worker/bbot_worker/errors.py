# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong, and whose fault it is."""

from __future__ import annotations

import sys

# From best to worst: the status of a result is the worst of its operations. An operation that was
# not begun because an earlier one failed is skipped.
STATUSES = ("skip", "success", "warning", "error", "abort", "abnormal")


class WorkerError(Exception):
    """What stops the task, with the status that says whose fault it is.

    ``error``: the task's; ``abort``: time ran out; ``abnormal``: the machine's or the worker's.
    """

    def __init__(self, message: str, status: str = "error") -> None:
        super().__init__(message)
        self.status = status


class NotHere(WorkerError):
    """What goes wrong because of what this machine has, and may go well in another one."""


def say(message: str) -> None:
    """Tell whoever reads the machine's console."""
    sys.stderr.write(f"bbot-worker: {message}\n")
    sys.stderr.flush()


def is_worse(status: str, other: str) -> bool:
    """Return whether *status* is worse than *other*."""
    return STATUSES.index(status) > STATUSES.index(other)
