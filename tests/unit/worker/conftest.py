# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's package, and ways to have it do a task."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "toolchain" / "worker"))
# The kinds of project, wherever pytest is run from.
sys.path.insert(0, str(Path(__file__).parent))

from bbot_worker import account, perform
from bbot_worker.progress import Progress
from bbot_worker.result import Result
from bbot_worker.task import Task
from bbot_worker.tftp import Tftp


class Outcome:
    """A result, by operation."""

    def __init__(self, result: Any) -> None:
        self.status: str = result.status
        self.report: dict[str, Any] = result.report
        self.dependency_checksum: str = result.dependency_checksum
        self.worker_checksum: str = result.worker_checksum
        self.text: str = result.serialize().decode()
        self.operations: list[str] = [name for name, _dummy, _dummy in result.operations]
        self.statuses: dict[str, str] = {name: status for name, status, _dummy in result.operations}
        self.logs: dict[str, str] = {name: log for name, _dummy, log in result.operations}

    def __repr__(self) -> str:
        logs = "\n".join(f"--- {name}\n{log}" for name, log in self.logs.items())
        return f"{self.status} {self.statuses}\n{logs}"


Perform = Callable[..., Outcome]


@pytest.fixture(name="perform")
def perform_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perform:
    """Do a task whose sources are a directory here, as who we are.

    Of the keywords ``work`` is the directory to work in, ``progress`` makes what follows the task
    from its settings.
    """
    monkeypatch.setattr(account.os, "getuid", lambda: 1000)  # No change of the user.

    def do(
        files: dict[str, str],
        configuration: str = "",
        *more: tuple[str, str],
        work: Path = tmp_path / "work",
        progress: Callable[[dict[str, str]], Progress] | None = None,
    ) -> Outcome:
        tree = tmp_path / "tree"
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        pairs = [("name", "libhello"), ("version", "1.0.0"), ("repository-url", str(tree))]
        pairs += [("repository-type", "dir"), ("target-config", configuration), *more]
        result, task = Result(), Task(pairs)
        follower = progress(task.settings) if progress else Progress()
        perform.perform(task, result, str(work), Tftp(), follower)
        return Outcome(result)

    return do
