# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker in this process, with this host's tools, for sources in a directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "toolchain" / "worker"))

from bbot_worker import perform
from bbot_worker.progress import Progress
from bbot_worker.result import Result
from bbot_worker.task import Task
from bbot_worker.tftp import Tftp


class Outcome:
    """A result: the status and the log of each operation, and the numbers of tests."""

    def __init__(self, result: Any) -> None:
        self.status: str = result.status
        self.statuses = {name: status for name, status, _dummy in result.operations}
        self.logs = {name: log for name, _dummy, log in result.operations}
        self.tests: dict[str, dict[str, Any]] = result.report.get("tests", {})
        self.driver: str = result.report.get("driver", "")

    def __repr__(self) -> str:
        logs = "\n".join(f"--- {name}\n{log}" for name, log in self.logs.items())
        return f"{self.status} {self.statuses}\n{logs}"


def build(source: Path, work: Path, configuration: str = "") -> Outcome:
    """Have the worker do the usual operations."""
    pairs = [("name", "sample"), ("version", "1.0.0"), ("repository-url", str(source))]
    pairs += [("repository-type", "dir"), ("target-config", configuration)]
    result = Result()
    perform.perform(Task(pairs), result, str(work), Tftp(), Progress())
    return Outcome(result)
