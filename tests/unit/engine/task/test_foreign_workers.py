# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers that are not ours: curl, and the lz4 command, speak as bbot's do, old and new."""

from __future__ import annotations

import functools
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.phases import Phases
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    bootstrap as _bootstrap,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import (
    Talk,
    Waits,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.names import arrived_in
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.by_hand import perform_by_hand
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits, Server
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator

TASK = Task(name="hello", version="1.0", repository_url="https://x/", machine="m1")

HEAD = """set -eu
get() { curl -fsS --max-time 30 --tftp-blksize 1468 -o "$2" "tftp://127.0.0.1:$1/$3"; }
put() { curl -fsS --max-time 30 --tftp-blksize 1468 -T "$2" "tftp://127.0.0.1:$1/$3"; }
"""
BUILDS = {
    "2017": """
get $1 task manifest
grep -q '^name: hello$' task
printf ': 1\\nname: hello\\nversion: 1.0\\nstatus: success\\nupdate-status: success\\n' > result
printf 'update-log: a \\033[31mred\\033[0m bell \\007\\n' >> result
put $1 result manifest
""",
    "0.14": """
get $1 task task.manifest
grep -q '^name: hello$' task
printf ': 1\\nname: hello\\nversion: 1.0\\nstatus: success\\nupdate-status: success\\n' > result
printf 'update-log: a red bell ␇\\nworker-checksum: 1\\ndependency-checksum: 2\\n' >> result
printf archive > upload.tar
put $1 upload.tar upload.tar
lz4 -q -z result result.lz4
put $1 result.lz4 result.manifest.lz4
""",
}
BOOTSTRAPS = {
    version: f"""
get $1 file bootstrap
grep -q 'the toolchain' file
printf ': 1\\nbbot-version: 0.17.0\\nlibbbot-version: 0.17.0\\n' > report
put $1 report {name}
"""
    for version, name in (("2017", "manifest"), ("0.14", "bootstrap.manifest"))
}


def host_in(root: Path, report: t.Callable[[str], None]) -> Host:
    return Host(
        run=t.cast("t.Any", None),
        storage=t.cast("t.Any", None),
        machines=str(root / "machines"),
        tftp=str(root / "tftp"),
        runtime=str(root / "run"),
        state=str(root / "state"),
        report=report,
    )


class Worker:
    """A shell script that is started with the port of the TFTP server."""

    def __init__(self, folder: Path, script: str) -> None:
        self._folder = folder
        self._script = script
        self._thread: threading.Thread | None = None
        self.errors = "it was not started"

    def start(self, port: int) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
            self._thread.start()

    def _run(self, port: int) -> None:
        self._folder.mkdir()
        command = ["sh", "-c", HEAD + self._script, "worker", str(port)]
        done = subprocess.run(
            command, cwd=self._folder, check=False, capture_output=True, text=True, timeout=120
        )
        self.errors = done.stderr if done.returncode else ""

    def joined(self) -> str:
        """What went wrong; empty if nothing did."""
        if self._thread is not None:
            self._thread.join()
        return self.errors


@pytest.mark.parametrize("version", BUILDS)
def test_a_build(tmp_path: Path, version: str) -> None:
    lines: list[str] = []
    worker = Worker(tmp_path / "guest", BUILDS[version])

    def alive() -> bool:
        (line,) = (line for line in lines if line.startswith("info: task hello/1.0"))
        worker.start(int(line.rpartition(":")[2]))
        return True

    host = host_in(tmp_path, lines.append)
    outcome = perform_by_hand(host, TASK, "default", 0, Limits(), alive)
    assert worker.joined() == ""
    assert outcome.result.status is Status.SUCCESS
    assert outcome.result.logs == {"update": "a red bell \u2407"}
    assert outcome.result.dependency_checksum == ("2" if version == "0.14" else None)


@pytest.mark.parametrize("version", BOOTSTRAPS)
def test_a_bootstrap(tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(tmp_path / "guest", BOOTSTRAPS[version])
    toolchain = tmp_path / "toolchain"
    toolchain.mkdir()
    (toolchain / "bootstrap").write_text("the toolchain")

    def converse(
        _host: t.Any, _lease: t.Any, _accelerator: t.Any, talk: Talk, _phases: t.Any
    ) -> None:
        arrived = functools.partial(arrived_in, talk.put_root, talk.awaited)
        server = Server(
            "127.0.0.1", 0, get_root=talk.get_root, put_root=talk.put_root, limits=talk.limits
        )
        with server:
            worker.start(server.port)
            while not arrived():
                server.serve(0.05, lambda: arrived() is not None)
            # The last acknowledgement may be asked for once more.
            server.serve(0.2, lambda: False)
        assert talk.judge() is None

    monkeypatch.setattr(_bootstrap, "converse", converse)
    host = host_in(tmp_path, lambda _line: None)
    lease = host.leases.take(what="bootstrap")
    done = _bootstrap.bootstrap(
        host,
        lease,
        str(tmp_path / "machine"),
        MachineManifest(id="m1-1", name="m1", summary="x", type="kvm"),
        None,
        Toolchain("default", "1", BootstrapResult(), str(toolchain)),
        _bootstrap.Running(Accelerator("tcg", "")),
        Waits(1, 1),
        str(tmp_path / "logs"),
        Phases(lambda _line: None),
    )
    lease.end()
    assert worker.joined() == ""
    assert isinstance(done, BootstrappedMachine)
    assert "bbot-version: 0.17.0" in done.to_text()
