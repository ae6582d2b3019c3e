# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task in a machine that does, leaves or raises anything: it has one result, and leaves nothing.

What talks to the machine is replaced; journal, leases, locks and files are real.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Entry,
    Journal,
    JournalError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    Interrupted,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import (
    SoftFailure,
    Start,
    Waits,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.locking import (
    is_free,
    task_lock,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.template import (
    TemplateError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import Uses
from ansible_collections.bbot.agent.plugins.module_utils._engine.task import perform as _task
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import (
    Booking,
    Delivery,
    Outcome,
    book,
    perform,
    perform_booked,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError

TASK = Task(name="hello", version="1.0", repository_url="https://x/", machine="m1")


def result(status: str = "success", report: object = None, **more: t.Any) -> str:
    """What a worker sends."""
    operations = (OperationResult("update", Status(status), "a log\n"),)
    values = {"name": "hello", "version": "1.0", "operations": operations, **more}
    text = None if report is None else json.dumps(report)
    return Result(status=Status(status), report=text, **values).to_text()


class Store:
    """Folders as subvolumes."""

    def info(self, path: str) -> object | None:
        return types.SimpleNamespace(uuid="u") if os.path.exists(path) else None

    def discard(self, path: str) -> bool:
        found = os.path.exists(path)
        if found:
            shutil.rmtree(path)
        return found

    def fork(self, source: str, path: str, uses: Uses, _reader: int | None = None) -> None:
        assert uses.disks == {"disk.img": "raw"}
        shutil.copytree(source, path)


class Site:
    """A build host with the bootstrapped machine m1, and a task for it in the journal."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines: list[str] = []
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", Store()),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
            runtime=str(root / "run"),
            bridge="br1",
            report=self.lines.append,
        )
        self.place = root / "machines" / "default" / "m1"
        (self.place / "m1-default").mkdir(parents=True)
        (self.place / "m1-default" / "disk.img").write_text("disk")
        self.machine = self.a_machine("02:00:00:00:00:01")
        self.logs = root / "logs"
        self.journal = Journal(str(root / "state" / "journal.sqlite"))
        response = TaskResponse(
            "t/hello/1.0/linux/default//public/0.17.0/1", TASK, result_url="https://x/r"
        )
        self.number = self.journal.accept(
            response, toolchain="default", controller="https://x/", answer=None
        )
        self.talk: t.Any = None
        self.lease: t.Any = None
        self.running = Running(Accelerator("tcg", ""))

    def a_machine(self, mac: str | None) -> Machine:
        manifest = MachineManifest(id="m1-1", name="m1", summary="x", type="kvm", mac=mac)
        old = BootstrappedMachine(manifest, ToolchainManifest("t1"), BootstrapResult())
        path = str(self.place / "m1-default")
        return Machine(
            "default", "m1", str(self.place), path, "current", manifest=manifest, bootstrapped=old
        )

    def perform(self, *, awaited: bool = True, fake: bool = False, files: t.Any = None) -> Outcome:
        return perform(
            self.host,
            TASK,
            self.machine,
            Toolchain("default", "t1", BootstrapResult(), "/t"),
            self.running,
            Waits(1, 1),
            Limits(),
            str(self.logs),
            files or {},
            booking=Booking(self.journal, self.number, awaited),
            fake=fake,
        )

    def entry(self) -> Entry:
        found = self.journal.get(self.number)
        assert found is not None
        return found

    def stored(self) -> str:
        text = self.journal.result(self.number)
        assert text is not None
        return str(Result.parse(text, "stored").status)

    def assert_clean(self) -> None:
        """Nothing is left of the machine, its folders and its lease."""
        assert sorted(path.name for path in self.place.iterdir()) == ["m1-default"]
        build = self.root / "tftp" / "build"
        assert not build.exists() or list(build.iterdir()) == []
        assert self.host.leases.records() == {}
        assert is_free(self.host, self.machine)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def converse(site: Site, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Has the machine of the task do what a function does, which is given the talk."""

    def install(act: t.Callable[[t.Any], t.Any]) -> None:
        def replaced(_host: Host, lease: t.Any, _how: t.Any, talk: t.Any, _phases: t.Any) -> t.Any:
            site.talk, site.lease = talk, lease
            return act(talk)

        monkeypatch.setattr(_task, "converse", replaced)

    return install


def worker(text: str | bytes, **uploads: bytes) -> t.Callable[[t.Any], SoftFailure | None]:
    """A machine that boots, uploads, and sends `text` as its result."""

    def act(talk: t.Any) -> SoftFailure | None:
        talk.prepare(0)
        talk.started(Start(warm=False, seconds=1.0, reason=""))
        for name, content in uploads.items():
            Path(talk.put_root, name.replace("__", ".")).write_bytes(content)
        Path(talk.put_root, "manifest").write_bytes(
            text.encode() if isinstance(text, str) else text
        )
        failure: SoftFailure | None = talk.judge()
        return failure

    return act


def test_a_result_by_todays_name_is_no_artifact(site: Site, converse: t.Any) -> None:
    def act(talk: t.Any) -> SoftFailure | None:
        talk.prepare(0)
        Path(talk.put_root, "upload.tar").write_bytes(b"files")
        said = result().encode()
        packed = subprocess.run(["lz4", "-q"], input=said, capture_output=True, check=True)
        Path(talk.put_root, "result.manifest.lz4").write_bytes(packed.stdout)
        failure: SoftFailure | None = talk.judge()
        return failure

    converse(act)
    outcome = site.perform()
    assert outcome.result.status is Status.SUCCESS
    assert list(outcome.artifacts) == ["upload.tar"]


def upload(content: bytes = b"files", **more: t.Any) -> dict[str, t.Any]:
    told = {"name": "up.tar", "size": 5, "sha256": hashlib.sha256(content).hexdigest()}
    return {"uploads": [{**told, **more}]}


UNUSABLE = "the result cannot be used"
ODD_REPORT = "the report in the result is not as it should be"
SENT = [
    (result(), "success", "none", ""),
    (result("warning"), "warning", "none", ""),
    (result("skip"), "skip", "none", ""),
    (result("error"), "error", "task", "update error"),
    (result("error", operations=()), "error", "task", "status error"),
    (result("abort"), "abort", "task", "update abort"),
    (result("interrupt"), "interrupt", "task", "update interrupt"),
    (result("abnormal"), "abnormal", "machine", "build terminated abnormally"),
    ("", "abnormal", "machine", UNUSABLE),
    (b"\0\xff" * 100, "abnormal", "machine", UNUSABLE),
    (result()[:-20], "abnormal", "machine", UNUSABLE),
    (result() * 2, "abnormal", "machine", UNUSABLE),
    (result(name="other"), "abnormal", "machine", "it is of other 1.0, not of hello 1.0"),
    (result(version="2.0"), "abnormal", "machine", "not of hello 1.0"),
    (result(name="unknown", version="0"), "success", "none", ""),
    (result() + "x-long: " + "x" * 16_000_000, "abnormal", "machine", "more than 15728640 bytes"),
    (result(report=[]), "abnormal", "machine", ODD_REPORT),
    (result(report={"tests": 7}), "abnormal", "machine", ODD_REPORT),
    (result(report={"uploads": [{"name": "../x"}]}), "abnormal", "machine", ODD_REPORT),
    (result(report=upload()), "success", "none", ""),
    (result(report=upload(name="gone")), "abnormal", "machine", "announced and is not there"),
    (result(report=upload(size=4)), "abnormal", "machine", "has 5 bytes, not the 4 announced"),
    (result(report=upload(b"other")), "abnormal", "machine", "another SHA-256 digest"),
]


@pytest.mark.parametrize(
    ("sent", "status", "culprit", "reason"),
    SENT,
    ids=[f"{number}-{status}" for number, (_sent, status, *_rest) in enumerate(SENT)],
)
def test_what_a_worker_sends(
    site: Site, converse: t.Any, sent: str | bytes, status: str, culprit: str, reason: str
) -> None:
    converse(worker(sent, up__tar=b"files"))
    outcome = site.perform()
    assert (str(outcome.result.status), outcome.culprit) == (status, culprit)
    assert reason in outcome.reason
    assert bool(outcome.reason) is bool(reason)
    # Controllers get the same, and never a part of what nobody understood.
    assert site.stored() == status
    entry = site.entry()
    assert (entry.state, entry.culprit, entry.reason) == ("queued", culprit, outcome.reason)
    assert outcome.result.report is None
    assert (outcome.result.name, outcome.result.version) == ("hello", "1.0")
    assert outcome.start is not None
    assert list(outcome.artifacts) == ["up.tar"]
    site.assert_clean()


@pytest.mark.parametrize(
    ("failure", "culprit"),
    [
        (SoftFailure("timeout", "build timeout: no result within 9 s"), "task"),
        (SoftFailure("startup timeout", "build startup timeout: no request"), "machine"),
        (SoftFailure("ended early", "build machine ended before it sent a result"), "task"),
        (SoftFailure("shutdown timeout", "still running"), "machine"),
        (SoftFailure("what nobody listed", "odd"), "machine"),
    ],
)
def test_a_machine_that_sends_nothing(
    site: Site, converse: t.Any, failure: SoftFailure, culprit: str
) -> None:
    converse(lambda _talk: failure)
    outcome = site.perform()
    assert (outcome.culprit, outcome.reason) == (culprit, failure.message)
    assert outcome.start is None
    assert site.stored() == "abort"
    site.assert_clean()


ERRORS = [
    VmError("QEMU is gone"),
    NetworkError("no bridge br1 on this host"),
    JournalError("the disk is full"),
    EngineError("what nobody listed", culprit="task"),
    OSError(28, "No space left on device", "/x"),
    Interrupted(),
    MemoryError(),
    RuntimeError("defect"),
    KeyError("missing"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    RecursionError(),
    SystemExit(3),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("when", ["before", "arrived", "judged"])
def test_whatever_is_raised_the_task_has_one_result_and_nothing_is_left(
    site: Site, converse: t.Any, error: BaseException, when: str
) -> None:
    def act(talk: t.Any) -> None:
        talk.prepare(0)
        if when != "before":
            Path(talk.put_root, "manifest").write_text(result())
        if when == "judged":
            assert talk.judge() is None
        raise error

    converse(act)
    with pytest.raises(type(error)):
        site.perform()
    entry = site.entry()
    assert entry.state == "queued"
    if when == "judged":
        # It was in the journal before anything could go wrong.
        assert (site.stored(), entry.culprit) == ("success", "none")
    elif when == "before" or isinstance(error, EngineError | OSError):
        assert (site.stored(), entry.culprit) == ("interrupt", "host")
    else:
        # Not judged, and yet there: whoever clears away has found it.
        assert site.stored() == "success"
    site.assert_clean()


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Refusal:
    """A journal whose disk is full for the first `times` results."""

    def __init__(self, journal: Journal, times: int) -> None:
        self.left = times
        self._store = journal.store

    def __call__(self, *arguments: t.Any, **more: t.Any) -> bool:
        self.left -= 1
        if self.left >= 0:
            raise JournalError("the disk is full")
        return self._store(*arguments, **more)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_task, "time", made)
    return made


def test_a_result_is_kept_as_soon_as_there_is_room(
    site: Site, converse: t.Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse(worker(result()))
    monkeypatch.setattr(site.journal, "store", Refusal(site.journal, 8))
    assert site.perform().culprit == "none"
    assert site.stored() == "success"
    told = [line.rpartition("in ")[2] for line in site.lines if line.startswith("error: ")]
    assert told == ["1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "30 s", "30 s"]
    assert clock.now >= 121
    site.assert_clean()


def test_who_is_interrupted_meanwhile_leaves_the_result_that_has_arrived(
    site: Site, converse: t.Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.running = dataclasses.replace(site.running, alive=lambda: clock.now < 40)
    converse(worker(result()))
    refusal = Refusal(site.journal, 1000)
    monkeypatch.setattr(site.journal, "store", refusal)
    with pytest.raises(Interrupted):
        site.perform()
    assert 900 < refusal.left < 1000
    # The lease's end has another journal at hand.
    assert site.stored() == "success"
    site.assert_clean()


def test_nobody_waits_for_room_where_no_controller_does(
    site: Site, converse: t.Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse(worker(result()))
    monkeypatch.setattr(site.journal, "store", Refusal(site.journal, 1000))
    assert site.perform(awaited=False).culprit == "none"
    assert clock.now == 0
    assert "warning: the disk is full" in site.lines
    site.assert_clean()


def test_a_journal_that_is_lost_before_the_machine_is_started(site: Site, converse: t.Any) -> None:
    converse(lambda _talk: pytest.fail("it is not to be started"))
    Path(site.journal.path).write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError):
        site.perform()
    assert sorted(path.name for path in site.place.iterdir()) == ["m1-default"]


@pytest.mark.parametrize("mac", [None, ""])
def test_a_machine_without_an_address_is_no_fault_of_the_host(site: Site, mac: str | None) -> None:
    site.machine = site.a_machine(None)
    if mac is None:
        site.machine = dataclasses.replace(site.machine, bootstrapped=None)
    with pytest.raises(HostError, match="m1 is not bootstrapped, or has no MAC") as caught:
        site.perform()
    assert caught.value.culprit == "machine"
    assert site.stored() == "interrupt"
    site.assert_clean()


def test_a_machine_that_somebody_uses(site: Site) -> None:
    with (
        task_lock(site.host, site.machine, "perform another", site.running),
        pytest.raises(LockError, match=r"perform hello/1\.0 on machine m1"),
    ):
        site.perform()
    assert site.entry().state == "running"


def test_a_machine_that_somebody_uses_is_for_others_too_in_segments(
    site: Site, converse: t.Any
) -> None:
    with task_lock(site.host, site.machine, "perform another", site.running):
        assert not is_free(site.host, site.machine)
        object.__setattr__(site.host, "bridge", None)
        assert is_free(site.host, site.machine)
        converse(worker(result()))
        assert site.perform().culprit == "none"
    site.assert_clean()


def test_a_boot_begins_with_a_fresh_snapshot(site: Site, converse: t.Any) -> None:
    def act(talk: t.Any) -> SoftFailure:
        first = talk.prepare(0)
        # It is named before it is made.
        (record,) = site.host.leases.records().values()
        assert record["snapshot"] == first.directory
        Path(first.directory, "disk.img").write_text("half-booted")
        second = talk.prepare(1)
        assert second.directory == first.directory
        assert Path(second.directory, "disk.img").read_text() == "disk"
        return SoftFailure("timeout", "x")

    converse(act)
    site.perform()
    assert (site.place / "m1-default" / "disk.img").read_text() == "disk"
    site.assert_clean()


@pytest.mark.parametrize("warm", [(), ("other*",), ("m*",)])
def test_a_machine_that_is_to_start_warm_says_why_it_cannot(
    site: Site, converse: t.Any, warm: tuple[str, ...]
) -> None:
    site.running = dataclasses.replace(site.running, warm=warm)
    seen: list[bool] = []

    def act(talk: t.Any) -> SoftFailure:
        seen.append(talk.resume is not None)
        if talk.resume is not None:
            with pytest.raises(TemplateError, match="nothing has been saved for it"):
                talk.resume()
        return SoftFailure("timeout", "x")

    converse(act)
    site.perform()
    assert seen == [warm == ("m*",)]


def test_the_guest_is_given_its_task_and_files_and_bounds(
    site: Site, converse: t.Any, tmp_path: Path
) -> None:
    (tmp_path / "extra").write_text("content")

    def act(talk: t.Any) -> SoftFailure | None:
        for name in ("manifest", "task.manifest"):
            assert Task.parse(Path(talk.get_root, name).read_bytes(), "x") == TASK
        assert Path(talk.get_root, "given").read_text() == "content"
        assert talk.limits.named == dict.fromkeys(
            ["manifest", "result.manifest.lz4", "result.manifest"], 15 << 20
        )
        # For nobody else.
        assert os.stat(os.path.dirname(talk.get_root)).st_mode & 0o777 == 0o700
        Path(talk.put_root, "packages").mkdir()
        Path(talk.put_root, "packages", "hello.deb").write_text("package")
        Path(talk.put_root, "packages", ".cut-off").write_text("part")
        return worker(result())(talk)

    converse(act)
    outcome = site.perform(files={"given": str(tmp_path / "extra")})
    assert list(outcome.artifacts) == ["packages/hello.deb"]
    assert Path(outcome.artifacts["packages/hello.deb"]).read_text() == "package"


def test_a_file_to_give_that_is_gone(site: Site, converse: t.Any, tmp_path: Path) -> None:
    converse(lambda _talk: pytest.fail("it is not to be started"))
    with pytest.raises(FileNotFoundError):
        site.perform(files={"given": str(tmp_path / "gone")})
    assert site.stored() == "interrupt"
    site.assert_clean()


def test_no_machine_at_all(site: Site) -> None:
    outcome = site.perform(fake=True)
    assert (str(outcome.result.status), outcome.phases) == ("abort", {})
    assert site.entry().reason == "no machine was asked for"


class TestBooked:
    """What a person asked for."""

    def number(self, site: Site) -> Booking:
        booking = book(site.host, site.journal, TASK, "default", "/l")
        assert booking is not None
        site.number = booking.entry
        return booking

    def test_a_journal_that_cannot_be_written_is_a_warning(self, site: Site) -> None:
        Path(site.journal.path).write_bytes(b"no database" * 1000)
        assert book(site.host, site.journal, TASK, "default", "/l") is None
        (line,) = site.lines
        assert line.startswith("warning: the task is not in the list of tasks: ")

    @pytest.mark.parametrize("error", [VmError("gone"), Interrupted(), OSError(5, "odd")], ids=repr)
    @pytest.mark.parametrize("broken", [False, True])
    def test_an_error_is_its_end(
        self, site: Site, error: Exception, broken: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        booking = self.number(site)
        if broken:
            monkeypatch.setattr(site.journal, "store", Refusal(site.journal, 9))

        def fail() -> Outcome:
            raise error

        with pytest.raises(type(error)):
            perform_booked(booking, TASK, fail)
        with pytest.raises(type(error)):
            perform_booked(None, TASK, fail)
        assert (site.entry().state, site.entry().culprit) == (
            ("running", "") if broken else ("done", "host")
        )

    @pytest.mark.parametrize("broken", [False, True])
    def test_what_is_known_at_the_end_is_added(
        self, site: Site, broken: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        booking = self.number(site)
        done = Outcome(Result.for_task(TASK), "machine", "odd", None, {"work": 1.5}, {})
        if broken:
            monkeypatch.setattr(site.journal, "_update", Refusal(site.journal, 9))
        assert perform_booked(booking, TASK, lambda: done) is done
        assert perform_booked(None, TASK, lambda: done) is done
        assert site.entry().phases == ({} if broken else {"work": 1.5})


def test_a_result_that_is_gone_is_a_fault_of_the_host(tmp_path: Path) -> None:
    delivery = Delivery(TASK, str(tmp_path))
    with pytest.raises(FileNotFoundError):
        delivery.judge()
    # What was assumed stays.
    assert delivery.result.status is Status.ABORT


@pytest.mark.parametrize(
    ("kind", "awaited", "trusts", "refused"),
    [
        ("nspawn", True, False, True),
        ("nspawn", True, True, False),
        ("nspawn", False, False, False),
        ("nspawn", None, False, False),
        ("kvm", True, False, False),
    ],
)
def test_a_controllers_task_comes_to_a_container_only_if_the_operator_says_so(
    kind: str, awaited: bool | None, trusts: bool, refused: bool
) -> None:
    """Whatever was offered: the machine may be another one by now."""
    machine: t.Any = types.SimpleNamespace(kind=kind, name="m")
    running: t.Any = types.SimpleNamespace(trusts_containers=trusts)
    booking: t.Any = None if awaited is None else types.SimpleNamespace(awaited=awaited)
    if refused:
        with pytest.raises(HostError, match="takes no tasks of controllers unless"):
            _task._check_trust([machine], running, booking)
    else:
        _task._check_trust([machine], running, booking)
