# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's steps, each of which may meet anything: what comes of it is always an outcome.

The journal is real; controllers, machines and what performs a task are not.
"""

from __future__ import annotations

import dataclasses
import io
import os
import sqlite3
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import duties as _duties
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.duties import (
    Duties,
    blame,
    offers,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import read_settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import (
    Answer,
    Bootstrapped,
    Delivered,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.auth import AuthError
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.delivery import Delivery
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    Entry,
    JournalError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.priority import (
    ControllerUrl,
    Priority,
    Question,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.transport import (
    ControllerError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    Interrupted,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import (
    SoftFailure,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import Ensured
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.locking import task_lock
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskRequest,
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineHeader,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import Outcome
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError

FIRST, SECOND = "https://user:secret@one/?build-task", "https://two/?build-task"
OWNER = "1-0@1.000"
HEADERS = {"m1": MachineHeader(id="m1-1", name="m1", summary="x")}
TASK = Task(
    name="hello",
    version="1.0",
    repository_url="https://x/",
    machine="m1",
    dependency_checksum="d",
)


def response(task: Task | None = TASK, **more: t.Any) -> TaskResponse:
    return TaskResponse(
        "t/hello/1.0/linux/default//public/0.17.0/1" if task else "",
        task,
        result_url="https://x/r",
        **more,
    )


class Controllers:
    """Controllers that give, or raise, one thing each."""

    def __init__(self, **answers: t.Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.requests: list[TaskRequest] = []

    def request_task(self, url: str, request: TaskRequest) -> TaskResponse:
        name = "first" if url == FIRST else "second"
        self.asked.append(name)
        self.requests.append(request)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return t.cast("TaskResponse", answer)


class Site:
    """The duties of an agent of a host that has nothing but folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stream = io.StringIO()
        self.duties = self.make()

    def make(self, *options: str) -> Duties:
        words = []
        for option in ("machines", "tftp", "state-dir", "runtime-dir", "log-dir"):
            (self.root / option).mkdir(exist_ok=True)
            words += [f"--{option}", str(self.root / option)]
        settings = read_settings([*words, "--toolchain-id", "t1", *options, SECOND])
        say = Diagnostics(1, stream=self.stream)
        self.duties = Duties(settings, t.cast("t.Any", None), say, OWNER)
        self.duties._accelerator = Accelerator("tcg", "for tests")
        return self.duties

    def ask(self, **answers: t.Any) -> tuple[Answer, Controllers]:
        controllers = Controllers(**answers)
        self.duties.transport = t.cast("t.Any", controllers)
        questions = [
            Question(ControllerUrl(url, Priority(priority)), ("m1",))
            for url, priority in ((FIRST, 20), (SECOND, 3))
        ]
        return self.duties.ask(questions, HEADERS), controllers

    def entry(self, number: int | None = None) -> Entry:
        if number is None:
            number = self.duties.journal.accept(
                response(), toolchain="default", controller=SECOND, answer=None, owner=OWNER
            )
        found = self.duties.journal.get(number)
        assert found is not None
        return found

    def machine(
        self, *, role: str | None = None, state: str = "current", kind: str = "kvm"
    ) -> Machine:
        manifest = MachineManifest(
            id="m1-1",
            name="m1",
            summary="x",
            type=t.cast("t.Any", kind),
            mac="02:00:00:00:00:01",
            role=role,
        )
        old = BootstrappedMachine(manifest, ToolchainManifest("t1"), BootstrapResult())
        place = str(self.root / "machines" / "default" / "m1")
        return Machine(
            "default",
            "m1",
            place,
            f"{place}/m1-default",
            t.cast("t.Any", state),
            reasons=("it was deleted",),
            manifest=manifest,
            bootstrapped=old if state == "current" else None,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def raising(error: BaseException) -> t.Callable[..., t.Any]:
    def call(*_arguments: t.Any, **_more: t.Any) -> t.NoReturn:
        raise error

    return call


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (response(None), ""),
        (ControllerError("HTTP 500", 500), "unable to request task from https://"),
        (ControllerError("there was no complete answer within 300 s"), "no complete answer"),
        (ManifestError("answer", 1, 2, "odd"), "invalid task response manifest: answer:1:2"),
        (response(Task(name="hello", version="1", repository_url="x:/", machine="m7")), "m7"),
        (
            response(
                Task(
                    name="hello",
                    version="1",
                    repository_url="x:/",
                    machine="m1",
                    auxiliary_machines=("a",),
                )
            ),
            "it wants auxiliary machine a, which was not offered",
        ),
        (response(challenge="0" * 64), "wants agents to authenticate themselves"),
    ],
    ids=["nothing", "refusal", "silence", "nonsense", "unknown", "auxiliary", "challenge"],
)
def test_a_controller_without_a_usable_task_keeps_no_other_from_being_asked(
    site: Site, first: t.Any, words: str
) -> None:
    answer, controllers = site.ask(first=first, second=response())
    assert controllers.asked == ["first", "second"]
    assert (answer.url, answer.priority) == (SECOND, 3)
    assert answer.entry is not None
    assert site.entry(answer.entry).owner == OWNER
    # What was not accepted is not in the journal.
    assert len(site.duties.journal.latest(9)) == 1
    if words:
        ((url, told),) = answer.failures
        assert url == FIRST
        assert words in told
        assert "\n" not in told
    else:
        assert answer.failures == ()


