# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a journal, and the pages about it, in this process."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.status import collect
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import Journal
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.pages import Pages, Sources
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.request import parse
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.response import (
    Answer,
    Response,
)


class Place:
    """The host; pages are asked for by their address."""

    def __init__(self, root: Path) -> None:
        self.logs = root / "log"
        self.logs.mkdir()
        (root / "machines").mkdir()
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", None),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
        )
        self.journal = Journal(str(root / "state" / "journal.sqlite"))
        self._reader = Journal(self.journal.path, read_only=True)
        suspensions = Suspensions(self.host, 1 << 60, 1e18)
        self.pages = Pages(
            Sources(
                lambda: collect(self.host, self._reader, suspensions),
                self._reader,
                str(self.logs),
                "build1",
            )
        )

    def accept(self, name: str = "hello", version: str = "1.0", machine: str = "m1") -> int:
        task = Task(name=name, version=version, repository_url="https://x/", machine=machine)
        session = f"t/{name}/{version}/linux/default//public/0.17.0/1"
        response = TaskResponse(session, task, result_url="https://x/r")
        url = "https://user:canary@x/?build-task"
        return self.journal.accept(response, toolchain="default", controller=url, answer=None)

    def folder(self, number: int) -> Path:
        place = self.logs / f"task-{number}"
        place.mkdir(exist_ok=True)
        self.journal.own(number, "owner", str(place))
        return place

    def store(
        self,
        number: int,
        status: Status = Status.SUCCESS,
        operations: t.Mapping[str, tuple[Status, str]] | None = None,
        *,
        reason: str = "",
        culprit: str = "none",
        phases: dict[str, float] | None = None,
    ) -> None:
        done = tuple(
            OperationResult(name, what, log) for name, (what, log) in (operations or {}).items()
        )
        result = Result("hello", "1.0", status, done)
        entry = self.journal.get(number)
        if entry is not None and entry.logs:
            (Path(entry.logs) / "result.manifest").write_text(result.to_text())
            for each in done:
                (Path(entry.logs) / f"{each.operation}.log").write_text(each.log)
        self.journal.store(number, result, reason=reason, culprit=culprit)
        self.journal.describe(number, culprit=culprit, reason=reason, phases=phases or {})

    def ask(self, address: str) -> Answer:
        return self.pages.answer(parse(f"GET {address} HTTP/1.1\r\nHost: x".encode()))

    def get(self, address: str) -> str:
        answer = self.ask(address)
        assert isinstance(answer, Response)
        assert answer.status == 200
        return answer.body.decode()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
