# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build host with a past, and the page about it, served by a process as people have it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sqlite3
import ssl
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    FILE,
    Journal,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import Lease
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.report import (
    TaskReport,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status

from .agents import COMMAND, engine

URL = "https://user:canary-in-a-url@ci.example.org/?build-task"
PHASES = {"wait": 1.5, "snapshot": 0.25, "start": 3.5, "work": 21.0, "down": 0.25}
_COPIED = (
    "toolchain, controller, session, answer, result_url, upload_urls, task, name, version, machine,"
    " state, finished, status, culprit, reason, phases, logs, lifetime, noted, counted"
)


class WebHost:
    """A build host in the folder ``root``: tasks are put into its journal by the journal itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "log"
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", None),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
        )
        (root / "machines" / "default").mkdir(parents=True)
        (root / "tftp" / "toolchains" / "default").mkdir(parents=True)
        self.logs.mkdir()
        self.journal = Journal(str(root / "state" / FILE))
        self.leases: list[Lease] = []

    def machine(self, name: str, manifest: str = "", *, current: bool = False) -> None:
        """Have a machine, that is bootstrapped if it is ``current``."""
        folder = self.root / "machines" / "default" / name
        (folder / f"{name}-1.0").mkdir(parents=True)
        text = f": 1\nid: {name}-1\nname: {name}\nsummary: x\ntype: kvm\nmac: 02:00:00:00:00:01\n"
        (folder / f"{name}-1.0" / "manifest").write_text(manifest or text)
        (folder / f"{name}-1").symlink_to(f"{name}-1.0")
        if current:
            (folder / f"{name}-default").mkdir()
            bootstrapped = BootstrappedMachine(
                MachineManifest.parse(text), ToolchainManifest("bogus"), BootstrapResult()
            )
            (folder / f"{name}-default" / "manifest").write_text(bootstrapped.to_text())

    def task(self, name: str = "hello", version: str = "2.10", machine: str = "debian_12") -> int:
        """Note a task that a controller gave."""
        task = Task(name=name, version=version, repository_url="https://x/", machine=machine)
        response = TaskResponse(
            f"t/{name}/{version}/linux/default//public/0.17.0/1",
            task,
            result_url="https://ci.example.org/r",
        )
        return self.journal.accept(response, toolchain="default", controller=URL, answer=None)

    def folder(self, number: int) -> Path:
        """The folder of a task's logs."""
        place = self.logs / f"task-20261129T120000-{number}"
        place.mkdir(exist_ok=True)
        self.journal.own(number, "owner", str(place))
        return place

    def ended(
        self,
        status: Status = Status.SUCCESS,
        operations: t.Mapping[str, tuple[Status, str]] | None = None,
        *,
        culprit: str = "none",
        reason: str = "",
        phases: t.Mapping[str, float] | None = None,
        report: TaskReport | None = None,
        **task: str,
    ) -> int:
        """Note a task with a result, whose ``operations`` have a status and a log each."""
        number = self.task(**task)
        place = self.folder(number)
        given = operations or {"update": (Status.SUCCESS, "built\n")}
        result = Result(
            task.get("name", "hello"),
            task.get("version", "2.10"),
            status,
            tuple(OperationResult(name, what, log) for name, (what, log) in given.items()),
        )
        (place / "result.manifest").write_text(result.to_text())
        for name, (_what, log) in given.items():
            (place / f"{name}.log").write_text(log)
        (place / "agent.log").write_text("12:00:00 phase start\n12:00:04 phase work\n")
        if report is not None:
            (place / "report.json").write_text(json.dumps(report.to_mapping()))
        self.journal.store(number, result, culprit=culprit, reason=reason)
        self.journal.describe(number, culprit=culprit, reason=reason, phases=dict(phases or PHASES))
        return number

    def running(self, lines: str = "", **more: t.Any) -> int:
        """Have a task that runs, as this process."""
        number = self.task(**more)
        place = self.folder(number)
        (place / "agent.log").write_text(lines)
        entry = self.journal.get(number)
        assert entry is not None
        facts = {"machine": entry.machine, "task": entry.title, "logs": str(place)}
        self.leases.append(self.host.leases.take(what="task", phase="work", **facts))
        return number

    def agent(self) -> None:
        """Have an agent, as this process."""
        facts = {"toolchain": "default", "controllers": [URL], "instance_max": 2}
        self.leases.append(self.host.leases.take(what="agent", version="0.1.0", **facts))

    def multiply(self, count: int) -> None:
        """Have so many tasks that are over, as those that there are, over the last weeks."""
        with contextlib.closing(sqlite3.connect(self.journal.path)) as db:
            over = db.execute("SELECT id FROM tasks WHERE state != 'running'").fetchall()
            for number in range(0, count - len(over)):
                db.execute(
                    f"INSERT INTO tasks ({_COPIED}, received) SELECT {_COPIED}, ? FROM tasks"
                    " WHERE id = ?",
                    (time.time() - 28 * 86400 * (1 - number / count), *over[number % len(over)]),
                )
            db.execute("UPDATE tasks SET state = 'delivered' WHERE state = 'queued'")
            db.commit()

    def suspend(self, number: str, reason: str) -> None:
        """Have a machine that has failed, by its record."""
        place = self.root / "state" / "suspended" / number
        place.mkdir(parents=True)
        path = self.root / "machines" / "default" / "m" / f"m-default-suspended-{number}"
        record = {
            "id": number,
            "machine": "debian_12",
            "what": "build",
            "reason": reason,
            "since": time.time() - 4000,
            "logs": str(self.logs / "x"),
            "accelerator": "tcg",
            "hardware": {"name": "m", "directory": str(path), "mac": "02:00:00:00:00:01"},
            "state": {"path": str(place / "state"), "key": "x", "qemu": "7.2"},
        }
        (place / "record.json").write_text(json.dumps(record))
        (place / "state").write_bytes(b"x" * 100_000)

    def close(self) -> None:
        for lease in self.leases:
            lease.end()

    @property
    def places(self) -> list[str]:
        """The options that say where things are."""
        named = {"machines": "machines", "tftp": "tftp", "state-dir": "state", "log-dir": "log"}
        return [w for name, folder in named.items() for w in (f"--{name}", str(self.root / folder))]


class Answer(t.NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: str


class WebServer:
    """The page about a host, for the length of a with statement."""

    def __init__(self, host: WebHost, *options: str, called: str = "") -> None:
        words = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
        self._command = [sys.executable, str(COMMAND), "web", *words, *options, *host.places]
        if called:
            # For a host of that name.
            renamed = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', called]
            self._command = renamed + self._command
        self._environment = engine(host.root)
        self.url = ""

    def __enter__(self) -> WebServer:
        self.process = subprocess.Popen(
            self._command, env=self._environment, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"the page is at (https?://\S+):(\d+)/", line)
        if found is None:
            self.process.wait(10)
            raise AssertionError(line + self.process.stderr.read())
        self.url, self.port = f"{found[1]}:{found[2]}/", int(found[2])
        return self

    def get(
        self, path: str = "/", method: str = "GET", tls: ssl.SSLContext | None = None, **more: str
    ) -> Answer:
        """Ask for a page."""
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if tls is None:
            line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        else:
            line = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=tls)
        with contextlib.closing(line):
            line.request(method, path, headers=headers)
            answer = line.getresponse()
            body = answer.read().decode()
            return Answer(answer.status, answer.headers, body)

    @property
    def resident(self) -> int:
        """Bytes of memory that the server has, by itself."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(each) for each in re.findall(r"(?m)^Private_\w+:\s+(\d+)", text))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.process.terminate()
        try:
            status = self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stderr is not None
            self.said = self.process.stderr.read()
            self.process.stderr.close()
        if kind is None:
            assert status == 0, self.said
            assert "error" not in self.said, self.said