def test_the_first_that_has_a_task_is_the_last_that_is_asked(site: Site) -> None:
    answer, controllers = site.ask(first=response(), second=AssertionError("not to be asked"))
    assert (answer.url, answer.priority, answer.failures) == (FIRST, 20, ())
    assert controllers.asked == ["first"]
    (request,) = controllers.requests
    assert [machine.name for machine in request.machines] == ["m1"]
    assert request.fingerprint is None


def test_nobody_is_asked_for_what_could_not_be_noted(site: Site) -> None:
    Path(site.duties.journal.path).write_bytes(b"no database" * 1000)
    answer, controllers = site.ask(first=response(), second=response())
    assert controllers.asked == []
    assert (answer.entry, answer.failures) == (None, ())
    assert answer.obstacle


def test_nobody_is_asked_for_interactive_builds_that_nobody_could_look_into(site: Site) -> None:
    site.make("--interactive", "both", "--interactive-vnc", "127.0.0.1:5901")
    answer, controllers = site.ask(first=response(), second=response())
    assert controllers.asked == []
    assert answer.obstacle is not None
    assert "name a file with a password" in answer.obstacle


@pytest.mark.parametrize("error", [JournalError("the disk is full"), AuthError("no engine")])
def test_a_task_that_cannot_be_noted_is_a_failure(
    site: Site, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.duties.journal, "accept", raising(error))
    answer, controllers = site.ask(first=response(), second=response())
    assert controllers.asked == ["first", "second"]
    assert answer.entry is None
    assert [url for url, _words in answer.failures] == [FIRST, SECOND]


def test_nobody_is_asked_without_a_toolchain(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.duties, "toolchain", raising(HostError("no toolchain default")))
    answer, controllers = site.ask(first=response(), second=response())
    assert (answer.entry, controllers.asked) == (None, [])
    assert (answer.failures, answer.obstacle) == ((), "no toolchain default")


