# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What became of a task, in a few lines for people and as data for what comes after it."""

from __future__ import annotations

import dataclasses
import typing as t

from ..records.values import Status

# Lines of the first test that failed, and artifacts, that are shown.
_FAILURE_LINES, _ARTIFACTS = 20, 50


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a task.

    ``result`` and ``report`` are plain data as Result and TaskReport make them, ``phases``
    seconds by phase, ``home`` is the folder with the results.
    """

    result: t.Mapping[str, t.Any]
    report: t.Mapping[str, t.Any]
    machine: str
    culprit: str
    reason: str
    phases: t.Mapping[str, float]
    home: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round(sum(self.phases.values()), 1)

    def lines(self) -> list[str]:
        """It for people."""
        result, phases = self.result, self.phases
        reason = f" ({self.reason})" if self.reason else ""
        lines = [
            f"{result['name']} {result['version']} on {self.machine}: {result['status']}{reason}"
        ]
        # A task of which no result came has no operations.
        for each in result.get("operations") or []:
            lines += self._operation(each["operation"], each["status"])
        artifacts = self.report.get("artifacts") or []
        lines += [
            f"artifact: {each['path']} ({each['size']} bytes, sha256 {each['sha256']})"
            for each in artifacts[:_ARTIFACTS]
        ]
        if len(artifacts) > _ARTIFACTS:
            lines.append(f"and {len(artifacts) - _ARTIFACTS} more artifacts: see report.json")
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in phases.items())
        return [*lines, f"{self.seconds} s: {parts}", f"results: {self.home}"]

    def _operation(self, name: str, status: str) -> list[str]:
        tests = (self.report.get("tests") or {}).get(name)
        warning = (self.report.get("warnings") or {}).get(name)
        line = f"{name}: {status}"
        if tests:
            counts = [f"{tests['passed']} passed"]
            counts += [f"{tests[kind]} {kind}" for kind in ("failed", "skipped") if tests[kind]]
            line += "".join(f", {count}" for count in counts)
        lines = [line]
        if status == "warning" and warning:
            lines.append(f"| {warning}")
        if tests and "first_failure" in tests:
            failure = tests["first_failure"]
            lines.append(f"first failure: {failure['name']}")
            lines += [f"| {text}" for text in failure["text"].splitlines()[-_FAILURE_LINES:]]
        return lines

    def facts(self) -> dict[str, t.Any]:
        """It for programs."""
        return {
            "name": self.result["name"],
            "version": self.result["version"],
            "status": self.result["status"],
            "culprit": self.culprit,
            "reason": self.reason,
            "machine": self.machine,
            "seconds": self.seconds,
            "tests": self.report.get("tests") or {},
            "artifacts": list(self.report.get("artifacts") or []),
            "results": self.home,
        }

    def failure(self, fail_on: str) -> str:
        """Why the task counts as failed, if that is from the status ``fail_on`` on; else empty.

        With `never` it does not.
        """
        status = Status[self.result["status"].upper()]
        if fail_on == "never" or status < Status[fail_on.upper()]:
            return ""
        reason = f": {self.reason}" if self.reason else ""
        title = f"{self.result['name']} {self.result['version']}"
        return f"{title} has status {status}{reason}; see {self.home}."
