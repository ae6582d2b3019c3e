# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker as a module, though its file has no ending, and ways to have it do a task."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

WORKER = Path(__file__).parents[3] / "roles" / "toolchain" / "files" / "bbot-worker"


@pytest.fixture(scope="session")
def worker() -> ModuleType:
    loader = SourceFileLoader("bbot_worker", str(WORKER))
    # Beside the file it would become a part of the toolchain's role.
    loader.set_data = lambda *_args, **_keywords: None  # type: ignore[method-assign]
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


class Outcome:
    """A result, by operation."""

    def __init__(self, result: Any) -> None:
        self.status: str = result.status
        self.operations: list[str] = [name for name, _dummy, _dummy in result.operations]
        self.statuses: dict[str, str] = {name: status for name, status, _dummy in result.operations}
        self.logs: dict[str, str] = {name: log for name, _dummy, log in result.operations}

    def __repr__(self) -> str:
        logs = "\n".join(f"--- {name}\n{log}" for name, log in self.logs.items())
        return f"{self.status} {self.statuses}\n{logs}"


Perform = Callable[..., Outcome]


@pytest.fixture
def perform(worker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Perform:
    """Do a task whose sources are a directory here, as who we are."""
    monkeypatch.setattr(worker.os, "getuid", lambda: 1000)  # No change of the user.

    def perform(files: dict[str, str], configuration: str = "", *more: tuple[str, str]) -> Outcome:
        tree = tmp_path / "tree"
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        pairs = [("name", "libhello"), ("version", "1.0.0"), ("repository-url", str(tree))]
        pairs += [("repository-type", "dir"), ("target-config", configuration), *more]
        result = worker.Result()
        work = str(tmp_path / "work")
        worker.perform(worker.Task(pairs), result, work, worker.Tftp(), worker.Progress())
        return Outcome(result)

    return perform