@pytest.mark.parametrize(
    ("versions", "options", "told"),
    [
        ("bbot-version: 0.17.0\nlibbbot-version: 0.18.0\n", [], "0.17.0"),
        ("bbot-version: 0.17.0\n", ["--toolchain-ver", "0.16.0"], "0.16.0"),
        ("libbbot-version: 0.18.0\n", [], "0.1.0"),
        ("", [], "0.1.0"),
    ],
)
def test_controllers_are_told_the_version_of_the_toolchain(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    versions: str,
    options: list[str],
    told: str,
) -> None:
    expected = BootstrapResult.parse(f": 1\n{versions}", "x")
    monkeypatch.setattr(
        site.duties, "toolchain", lambda: Toolchain("default", "t1", expected, "/nowhere")
    )
    ver = read_settings([*options, SECOND]).toolchain_ver
    site.duties.settings = dataclasses.replace(site.duties.settings, toolchain_ver=ver)
    _answer, controllers = site.ask(first=response(None), second=response(None))
    assert {str(request.toolchain_version) for request in controllers.requests} == {told}


def test_a_key_that_is_not_usable_is_no_reason_to_ask_without_it(site: Site) -> None:
    site.make("--auth-key", str(site.root / "gone"))
    answer, controllers = site.ask(first=response(), second=response())
    assert controllers.asked == []
    assert answer.obstacle is not None
    assert "cannot read the key" in answer.obstacle


@pytest.mark.parametrize(
    ("checksum", "kept"), [(None, False), ("", False), ("0", False), ("1", True)]
)
def test_what_another_agent_has_built_is_built_anew(
    site: Site, checksum: str | None, kept: bool
) -> None:
    answer, _controllers = site.ask(first=response(agent_checksum=checksum), second=None)
    assert answer.entry is not None
    entry = site.entry(answer.entry)
    assert Task.parse(entry.task, "x").dependency_checksum == ("d" if kept else None)
    # The task has a checksum, so that the controller knows the agent's, too.
    assert entry.agent_checksum == "1"


OLD = dataclasses.replace(TASK, dependency_checksum=None)


@pytest.mark.parametrize(
    ("session", "task", "known"),
    [
        ("/hello/1.0/linux/default/public-0.6", OLD, False),
        ("t/hello/1.0/linux/default/public/0.13", OLD, False),
        ("t/hello/1.0/linux/default/public/0.14", TASK, True),
        (
            "t/hello/1.0/linux/default/public/0.14",
            dataclasses.replace(OLD, requires=("c++",)),
            True,
        ),
        ("t/hello/1.0/linux/default/public/0.14", dataclasses.replace(OLD, host=False), True),
        ("/hello/1.0/x86_64-linux/default//public/0.16/1", OLD, True),
    ],
)
def test_who_knows_checksums_gets_the_agents_unasked(
    site: Site, session: str, task: Task, known: bool
) -> None:
    given = dataclasses.replace(response(task), session=session)
    answer, _controllers = site.ask(first=given, second=None)
    assert answer.entry is not None
    assert site.entry(answer.entry).agent_checksum == ("1" if known else None)


def outcome(status: Status = Status.SUCCESS, **more: t.Any) -> Outcome:
    values = {"culprit": "none", "reason": "", "phases": {"start": 1.0, "work": 2.5}, **more}
    return Outcome(Result.for_task(TASK, status), failure=None, artifacts={}, **values)


def test_a_task_that_goes_well(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        site.duties, "_perform", lambda host, *_rest: host.report("phase work") or outcome()
    )
    entry = site.entry()
    done = site.duties.perform_entry(entry, lambda: True)
    assert (done.status, done.culprit, done.seconds) == ("success", "none", 3.5)
    assert site.entry(entry.id).phases == {"start": 1.0, "work": 2.5}
    names = {path.name for path in Path(done.logs).iterdir()}
    assert {"agent.log", "task.manifest", "result.manifest"} <= names
    assert (Path(done.logs) / "agent.log").read_text().endswith(" phase work\n")
    assert os.stat(done.logs).st_mode & 0o777 == 0o700


FAULTS = [
    (VmError("gone"), "host"),
    (HostError("no toolchain"), "host"),
    (HostError("m1 is gone", culprit="machine"), "machine"),
    (EngineError("what nobody listed", culprit="task"), "task"),
    (LockError("somebody uses it"), "machine"),
    (JournalError("the disk is full"), "host"),
    (OSError(28, "No space left on device", "/x"), "host"),
    (MemoryError(), "host"),
    (RecursionError("deep"), "host"),
    (KeyError("missing"), "host"),
    (sqlite3.OperationalError("locked"), "host"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), "host"),
]


