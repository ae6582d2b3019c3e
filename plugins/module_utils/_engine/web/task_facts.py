# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What is known of one task: from the journal, and from the folder of its logs."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..controller.entries import Row
from ..controller.urls import masked
from ..errors import EngineError
from ..matrix.collect import written_report
from ..records.report import ReportedFile, TaskReport
from ..records.result import OperationResult, Result
from ..records.values import Status
from ..task.logs import log_names
from .clean import decode
from .folder import Folder, LogFile, NoFile
from .logs import Errors
from .snapshot import Snapshot
from .words import started

# Bytes of a result before its logs, and of a report.
_HEAD, _REPORT = 64 << 10, 8 << 20
_STATUS = re.compile(r"([^\s:]{1,200})-status: ([a-z]{1,20})")
_BAD = ("error", "abort", "abnormal")
# Files that are not for people.
_MANIFESTS = ("report.json",)


@dataclasses.dataclass(frozen=True)
class PhaseBar:
    """A phase: its seconds, and where its bar begins and how wide it is, in percent of all."""

    name: str
    seconds: float
    left: float
    width: float


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation: its status, its log if that is there, what tests it has run, a warning."""

    name: str
    status: str
    log: str
    tests: str
    warning: str


@dataclasses.dataclass
class TaskFacts:
    """All that a task's page shows. ``trouble`` says why there is nothing of its logs."""

    row: Row
    now: float
    start: str
    culprit: str
    controller: str
    error: str
    phases: list[PhaseBar]
    running: t.Mapping[str, t.Any] | None
    operations: list[Operation] = dataclasses.field(default_factory=list)
    artifacts: tuple[ReportedFile, ...] = ()
    files: list[LogFile] = dataclasses.field(default_factory=list)
    error_log: str = ""
    error_line: str = ""
    trouble: str = ""


_CULPRITS = {
    "task": "the task itself",
    "machine": "the machine",
    "host": "this host",
    "controller": "the controller",
    "none": "nobody",
}


def task_facts(row: Row, root: str, snapshot: Snapshot, errors: Errors) -> TaskFacts:
    """Return what is known of a task whose logs are below the folder ``root``."""
    running = next((each for each in snapshot.running if each["id"] == row.id), None)
    facts = TaskFacts(
        row=row,
        now=snapshot.now,
        start=started(row.phases),
        culprit=_CULPRITS.get(row.culprit, "not known yet" if row.state == "running" else "nobody"),
        controller=masked(row.controller),
        error=masked(row.last_error),
        phases=phase_bars(row.phases),
        running=running,
    )
    if not row.logs:
        facts.trouble = "It has no logs."
        return facts
    try:
        _read_logs(facts, Folder(row.logs, root), errors)
    except NoFile as error:
        facts.trouble = f"Nothing is shown of its logs: {error}."
    return facts


def _read_logs(facts: TaskFacts, folder: Folder, errors: Errors) -> None:
    files = folder.files()
    facts.files = [each for each in files if each.path not in _MANIFESTS]
    names = {each.path for each in files}
    if not names:
        facts.trouble = "Its logs are not there any more."
        return
    report = _report(folder) if "report.json" in names else TaskReport()
    facts.artifacts = report.artifacts
    if "result.manifest" in names:
        facts.operations = _operations(folder, report, names)
    failed = next((each for each in facts.operations if each.status in _BAD and each.log), None)
    if failed:
        found = errors.first(folder, failed.log)
        if found:
            facts.error_log, facts.error_line = failed.log, found.line


def _report(folder: Folder) -> TaskReport:
    data, size = folder.part("report.json", 0, _REPORT)
    return TaskReport() if size > _REPORT else written_report(data.decode(errors="replace"))


def _operations(folder: Folder, report: TaskReport, names: set[str]) -> list[Operation]:
    data, _size = folder.part("result.manifest", 0, _HEAD)
    results = list(statuses(decode(data)))
    if not results:
        return []
    # They choose the names of the files as those who wrote them did.
    logs = log_names(Result("x", "0", Status.SUCCESS, tuple(results)))
    return [
        Operation(
            name=each.operation,
            status=str(each.status),
            log=logs[each.operation] if logs[each.operation] in names else "",
            tests=_tests(report.tests.get(each.operation)),
            warning=report.warnings.get(each.operation, ""),
        )
        for each in results
    ]


def statuses(text: str) -> t.Iterator[OperationResult]:
    """Yield the operations of a result manifest, whose logs come after all of these."""
    for line in text.split("\n"):
        if "-log:" in line:
            return
        match = _STATUS.fullmatch(line)
        if match:
            try:
                yield OperationResult(match[1], Status(match[2]), "")
            except (ValueError, EngineError):
                continue


def _tests(counts: t.Mapping[str, t.Any] | None) -> str:
    if not counts:
        return ""
    said = [f"{counts['passed']} passed"]
    return ", ".join(said + [f"{counts[k]} {k}" for k in ("failed", "skipped") if counts[k]])


def phase_bars(phases: t.Mapping[str, float]) -> list[PhaseBar]:
    """Return bars one after another, for phases whose seconds may be odd."""
    seconds = {name: max(0.0, value) for name, value in phases.items()}
    whole = sum(seconds.values()) or 1.0
    bars, begun = [], 0.0
    for name, value in seconds.items():
        bars.append(PhaseBar(name, value, 100 * begun / whole, 100 * value / whole))
        begun += value
    return bars
