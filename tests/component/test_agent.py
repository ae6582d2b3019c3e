# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's conduct where no machine need be booted: options, signals, priorities, refusals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.agents import (
    RunningAgent,
    entries,
    journal,
    options,
    places,
    read_status,
    run_command,
)
from helpers.build_host import BuildHost, make_task
from helpers.controller import AgentKey, Checksums, Controller, status
from helpers.toolchains import install_toolchain
from helpers.waiting import until

FAKE = {"fake_bootstrap": True, "fake_build": True}


@pytest.fixture
def faked(host: BuildHost) -> BuildHost:
    """A host with the machine tiny, which is never booted."""
    host.install()
    return host


def test_the_way_of_a_task_without_a_machine(faked: BuildHost) -> None:
    with Controller() as controller:
        controller.tasks += [make_task(), make_task(name="hello-2")]
        with RunningAgent(faked, controller, **FAKE) as agent:
            until(lambda: len(controller.arrivals) == 2, "both results have arrived")
            (known,) = read_status(faked)["agents"]
            assert known["pid"] == agent.process.pid
            assert known["controllers"] == [controller.url]
        assert {arrival.result.status for arrival in controller.arrivals} == {Status.ABORT}
    human = run_command(faked, "status", *places(faked)).stdout
    assert re.search(r"^  tiny +kvm +default +current +cold$", human, re.MULTILINE)
    assert re.search(r"^  2 +hello-2/1.0 +tiny +abort +delivered", human, re.MULTILINE)


def test_the_machine_that_is_offered_first_is_the_one_that_is_used(faked: BuildHost) -> None:
    # Of the same name, in a volume that is elsewhere, and whose link is broken before that.
    elsewhere = faked.root / "elsewhere"
    (elsewhere / "beta").mkdir(parents=True)
    for name, summary in (("zeta", "The second"), ("alpha", "Last by name")):
        faked.install(name)
        path = faked.volume / name / f"{name}-1.1" / "manifest"
        called = {"zeta": "x-gcc_14", "alpha": "x-gcc_13"}[name]
        faked.storage.set_read_only(str(path.parent), False)
        path.write_text(f": 1\nid: {name}\nname: {called}\nsummary: {summary}\ntype: kvm\n")
        faked.storage.set_read_only(str(path.parent), True)
    (faked.machines / "another").symlink_to(elsewhere)
    link = elsewhere / "beta" / "beta-1"
    link.symlink_to("gone")
    with Controller() as controller:
        order = ["*-gcc_14", "x-*"]
        with RunningAgent(faked, controller, **FAKE, machine_order=order) as agent:
            for name in ("x-gcc_13", "x-gcc_14", "tiny"):
                agent.says(f"machine {name}: done")
            until(
                lambda: [len(each.machines) for each in controller.requests[-1:]] == [3],
                "all are offered",
            )
            controller.tasks += [make_task(machine="x-*")]
            agent.says("task hello/1.0 on machine x-gcc_14: abort")
        offered = [header.name for header in controller.requests[-1].machines]
        assert offered == ["x-gcc_14", "x-gcc_13", "tiny"]


