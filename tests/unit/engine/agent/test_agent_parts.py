# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small parts of the agent: artifacts, sizes of results, diagnostics, patience, signals, jobs."""

from __future__ import annotations

import io
import os
import signal
import socket
import tarfile
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import (
    Job,
    JobError,
    Wanted,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.artifacts import (
    ArtifactError,
    repack,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.backoff import Patience
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.delivery import (
    pause_after,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.sd_notify import (
    ServiceManager,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.signals import Signals
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    ResultRequest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result_size import fit
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.release import VERSION

ROOT = Path(__file__).parents[4]


def test_versions_agree() -> None:
    assert f"\nversion: {VERSION}\n" in (ROOT / "galaxy.yml").read_text()
    worker = (ROOT / "roles/toolchain/worker/bbot_worker/__init__.py").read_text()
    assert f'\nVERSION = "{VERSION}"\n' in worker


def member(archive: tarfile.TarFile, name: str, text: str = "", **facts: t.Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text)
    for fact, value in facts.items():
        setattr(info, fact, value)
    archive.addfile(info, io.BytesIO(text.encode()))


def test_artifacts_are_packed_by_instance(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    with tarfile.open(tmp_path / "artifacts" / "upload.tar", "w") as archive:
        member(archive, "upload/bindist/debian", type=tarfile.DIRTYPE, mode=0o4755)
        member(archive, "./upload/bindist/debian/hello.deb", "package", mode=0o644)
        member(archive, "upload/bindist/archive/hello.tar.gz", "archive")
        member(archive, "upload/other/x/y", "not asked for")
        member(archive, "upload/bindist/debian/../../../etc/passwd", "evil")
        member(archive, "upload/bindist/.hidden/x", "evil")
        member(archive, "stray", "stray")
    found = repack(str(tmp_path), ["bindist"])
    assert [(each.type, each.instance) for each in found] == [
        *(("bindist", "archive"), ("bindist", "debian")),
    ]
    with tarfile.open(found[1].path) as archive:
        assert archive.getnames() == ["debian", "debian/hello.deb"]
        content = archive.extractfile("debian/hello.deb")
        assert content is not None
        assert content.read() == b"package"
        assert archive.getmember("debian").mode == 0o755
    # The same bytes, however often they are asked for: the checksum must not change.
    checksum = found[1].sha256sum()
    assert repack(str(tmp_path), ["bindist"])[1].sha256sum() == checksum
    assert repack(str(tmp_path), []) == []
    assert repack(str(tmp_path / "none"), ["bindist"]) == []
    (tmp_path / "artifacts" / "upload.tar").write_bytes(b"garbage")
    with pytest.raises(ArtifactError, match="cannot unpack the artifacts"):
        repack(str(tmp_path), ["bindist"])


def test_results_are_cut_to_fit() -> None:
    logs = ["x\n" * 50_000, "short\n", "y" * 300_000]
    operations = tuple(
        OperationResult(f"op{number}", Status.SUCCESS, log) for number, log in enumerate(logs)
    )
    request = ResultRequest("s", Result("hello", "1", Status.SUCCESS, operations))
    assert fit(request, 1_000_000) == request.to_text()
    text = fit(request, 100_000)
    assert 50_000 < len(text.encode()) <= 100_000
    again = ResultRequest.parse(text, "text")
    assert [each.operation for each in again.result.operations] == ["op0", "op1", "op2"]
    assert again.result.operations[1].log.strip() == "short"
    assert "bytes with" in again.result.operations[2].log
    # There is a limit to what can be done.
    assert ResultRequest.parse(fit(request, 10), "text").result.status is Status.SUCCESS


def test_diagnostics() -> None:
    stream = io.StringIO()
    say = Diagnostics(1, stream=stream)
    say.error("two\nlines")
    say.warning("careful")
    say.info("on")
    say.trace("hidden")
    say.report("warning: of the engine", "task x: ")
    say.report("phase work")
    say.report("error of no kind: x")
    assert stream.getvalue().splitlines() == [
        *("error: two lines", "warning: careful", "info: on", "warning: task x: of the engine"),
    ]
    stream = io.StringIO()
    say = Diagnostics(2, systemd=True, stream=stream)
    say.error("e")
    say.report("phase work", "task x: ")
    assert stream.getvalue().splitlines() == ["<3>error: e", "<7>task x: phase work"]
    silent = io.StringIO()
    Diagnostics(0, stream=silent).info("on")
    assert silent.getvalue() == ""
    closed = io.StringIO()
    closed.close()
    say = Diagnostics(stream=closed)
    say.error("nobody reads it")
    say.error("and nobody ever will")


def test_pauses_grow_and_forget() -> None:
    assert all(4 <= pause_after(0) <= 6 for _dummy in range(100))
    assert all(480 <= pause_after(99) <= 720 for _dummy in range(100))
    patience = Patience(10, 100)
    assert not patience.waits("x")
    assert patience.next() == float("inf")
    pauses = [patience.failed("x", "why") for _dummy in range(6)]
    assert patience.waits("x")
    assert not patience.waits("y")
    assert pauses[0] <= 12
    assert all(80 <= pause <= 120 for pause in pauses[4:])
    assert 80 < patience.next() - time.monotonic() <= 120
    patience.succeeded("x")
    assert not patience.waits("x")
    assert patience.failed("x", "why") <= 12


def test_signals_come_as_events() -> None:
    with Signals(signal.SIGHUP, signal.SIGUSR1) as caught:
        assert caught.take() == []
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGHUP)
        taken = caught.take()
        assert taken.count(signal.SIGHUP) >= 1
        assert signal.SIGUSR1 in taken
        assert caught.take() == []


class TestServiceManager:
    @pytest.fixture
    def manager(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(tmp_path / "notify"))
            sock.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            monkeypatch.setenv("WATCHDOG_USEC", "3000000")
            monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
            yield sock

    def test_it_is_told(self, manager: socket.socket) -> None:
        told = ServiceManager()
        assert told.watchdog_interval == 1.5
        told.ready()
        told.alive()
        told.status("one task")
        told.status("one task")
        told.reloading()
        told.stopping()
        messages = [manager.recv(200).decode() for _dummy in range(5)]
        assert messages[:3] == ["READY=1", "WATCHDOG=1", "STATUS=one task"]
        assert messages[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert messages[4] == "STOPPING=1"

    def test_nobody_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            monkeypatch.delenv(name, raising=False)
        nobody = ServiceManager()
        nobody.ready()
        nobody.alive()
        assert nobody.watchdog_interval is None
        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
        ServiceManager().ready()


def wait_for(job: Job) -> None:
    deadline = time.monotonic() + 10
    while not job.ended():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestJobs:
    def test_what_it_returns(self) -> None:
        job = Job("work", lambda _wanted: {"answer": "x" * 1_000_000})
        wait_for(job)
        assert len(job.result()["answer"]) == 1_000_000

    def test_what_it_raises(self, capfd: pytest.CaptureFixture[str]) -> None:
        def work(_wanted: Wanted) -> None:
            raise ValueError("a defect")

        job = Job("work", work)
        wait_for(job)
        with pytest.raises(JobError, match="work ended with status 1"):
            job.result()
        assert "ValueError: a defect" in capfd.readouterr().err

    def test_it_is_told_to_end(self) -> None:
        def work(wanted: Wanted) -> str:
            while wanted():
                time.sleep(0.01)
            return "cleared away"

        job = Job("work", work)
        time.sleep(0.1)
        assert not job.ended()
        job.terminate()
        wait_for(job)
        assert job.result() == "cleared away"

    def test_its_time_is_over(self) -> None:
        job = Job("work", lambda _wanted: time.sleep(60), timeout=0.1)
        wait_for(job)
        with pytest.raises(JobError, match="work ended with signal 9"):
            job.result()