@pytest.mark.parametrize(("error", "culprit"), FAULTS, ids=repr)
@pytest.mark.parametrize("broken", [False, True], ids=["journal", "no journal"])
def test_whatever_a_task_ends_with_is_told_in_a_line(
    site: Site, error: Exception, culprit: str, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.duties, "_perform", raising(error))
    entry = site.entry()
    if broken:
        full = raising(JournalError("the disk is full"))
        monkeypatch.setattr(site.duties.journal, "store", full)
    done = site.duties.perform_entry(entry, lambda: True)
    status = "abort" if culprit == "task" else "interrupt"
    assert (done.status, done.culprit, done.seconds) == (status, culprit, 0.0)
    assert done.reason
    assert "\n" not in done.reason
    assert blame(error) == culprit
    assert site.entry(entry.id).state == ("running" if broken else "queued")


def test_a_task_that_is_interrupted_is_nobodys_fault(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.duties, "_perform", raising(Interrupted()))
    entry = site.entry()
    done = site.duties.perform_entry(entry, lambda: False)
    assert (done.status, done.culprit, done.reason) == ("interrupt", "none", "interrupted")
    # Whoever interrupts it sees to its result.
    assert site.entry(entry.id).state == "running"


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("describe", JournalError("the disk is full")),
        ("write_logs", OSError(28, "No space left on device", "/l")),
    ],
)
def test_what_is_only_for_people_does_not_spoil_a_result(
    site: Site, function: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.duties, "_perform", lambda *_rest: outcome())
    place = site.duties.journal if function == "describe" else _duties
    monkeypatch.setattr(place, function, raising(error))
    assert site.duties.perform_entry(site.entry(), lambda: True).status == "success"
    warned = "warning: task hello/1.0 on machine m1: cannot write its logs: " in (
        site.stream.getvalue()
    )
    assert warned is (function == "write_logs")


def test_a_folder_of_logs_that_cannot_be_made_is_a_fault_of_the_host(site: Site) -> None:
    (site.root / "log-dir").rmdir()
    (site.root / "log-dir").write_text("in the way")
    done = site.duties.perform_entry(site.entry(), lambda: True)
    assert (done.status, done.culprit) == ("interrupt", "host")


@pytest.mark.parametrize("boosted", [False, True])
def test_what_a_task_is_performed_with(
    site: Site, boosted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    duties = site.make("--tftp-port", "6900", "--build-timeout", "77", "--trust", "yes")
    seen: list[t.Any] = []

    def perform(*arguments: t.Any, **more: t.Any) -> Outcome:
        seen.extend([*arguments, more])
        return outcome()

    monkeypatch.setattr(_duties, "perform", perform)
    monkeypatch.setattr(_duties, "enumerate_machines", lambda *_rest: [site.machine()])
    duties.perform_entry(site.entry(), lambda: True, place=2, boosted=boosted)
    host, task, machine, toolchain, running, waits, limits, _logs, files, more = seen
    assert (task.trust, machine.name, toolchain.id, files) == (("yes",), "m1", "t1", {})
    assert (running.port, running.patience) == (6900 + 1 + 200, 77)
    assert running.cpu == (os.cpu_count() if boosted else 1)
    assert (waits.startup, waits.total) == (300.0, 77)
    assert limits.upload_bytes == duties.settings.upload_limit
    assert more["booking"].awaited
    # What the engine reports is in the log of the task.
    assert host.report != duties.host.report


@pytest.mark.parametrize(
    ("machines", "words"),
    [([], "no machine m1 on this host"), (["gone"], "machine m1 is gone: it was deleted")],
)
def test_a_machine_that_went_after_it_was_offered(
    site: Site, machines: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [site.machine(state="missing") for _dummy in machines]
    monkeypatch.setattr(_duties, "enumerate_machines", lambda *_rest: found)
    done = site.duties.perform_entry(site.entry(), lambda: True)
    assert words in done.reason


def test_without_a_machine(site: Site) -> None:
    duties = site.make("--fake-build")
    entry = site.entry()
    assert duties.perform_entry(entry, lambda: True).status == "abort"
    assert site.entry(entry.id).reason == "no machine was asked for"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (Delivery("delivered"), None),
        (Delivery("held", "somebody delivers it"), None),
        (Delivery("failed", "HTTP 500"), "HTTP 500"),
    ],
)
def test_a_delivery_that_the_journal_knows_of(
    site: Site, given: Delivery, error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_duties, "deliver", lambda *_rest: given)
    assert site.duties.deliver(1) == Delivered(error)


