# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources are fetched and unpacked by the worker's own code, without a task around it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.account import Account
from bbot_worker.log import Log
from bbot_worker.progress import Progress
from bbot_worker.run import Runner
from bbot_worker.sources import fetch_source
from bbot_worker.task import Task
from bbot_worker.tftp import TftpError

Fetch = Callable[..., Path]


class Offered:
    """TFTP with files by name; what is raised instead of one is an exception in its place."""

    def __init__(self, files: dict[str, Any]) -> None:
        self.files = files
        self.asked: list[str] = []

    def get(self, name: str, file: io.BytesIO, patience: float = 0) -> int:
        self.asked.append(name)
        found = self.files.get(name, TftpError("no such file", 1))
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Exception):
            raise found
        return file.write(found)


class Archives:
    """Makes archives of members and their content."""

    @staticmethod
    def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = kind, link, 0o755
        return info

    @staticmethod
    def tar(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as file:  # type: ignore[call-overload]
            for info, data in members:
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return buffer.getvalue()


@pytest.fixture
def archives() -> Archives:
    return Archives()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    """Ourselves, whoever we are."""
    found = Account(str(tmp_path))
    found.ids = None
    return found


@pytest.fixture
def log() -> Log:
    return Log(1 << 20, progress=Progress())


@pytest.fixture
def fetch(tmp_path: Path, account: Account, log: Log) -> Fetch:
    """Fetch the sources at an address, with these further fields, into a folder of their own."""

    def do(
        url: str, *more: tuple[str, str], files: Any = None, timeout: float | None = None
    ) -> Path:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        task = Task([("name", "a"), ("version", "1"), ("repository-url", url), *more])
        offered = files if isinstance(files, Offered) else Offered(files or {})
        runner = Runner(log, account, timeout)
        return Path(fetch_source(task, str(work), offered, runner))  # type: ignore[arg-type]

    return do