def test_version_help_and_exit_codes(faked: BuildHost) -> None:
    told = run_command(faked, "--version").stdout.splitlines()
    assert told[:4] == [f"{part} 0.1.0" for part in ("bbot-agent", "libbbot", "libbpkg", "libbutl")]
    assert told[4].startswith("Copyright")
    shown = run_command(faked, "--help")
    assert shown.returncode == 0
    assert "--instance-max N" in shown.stdout
    for command in ("status", "log", "suspended", "resume", "discard"):
        assert run_command(faked, command, "--help").returncode == 0
    for arguments, words in (
        ([], "error: controller url expected; see bbot-agent --help\n"),
        (["--nonsense"], "error: unknown option --nonsense; see bbot-agent --help\n"),
        (["status", "--nonsense"], "error: unrecognized arguments: --nonsense"),
        (["log", "1", *places(faked)], "error: no task 1 in the journal; the last ones are: none"),
    ):
        done = run_command(faked, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(words)
        assert done.stderr.count("\n") == 1
    lost = run_command(faked, *options(faked, toolchain_name="none"), "http://127.0.0.1:1/")
    assert lost.returncode == 1
    assert lost.stderr.startswith("error: no toolchain none in ")


def test_dumps(faked: BuildHost, tmp_path: Path) -> None:
    task = tmp_path / "task.manifest"
    task.write_text(make_task().to_text())
    manifests = ": 1\nid: tiny-1\nname: tiny\nsummary: A test\n"
    fake = options(faked, **FAKE, verbose=0)
    request = ["--fake-request", str(task)]
    done = run_command(faked, *fake, "--dump-machines")
    assert (done.returncode, done.stdout) == (0, manifests), done.stderr
    done = run_command(faked, *fake, *request, "--dump-task")
    assert (done.returncode, done.stdout) == (0, make_task().to_text())
    done = run_command(faked, *fake, *request, "--dump-result", "--trust", "yes")
    aborted = ": 1\nname: hello\nversion: 1.0\nstatus: abort\n"
    assert (done.returncode, done.stdout) == (0, aborted)
    task.write_text(make_task(machine="other").to_text())
    done = run_command(faked, *fake, *request)
    assert done.returncode == 1
    assert done.stderr == f"error: task from {task} for unknown machine other\n"
    with Controller() as controller:
        controller.tasks += [make_task()]
        for option, printed in (
            ("--dump-task", make_task().to_text()),
            ("--dump-result", aborted),
            ("--dump-task", make_task().to_text()),
        ):
            done = run_command(faked, *fake, option, controller.url)
            assert (done.returncode, done.stdout) == (0, printed), done.stderr
        # It is given back each time.
        assert (controller.interrupted, controller.arrivals) == ([make_task()] * 3, [])
    with Controller(version="0.13") as controller:
        controller.tasks += [make_task()]
        assert run_command(faked, *fake, "--dump-task", controller.url).returncode == 0
        assert (controller.refused, controller.rejected, controller.arrivals) == ([], [], [])
    assert journal(faked).queue() == []


def test_a_worker_started_by_hand(host: BuildHost, tmp_path: Path) -> None:
    """`--fake-machine`: the task is served on loopback, and the result is taken from there."""
    header = tmp_path / "machine.manifest"
    header.write_text(": 1\nid: hand-1\nname: hand\nsummary: By hand\n")
    with Controller() as controller:
        controller.tasks += [make_task(machine="hand")]
        with RunningAgent(host, controller, fake_machine=header) as agent:
            line = agent.says("is in .* and at 127.0.0.1:")
            port = line.rsplit(":", 1)[1]
            got = tmp_path / "got"
            tftp = ["tftp", "127.0.0.1", port, "-m", "octet", "-c"]
            subprocess.run([*tftp, "get", "manifest", str(got)], check=True, timeout=30)
            assert got.read_text() == make_task(machine="hand").to_text()
            result = tmp_path / "result"
            result.write_text(": 1\nname: hello\nversion: 1.0\nstatus: success\n")
            subprocess.run([*tftp, "put", str(result), "manifest"], check=True, timeout=30)
            until(lambda: bool(controller.arrivals), "the result has arrived")
            assert [m.id for m in controller.requests[0].machines] == ["hand-1"]
    assert not (host.tftp / "build" / "default").exists()


def test_trust_is_replaced(host: BuildHost, tmp_path: Path) -> None:
    mine = "AA:" * 31 + "BB"
    header = tmp_path / "machine.manifest"
    header.write_text(": 1\nid: hand-1\nname: hand\nsummary: By hand\n")
    with Controller() as controller:
        controller.tasks += [make_task(machine="hand", trust="yes")]
        with RunningAgent(host, controller, fake_machine=header, trust=[mine]) as agent:
            agent.says("is in .* and at")
            text = (host.tftp / "build" / "default" / "get" / "manifest").read_text()
    assert Task.parse(text, "task").trust == (mine,)


def test_controllers_that_fail_do_not_keep_others_from_being_asked(faked: BuildHost) -> None:
    with Controller() as bad, Controller() as good:
        bad.disabled = True
        good.tasks += [make_task()]
        first = f"9={bad.url}"
        with RunningAgent(faked, first, good, **FAKE) as agent:
            until(lambda: bool(good.arrivals), "the result has arrived")
            said = agent.says("error: ")
            assert said == (
                f"error: unable to request task from {bad.url}: "
                "HTTP 501 Not Implemented: building disabled"
            )
            time.sleep(2)
            # It is left alone for growing times, not asked every 0.3 s.
            assert sum("HTTP 501" in line for line in agent.lines) <= 5
            bad.disabled = False
            bad.tasks += [make_task(name="late")]
            until(lambda: bool(bad.arrivals), "the other one is asked again", 30)


def test_tasks_that_are_not_accepted(faked: BuildHost, tmp_path: Path) -> None:
    key = AgentKey.make(tmp_path / "key")

    class Careless(Controller):
        """Gives whatever it has."""

        def give(self, body: bytes) -> bytes:
            if not self.tasks:
                return super().give(body)
            task = self.tasks.pop()
            text = f": 1\nsession: s\nchallenge: {'0' * 64}\nresult-url: {self.base}\n:\n"
            return (text + task.to_text().removeprefix(": 1\n")).encode()

    with Careless() as controller:
        controller.tasks += [make_task()]
        with RunningAgent(faked, controller, **FAKE) as agent:
            line = agent.says("error: ")
            assert line.startswith(
                f"error: task from {controller.url}: the controller wants agents to authenticate"
            )
        controller.tasks += [make_task(machine="other")]
        with RunningAgent(faked, controller, auth_key=key.private, **FAKE) as agent:
            line = agent.says("error: ")
            assert line == f"error: task from {controller.url}: it is for unknown machine other"
    assert entries(faked) == []


def test_a_key_that_others_can_read_is_refused(faked: BuildHost, tmp_path: Path) -> None:
    key = AgentKey.make(tmp_path / "key")
    key.private.chmod(0o644)
    with (
        Controller(keys=[key]) as controller,
        RunningAgent(faked, controller, auth_key=key.private, **FAKE) as agent,
    ):
        agent.says("error: .*: the key .*agent.key can be read or changed by others")
        assert controller.requests == []


def test_checksums(faked: BuildHost, tmp_path: Path) -> None:
    """A worker may skip what it has built before only if it is the same agent's again."""
    header = tmp_path / "machine.manifest"
    header.write_text(": 1\nid: hand-1\nname: hand\nsummary: By hand\n")
    seen = {}
    for theirs in ("1", "other", None):
        with Controller(version="0.13" if theirs is None else "today") as controller:
            if theirs is not None:
                controller.checksums["hello", "1.0", "hand"] = Checksums(theirs, "5", "x")
            controller.tasks += [make_task(machine="hand")]
            with RunningAgent(faked, controller, fake_machine=header) as agent:
                agent.says("is in .* and at")
                place = faked.tftp / "build" / "default"
                seen[theirs] = "worker-checksum: 5" in (place / "get" / "manifest").read_text()
                result = ": 1\nname: hello\nversion: 1.0\nstatus: success\n"
                new = place / "put" / "new"
                new.write_text(result)
                new.rename(place / "put" / "manifest")
                until(lambda c=controller: bool(c.arrivals), "the result has arrived")  # type: ignore[misc]
                sent = controller.arrivals[0].text
                # Only a controller that knows of checksums is told ours.
                assert ("agent-checksum: 1" in sent) is (theirs is not None)
    assert seen == {"1": True, "other": False, None: False}


def test_sighup_rereads_the_options_after_the_running_task(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    script = guest.GET_TASK + "sleep 2\n" + guest.result("status: success") + guest.SLEEP
    host.install_scripted(bootstrapped, script)
    with Controller() as controller, Controller() as other:
        file = tmp_path / "options"
        file.write_text(f"{controller.url}\n")
        controller.tasks += [make_task()]
        other.tasks += [make_task()]
        with RunningAgent(host, options_file=file) as agent:
            pid = agent.process.pid
            agent.says("phase work")
            file.write_text("--cpu none\n")
            agent.signal(signal.SIGHUP)
            agent.says("error: SIGHUP: the options stay as they were: .*options:1: argument --cpu")
            file.write_text(f"{other.url}\n")
            agent.signal(signal.SIGHUP)
            until(lambda: bool(controller.arrivals), "the running task came to its end")
            until(lambda: bool(other.arrivals), "the other controller is asked now", 60)
            assert agent.process.pid == pid
            assert agent.process.poll() is None
    assert controller.arrivals[0].result.status is Status.SUCCESS


def test_sigusr1_drains(host: BuildHost, bootstrapped: Machine) -> None:
    script = guest.GET_TASK + "sleep 1\n" + guest.result("status: success") + guest.SLEEP
    host.install_scripted(bootstrapped, script)
    with Controller() as controller:
        controller.tasks += [make_task(), make_task(name="hello-2")]
        with RunningAgent(host, controller) as agent:
            agent.says("phase work")
            agent.signal(signal.SIGUSR1)
            assert agent.process.wait(30) == 0
        assert [arrival.result.name for arrival in controller.arrivals] == ["hello"]
        assert len(controller.tasks) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_agent_ends_at_once(faked: BuildHost, number: signal.Signals) -> None:
    with Controller() as controller, RunningAgent(faked, controller, **FAKE) as agent:
        until(lambda: bool(controller.requests), "it has asked")
        began = time.monotonic()
        agent.signal(number)
        assert agent.process.wait(10) == 0
        assert time.monotonic() - began < 3


def test_a_more_urgent_task_interrupts(host: BuildHost, bootstrapped: Machine) -> None:
    """Level C: the one machine is needed, the less urgent task makes way and is reported so."""
    slow = guest.GET_TASK + "grep -q '^name: slow' /run/task && sleep 3600\n"
    host.install_scripted(bootstrapped, slow + guest.result("status: success", name="urgent"))
    with Controller() as low, Controller() as high:
        low.tasks += [make_task(name="slow")]
        with RunningAgent(host, low, f"100={high.url}") as agent:
            agent.says("slow/1.0 on machine tiny: phase work")
            high.tasks += [make_task(name="urgent")]
            until(lambda: bool(high.arrivals), "the urgent one was performed", 60)
            until(lambda: bool(low.interrupted), "the other one was given back")
        assert low.arrivals == []
        assert high.arrivals[0].result.status is Status.SUCCESS
    assert entries(host)[0].reason == "interrupted for task urgent/1.0"


def test_two_toolchains_share_a_host(faked: BuildHost) -> None:
    install_toolchain(faked.tftp, "other")
    with Controller() as controller:
        controller.tasks += [make_task(), make_task(name="hello-2")]
        with (
            RunningAgent(faked, controller, **FAKE),
            RunningAgent(faked, controller, toolchain_name="other", toolchain_num=2, **FAKE),
        ):
            until(lambda: len(controller.arrivals) == 2, "both results have arrived")
            until(
                lambda: {r.toolchain_name for r in controller.requests} == {"default", "other"},
                "both have asked",
            )
            states = {(m["toolchain"], m["state"]) for m in read_status(faked)["machines"]}
    assert states == {("default", "current"), ("other", "current")}
    assert (faked.volume / "tiny" / "tiny-other").is_dir()


def test_an_idle_round_makes_no_snapshot(host: BuildHost) -> None:
    for number in range(200):
        name = f"m{number}"
        host.install(name)
        assert host.ensure(name, fake=True).changed
    generations = {
        str(path): host.storage.info(str(path)) for path in host.volume.glob("*/*-default")
    }
    with Controller() as controller:
        with RunningAgent(host, controller, **FAKE):
            until(lambda: len(controller.requests) >= 5, "it has asked five times")
        assert {len(request.machines) for request in controller.requests} == {200}
    # A snapshot of any of them would have been a transaction of its file system.
    assert generations == {path: host.storage.info(path) for path in generations}


def test_systemd_is_told(faked: BuildHost, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, Controller() as controller:
        place = tmp_path / "n"
        sock.bind(str(place))
        sock.settimeout(20)
        told: list[str] = []

        def hears(word: str) -> None:
            while not any(word in message for message in told):
                told.append(sock.recv(1000).decode())

        environment = {"NOTIFY_SOCKET": str(place), "WATCHDOG_USEC": "1000000"}
        with RunningAgent(
            faked, controller, environment=environment, systemd_daemon=True, **FAKE
        ) as agent:
            hears("READY=1")
            hears("WATCHDOG=1")
            hears("STATUS=no task; 1 machines")
            agent.signal(signal.SIGHUP)
            hears("RELOADING=1")
            told.clear()
            hears("READY=1")
            agent.end()
            hears("STOPPING=1")
        assert all(re.match(r"<[3467]>", line) for line in agent.lines), agent.lines


def test_artifacts_go_before_the_result(host: BuildHost, bootstrapped: Machine) -> None:
    script = (
        guest.GET_TASK
        + "mkdir -p /run/u/upload/bindist/debian && cd /run/u\n"
        + "echo package > upload/bindist/debian/hello.deb\n"
        + "busybox tar cf /run/upload.tar upload\n"
        + guest.put("/run/upload.tar", "upload.tar")
        + guest.result("status: success")
        + guest.SLEEP
    )
    host.install_scripted(bootstrapped, script)
    with Controller(upload_types=["bindist"]) as controller:
        controller.fault("upload", status(500))
        controller.tasks += [make_task()]
        with RunningAgent(host, controller) as agent:
            agent.says("unable to upload result .*: artifact debian: HTTP 500")
            assert controller.arrivals == []
            journal(host).failed(entries(host)[0].id, "impatient", 0)
            (host.volume / "hurry").mkdir()
            (host.volume / "hurry").rmdir()
            until(lambda: bool(controller.arrivals), "the result has arrived", 30)
        (upload,) = controller.uploads
        assert (upload.type, upload.name) == ("bindist", "debian.tar")
        assert upload.fields["instance"] == "debian"
        assert b"package" in upload.archive


def test_a_log_is_followed(host: BuildHost, bootstrapped: Machine) -> None:
    script = guest.GET_TASK + guest.tell("+update") + "sleep 1\n" + guest.result("status: success")
    host.install_scripted(bootstrapped, script + guest.SLEEP)
    with Controller() as controller:
        controller.tasks += [make_task()]
        with RunningAgent(host, controller) as agent:
            agent.says("phase first request")
            (running,) = read_status(host)["running"]
            assert (running["task"], running["machine"]) == ("hello/1.0", "tiny")
            followed = run_command(host, "log", "hello", "--follow", *places(host))
    assert followed.returncode == 0
    lines = [line.split(" ", 1)[-1] for line in followed.stdout.splitlines()]
    assert [line for line in lines if line in ("phase first request", "| +update")] == [
        *("phase first request", "| +update"),
    ]
    assert "-- hello/1.0: success --" in followed.stdout


def test_a_bootstrap_that_fails_is_tried_again_later(
    host: BuildHost, bootstrapped: Machine
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    with Controller() as controller:
        with RunningAgent(host, controller, bootstrap_startup=1, suspend_max=1) as agent:
            agent.says("error: machine tiny is not available: bootstrap startup timeout", 90)
            (machine,) = read_status(host)["machines"]
            assert "bootstrap startup timeout" in machine["failure"]
            assert controller.requests == []
        (suspended,) = read_status(host)["suspended"]
        assert suspended["what"] == "bootstrap of tiny"
    assert run_command(host, "discard", "1", *places(host)).returncode == 0


def test_old_work_of_nobody_is_removed(faked: BuildHost) -> None:
    """Snapshots and folders that no lease names: of other agents, or of a state that was lost."""
    machine = faked.volume / "tiny"
    dead = subprocess.Popen(["true"])
    dead.wait()
    gone = [machine / f"tiny-default-{dead.pid}-0", machine / "tiny-default-suspended-7"]
    kept = [machine / f"tiny-default-{os.getpid()}-0", machine / f"tiny-other-{dead.pid}-0"]
    for path in (*gone, *kept):
        faked.storage.create(str(path))
    folder = faked.tftp / "build" / f"default-{dead.pid}-1"
    folder.mkdir(parents=True)
    logs = [faked.logs / "x-20200101T000000-1", faked.logs / "mine"]
    for place in logs:
        place.mkdir()
        os.utime(place, (0, 0))
    with Controller() as controller, RunningAgent(faked, controller, log_age=1000, **FAKE):
        until(lambda: bool(controller.requests), "it has asked")
    assert [path for path in (*gone, folder, logs[0]) if path.exists()] == []
    assert [path for path in (*kept, logs[1]) if not path.exists()] == []
    for path in kept:
        faked.storage.delete(str(path))


def test_results_that_nobody_wants_any_more(faked: BuildHost) -> None:
    with Controller() as controller:
        controller.tasks += [make_task()]
        for _dummy in range(5):
            controller.fault("result", status(500))
        with RunningAgent(faked, controller, result_timeout=3, **FAKE) as agent:
            line = agent.says(
                "error: the result of task hello/1.0 .* was not delivered in time", 30
            )
            assert "HTTP 500" in line
    (entry,) = entries(faked)
    assert (entry.state, entry.status) == ("expired", "abort")