@pytest.mark.parametrize(("error", "_culprit"), FAULTS, ids=repr)
def test_a_delivery_that_ends_with_anything(
    site: Site, error: Exception, _culprit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_duties, "deliver", raising(error))
    done = site.duties.deliver(1)
    assert not done.noted
    assert done.error


def test_a_bootstrap_that_comes_to_an_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, failure = site.machine(), SoftFailure("timeout", "bootstrap timeout")
    for given, wanted in (
        (Ensured(machine, True, None, {}, "/l"), Bootstrapped(None, changed=True, logs="/l")),
        (
            Ensured(machine, False, failure, {}, "/l"),
            Bootstrapped("bootstrap timeout", logs="/l", culprit="machine"),
        ),
        (Ensured(machine, False, None, {}, None, "no"), Bootstrapped(None, unsaved="no")),
    ):
        monkeypatch.setattr(_duties, "ensure", lambda *_rest, given=given, **_more: given)
        assert site.duties.bootstrap(machine, 0, lambda: True) == wanted


@pytest.mark.parametrize(("error", "_culprit"), FAULTS, ids=repr)
def test_a_bootstrap_that_ends_with_anything(
    site: Site, error: Exception, _culprit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_duties, "ensure", raising(error))
    done = site.duties.bootstrap(site.machine(), 0, lambda: True)
    assert done.failure
    assert done.busy is isinstance(error, LockError)
    # There are logs to look into, but where somebody else has them.
    assert (done.logs is None) is done.busy


def test_a_bootstrap_for_a_toolchain_that_is_gone(site: Site) -> None:
    site.duties.settings = read_settings(["--tftp", str(site.root / "gone"), SECOND])
    done = site.duties.bootstrap(site.machine(), 0, lambda: True)
    assert done.failure is not None
    assert done.failure.startswith("no toolchain default in ")
    assert done.logs is None


