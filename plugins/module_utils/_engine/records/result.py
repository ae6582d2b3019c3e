# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The result: what became of a task. Sources: brep, bbot's manual, the 2017 agent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from ..formats.manifest.model import Manifest
from .base import Field, Record
from .package import same_name, same_version
from .task import Task
from .values import Status, check_package_name, check_package_version, to_status

_UNKNOWN_VERSION = "0"


@dataclass(frozen=True)
class OperationResult:
    """What became of one operation."""

    operation: str
    """Such as `configure`, `update` or `test`; the set is open."""
    status: Status
    log: str


@dataclass(frozen=True)
class Result(Record):
    """What became of a task.

    On the wire the statuses of the operations come first, in order of execution, and then their
    logs in the same order.
    """

    KIND: ClassVar[str] = "result"
    SUBJECT: ClassVar[str] = "result"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", check_package_name, required=True),
        Field("version", check_package_version, required=True),
        Field("status", to_status, required=True),
        Field("*-status", to_status, attribute="statuses"),
        Field("*-log", may_be_empty=True, attribute="logs"),
        Field("dependency-checksum", may_be_empty=True),
        Field("worker-checksum", may_be_empty=True),
        Field("report", may_be_empty=True),
    )

    name: str
    """As in the task; `unknown` if the worker could not read it."""
    version: str
    """As in the task; `0` if the worker could not read it."""
    status: Status
    operations: tuple[OperationResult, ...] = ()
    dependency_checksum: str | None = field(default=None, kw_only=True)
    worker_checksum: str | None = field(default=None, kw_only=True)
    report: str | None = field(default=None, kw_only=True)
    """What our worker tells beside, as JSON: an extension of ours, not for controllers."""

    @classmethod
    def for_task(cls, task: Task, status: Status = Status.ABORT) -> Self:
        """Return the result of a task that no worker has reported about."""
        return cls(task.name, task.version, status)

    def identified(self, task: Task) -> Self | None:
        """Return the result with name and version as the task spells them.

        None if it is another task's. A worker that could not read its task does not know them.
        """
        if (self.name, self.version) == (task.name, task.version):
            return self
        unknown = self.version == _UNKNOWN_VERSION
        if unknown or (
            same_name(self.name, task.name) and same_version(self.version, task.version)
        ):
            return replace(self, name=task.name, version=task.version)
        return None

    def for_controller(self, *, checksums: bool) -> Self:
        """Return the result as controllers know it.

        They are not shown our report, nor the operations that were not begun: bbot's workers
        leave those out. Nor the `checksums`, if they do not know them.
        """
        begun = tuple(each for each in self.operations if each.status is not Status.SKIP)
        result = replace(self, report=None, operations=begun)
        if checksums:
            return result
        return replace(result, dependency_checksum=None, worker_checksum=None)

    @property
    def statuses(self) -> dict[str, Status]:
        """Operation to its status, in order of execution."""
        return {each.operation: each.status for each in self.operations}

    @property
    def logs(self) -> dict[str, str]:
        """Operation to its log, in order of execution."""
        return {each.operation: each.log for each in self.operations}

    @classmethod
    def read(cls, manifest: Manifest, strict: bool) -> dict[str, Any]:
        """Return the attributes; order matters in a result. Raises `ManifestError`."""
        values = super().read(manifest, strict)
        statuses, logs = values.pop("statuses"), values.pop("logs")
        cls._check_order(manifest)
        for operation in statuses:
            if operation not in logs:
                raise cls.missing(manifest, f"{operation}-log")
        values["operations"] = tuple(
            OperationResult(operation, status, logs[operation])
            for operation, status in statuses.items()
        )
        return values

    @classmethod
    def _check_order(cls, manifest: Manifest) -> None:
        statuses: list[str] = []
        logs: list[str] = []
        status_seen = False
        for pair in manifest:
            known, operation = cls.field_of(pair.name) or (None, "")
            if known is None:
                continue
            label = cls.label(pair.name)
            if known.name == "status":
                status_seen = True
            elif known.attribute == "statuses":
                if not status_seen:
                    raise manifest.error_at_name(pair, f"{label} before result status")
                if logs:
                    raise manifest.error_at_name(pair, f"{label} after result {logs[0]} log")
                statuses.append(operation)
            elif known.attribute == "logs":
                if statuses[len(logs) : len(logs) + 1] != [operation]:
                    raise manifest.error_at_name(
                        pair, f"{label} is not in the order of the operations' statuses"
                    )
                logs.append(operation)

    def to_mapping(self) -> dict[str, Any]:
        """Return the result as plain data; the operations are a list in order of execution."""
        checksums = {
            "dependency_checksum": self.dependency_checksum,
            "worker_checksum": self.worker_checksum,
        }
        return {
            "name": self.name,
            "version": self.version,
            "status": str(self.status),
            "operations": [
                {"operation": each.operation, "status": str(each.status), "log": each.log}
                for each in self.operations
            ],
            **{name: value for name, value in checksums.items() if value is not None},
        }
