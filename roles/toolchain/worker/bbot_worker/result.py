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
        # Of what the task depends on, if that can be told; see the module checksums.
        self.worker_checksum = self.dependency_checksum = ""
        self.unchanged = False
        self.report: dict[str, Any] = {}

    def add(self, operation: str, status: str, log: str) -> None:
        """Add an operation that has ended."""
        self.operations.append((operation, status, log))

    @property
    def status(self) -> str:
        """The worst of the operations'; of none, that of a machine that went wrong.

        A task that need not be done again is skipped.
        """
        if self.unchanged:
            return "skip"
        worst = "success" if self.operations else "abnormal"
        for _name, status, _log in self.operations:
            worst = status if is_worse(status, worst) else worst
        return worst

    def serialize(self) -> bytes:
        """Return the manifest."""
        pairs = [("name", self.name), ("version", self.version), ("status", self.status)]
        pairs += [(f"{name}-status", status) for name, status, _log in self.operations]
        pairs += [(f"{name}-log", log) for name, _status, log in self.operations]
        # Nothing can be said of the next build by one that did not come to its end.
        if self.dependency_checksum and not is_worse(self.status, "error"):
            pairs.append(("dependency-checksum", self.dependency_checksum))
            pairs.append(("worker-checksum", self.worker_checksum))
        if self.report:
            import json

            pairs.append(("report", json.dumps(self.report)))
        return serialize_manifest(pairs)