@pytest.mark.parametrize(
    ("planned", "warm", "wanted", "plan"),
    [
        ("bootstrap", "m1", True, "bootstrap"),
        ("delete", "m1", True, "delete"),
        ("none", "m1", True, "save"),
        ("none", "m1", False, "none"),
        ("none", None, True, "none"),
    ],
)
def test_what_is_to_be_done_to_a_machine(
    site: Site,
    planned: str,
    warm: str | None,
    wanted: bool,
    plan: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    duties = site.make(*(["--warm", warm] if warm else []))
    monkeypatch.setattr(_duties, "planned", lambda *_rest: planned)
    monkeypatch.setattr(_duties._warm, "wanted", lambda *_rest: wanted)
    assert duties.plan(site.machine()) == plan


def test_a_machine_whose_storage_fails_has_no_plan(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_duties, "planned", raising(StorageError("odd")))
    with pytest.raises(StorageError):
        site.duties.plan(site.machine())


@pytest.mark.parametrize("options", [[], ["--bridge", "br7"]])
def test_who_performs_a_task_on_a_bridge_has_the_machine(site: Site, options: list[str]) -> None:
    machine, duties = site.machine(), site.make(*options)
    assert duties.free(machine, duties.room())
    with task_lock(duties.host, machine, "perform", Running(duties.accelerator)):
        assert duties.free(machine, duties.room()) is not bool(options)
    assert duties.shares_machines is not bool(options)


@pytest.mark.parametrize(
    ("former", "found", "changed"),
    [
        (None, None, False),
        (Accelerator("tcg", "no KVM"), None, False),
        (Accelerator("tcg", "canary", makeshift=True), Accelerator("kvm", "canary"), True),
        (
            Accelerator("tcg", "canary", makeshift=True),
            Accelerator("tcg", "still", makeshift=True),
            False,
        ),
    ],
)
def test_a_makeshift_is_looked_at_again(
    site: Site,
    former: Accelerator | None,
    found: Accelerator | None,
    changed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site.duties._accelerator = former
    monkeypatch.setattr(
        _duties, "choose", raising(AssertionError()) if found is None else lambda *_rest: found
    )
    assert site.duties.reconsider_accelerator() is changed
    assert site.duties._accelerator is (found or former)


def test_the_accelerator_is_chosen_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    site.duties._accelerator = None
    monkeypatch.setattr(
        _duties, "choose", lambda _host, wanted: made.append(wanted) or Accelerator("kvm", "x")
    )
    assert site.duties.accelerator is site.duties.accelerator
    assert made == ["auto"]
    monkeypatch.setattr(_duties, "choose", raising(AssertionError()))
    duties = site.make("--fake-bootstrap", "--fake-build")
    duties._accelerator = None
    assert duties.accelerator.reason == "no machine is booted"


def test_a_machine_that_stands_for_all(site: Site) -> None:
    assert site.duties.fake_header() is None
    path = site.root / "header"
    duties = site.make("--fake-machine", str(path))
    with pytest.raises(FileNotFoundError):
        duties.fake_header()
    path.write_bytes(b"\0garbage")
    with pytest.raises(ManifestError):
        duties.fake_header()
    path.write_text(": 1\nid: m1-1\nname: m1\nsummary: x\n")
    assert duties.fake_header() == HEADERS["m1"]


@pytest.mark.parametrize(
    ("role", "state", "offered"),
    [
        (None, "current", True),
        ("build", "current", True),
        ("auxiliary", "current", False),
        (None, "missing", False),
        (None, "newer", False),
    ],
)
def test_what_is_offered(site: Site, role: str | None, state: str, offered: bool) -> None:
    found = offers([site.machine(role=role, state=state)])
    assert found == (HEADERS if offered else {})


@pytest.mark.parametrize(
    ("options", "kind", "trusted"),
    [
        ((), "nspawn", False),
        (("--nspawn", "own"), "nspawn", False),
        (("--nspawn", "all"), "nspawn", True),
        ((), "kvm", True),
        (("--nspawn", "own"), "kvm", True),
    ],
)
def test_a_container_is_for_controllers_only_if_the_operator_says_so(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    kind: str,
    trusted: bool,
) -> None:
    duties = site.make(*options)
    machine = site.machine(kind=kind)
    manifest = site.machine(kind=kind, role="auxiliary").manifest
    assert manifest is not None
    others = dataclasses.replace(machine, manifest=dataclasses.replace(manifest, name="x86_64-m1"))
    assert bool(duties.offers([machine])) is trusted
    room = t.cast("t.Any", types.SimpleNamespace(left=lambda: 8 << 20))
    assert bool(duties.auxiliaries([others], room).machines) is trusted
    monkeypatch.setattr(_duties, "planned", lambda _host, _machine: "bootstrap")
    assert (duties.plan(machine) == "bootstrap") is trusted
    rehearsed: list[Machine] = []
    monkeypatch.setattr(_duties, "rehearse", lambda _host, each, *_: rehearsed.append(each))
    duties.rehearse([machine], 0, lambda: True)
    assert bool(rehearsed) is trusted
