# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes back: statuses in the order of execution, a log for each."""

from __future__ import annotations

from .errors import is_worse
from .manifest import serialize_manifest

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import Any


class Result:
    """The result of a task, as far as it has come.

    ``report`` is what bbot's manifests have no field for (driver, tests, warnings, artifacts); the
    agent takes it out before it hands the result on.
    """

    def __init__(self) -> None:
        self.name, self.version = "unknown", "0"  # The marks of a task that was not read.
        self.operations: list[tuple[str, str, str]] = []
        self.report: dict[str, Any] = {}

    def add(self, operation: str, status: str, log: str) -> None:
        """Add an operation that has ended."""
        self.operations.append((operation, status, log))

    @property
    def status(self) -> str:
        """The worst of the operations'; of none, that of a machine that went wrong."""
        worst = "success" if self.operations else "abnormal"
        for _name, status, _log in self.operations:
            worst = status if is_worse(status, worst) else worst
        return worst

    def serialize(self) -> bytes:
        """Return the manifest."""
        pairs = [("name", self.name), ("version", self.version), ("status", self.status)]
        pairs += [(f"{name}-status", status) for name, status, _log in self.operations]
        pairs += [(f"{name}-log", log) for name, _status, log in self.operations]
        if self.report:
            import json

            pairs.append(("report", json.dumps(self.report)))
        return serialize_manifest(pairs)
