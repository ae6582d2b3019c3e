# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bbot-agent run` and `bbot-agent cancel`, as people call them, on real machines."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.agents import (
    RunningAgent,
    entries,
    places,
    read_status,
    run_command,
)
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.run_command import at_terminal, results, run, start
from helpers.waiting import until

# The shortest way of a guest to a bad end.
_DYING = "echo o > /proc/sysrq-trigger; sleep 60\n"


@contextlib.contextmanager
def waiting(host: BuildHost, folder: Path) -> t.Iterator[subprocess.Popen[str]]:
    """The command, in the midst of a task that does not end by itself."""
    sources.make_source(folder / "hello", sources.GATED)
    with start(host, folder, "hello") as process:
        assert process.stdout is not None
        assert any("waiting for go" in line for line in process.stdout)
        yield process


def test_a_folder_is_built_here(ready: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", "mkdir -p out; echo made > out/made.txt\n")
    done = run(ready, tmp_path, "hello", "--artifacts", "out/*")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "[tiny] phase work" in lines
    assert "[tiny] | +update" in lines
    assert "\x1b" not in done.stdout
    home = results(tmp_path)
    assert lines[-1] == f"results: {home}"
    summary = lines[lines.index("hello 0.0.1 on tiny: success") :]
    assert summary[1:4] == ["configure: success", "update: success", "test: success"]
    names = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert names == {
        *("task.manifest", "result.manifest", "configure.log", "update.log", "test.log"),
        *("agent.log", "report.json", "artifacts/out/made.txt"),
        *("origin.json", "sources/source.tar.gz"),
        *("machine/console.log", "machine/progress.log", "machine/qemu.log"),
    }
    assert (home / "report.json").stat().st_mode & 0o777 == 0o644
    (row,) = read_status(ready)["history"]
    assert (row["name"], row["status"]) == ("hello", "success")
    told = run_command(ready, "log", "hello", *places(ready))
    assert told.returncode == 0, told.stderr
    # Whatever was said, with the time before it.
    said = {line.partition(" ")[2] for line in told.stdout.splitlines()}
    progress = [line.partition("] ")[2] for line in lines if line.startswith("[tiny] ")]
    assert [
        line for line in progress if line.startswith(("phase ", "| ")) and line not in said
    ] == []
    assert "-- hello/0.0.1: success --" in told.stdout
    assert str(home.name) in told.stdout


def test_a_task_once_more(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello", "mkdir -p out; echo made > out/made.txt\n")
    done = run(ready, tmp_path, "hello", "--artifacts", "out/*", "--results", "first")
    assert done.returncode == 0, done.stdout + done.stderr
    (first,) = (tmp_path / "first").iterdir()
    shutil.rmtree(source)
    done = run(ready, tmp_path, "--rerun", f"first/{first.name}", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)["results"]
    assert told["differs"] == []
    home = results(tmp_path)
    fields = [(place / "task.manifest").read_text().splitlines() for place in (first, home)]
    assert sorted(fields[0]) == sorted(fields[1])
    assert (home / "artifacts/out/made.txt").read_text() == "made\n"
    # What was on another machine then is told.
    origin = json.loads((first / "origin.json").read_text())
    assert (origin["machine"], origin["revision"]) == ("tiny", "tiny-1.1")
    (first / "origin.json").write_text(json.dumps({**origin, "revision": "tiny-1.0", "cpu": 7}))
    done = run(ready, tmp_path, "--rerun", str(first), "--results", "third")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2:] == [
        "not as before: revision of the machine was tiny-1.0, and is tiny-1.1",
        "not as before: CPUs was 7, and is 1",
    ]


def test_a_failure_for_programs(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello", sources.FAILING)
    (tmp_path / "task.yml").write_text("name: greeting\nversion: 2.0.0\nmachine: tiny\n")
    arguments = ["task.yml", "--source", str(source), "--json", "--results", "there"]
    done = run(ready, tmp_path, *arguments)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == 1
    (result,) = told["results"]
    facts = (result["name"], result["version"], result["status"], result["culprit"])
    assert facts == ("greeting", "2.0.0", "error", "task")
    assert "[tiny] | +update" in done.stderr
    assert Path(result["results"]).parent == tmp_path / "there"
    arguments += ["--fail-on", "never", "--results", "elsewhere"]
    assert run(ready, tmp_path, *arguments).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "there is no folder or file {cwd}/none to build."),
        (["plain"], "no known build system in the sources: bring an executable"),
        (["plain", "--driver", "cmke"], "unknown driver 'cmke': did you mean 'cmake'?"),
        (["plain", "--setting", "job"], "--setting: 'job' is not NAME=VALUE"),
        (["plain", "--setting", "job=2"], "did you mean config.bbot.jobs?"),
        (["words.yml"], "words.yml is neither a task manifest nor a YAML mapping"),
        (["--rerun", "plain"], "rerun: {cwd}/plain is no folder of a task's results: it has no"),
        (["--rerun", "plain", "hello"], "--rerun does what was asked for then: it cannot be with"),
        (["bad.manifest"], "bad.manifest:3:8: error: ':' expected after name"),
        (["wrong.yml"], "unknown field 'nmae': did you mean 'name'?"),
        (["hello", "--source", "plain"], "hello is no task, and there is a --source already"),
        (["hello", "--machine", "huge*"], "no machine huge* on this host; there are: tiny"),
        (["hello", "--nonsense"], "unrecognized arguments: --nonsense; see bbot-agent run --help"),
        (["hello", "--fail-on", "x"], "invalid choice: 'x'"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    ready: BuildHost, tmp_path: Path, arguments: list[str], words: str
) -> None:
    sources.make_source(tmp_path / "hello")
    (tmp_path / "words.yml").write_text("just some words\n")
    (tmp_path / "wrong.yml").write_text("nmae: hello\nversion: 1\nmachine: tiny\n")
    (tmp_path / "bad.manifest").write_text(": 1\nname: x\nversion\n")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "README").write_text("No build system.\n")
    done = run(ready, tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert words.format(cwd=tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert "phase" not in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_fault_of_the_host_is_another_status(ready: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello")
    done = run(ready, tmp_path, "hello", "--user", "nobody-of-that-name")
    assert done.returncode == 3
    assert "no user nobody-of-that-name on this host" in done.stderr


def test_several_machines_of_which_one_is_bad(
    ready: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    ready.install_scripted(bootstrapped, _DYING, "bad")
    sources.make_source(tmp_path / "hello")
    done = run(ready, tmp_path, "hello", "--machine", "b*", "--machine", "tiny", "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)["results"]
    assert [(each["machine"], each["status"], each["culprit"]) for each in told] == [
        ("bad", "abort", "machine"),
        ("tiny", "success", "none"),
    ]
    assert len({each["results"] for each in told}) == 2


def test_a_machine_is_bootstrapped_first(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    sources.make_source(tmp_path / "hello")
    done = run(host, tmp_path, "hello")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[tiny] bootstrapping machine tiny: not bootstrapped for toolchain" in done.stdout
    assert host.machine().state == "current"


def test_a_terminal_has_a_line_that_stays(ready: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", "[ $1 != update ] || sleep 2\n")
    status, text = at_terminal(ready, tmp_path, "hello")
    assert status == 0, text
    assert "\r\x1b[Ktiny: work, 1 s" in text
    assert "\r\x1b[K[tiny] | +update\r\n" in text
    assert "phase work" not in text
    # It is gone before the end.
    assert text.rpartition("hello 0.0.1 on tiny: success")[0].endswith("\r\x1b[K")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, marks=pytest.mark.long),
    ],
)
def test_a_signal_ends_the_machine_at_once(
    ready: BuildHost, tmp_path: Path, number: signal.Signals
) -> None:
    with waiting(ready, tmp_path) as process:
        process.send_signal(number)
        began = time.monotonic()
        _output, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 128 + number
    assert errors == "error: interrupted: the machine was thrown away, and nothing is left\n"
    ready.assert_clean()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("number", marks=pytest.mark.long),
        pytest.param("hello", marks=pytest.mark.long),
        "hello/0.0.1",
    ],
)
def test_a_task_is_cancelled(ready: BuildHost, tmp_path: Path, name: str) -> None:
    with waiting(ready, tmp_path) as process:
        (task,) = read_status(ready)["running"]
        wanted = str(task["id"]) if name == "number" else name
        wrong = run_command(ready, "cancel", "none", *places(ready))
        assert wrong.returncode == 1
        known = f"there are: {task['id']} (hello/0.0.1 on tiny)"
        assert f"no running task none on this host; {known}" in wrong.stderr
        done = run_command(ready, "cancel", wanted, *places(ready))
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"cancelled: task {task['id']} (hello/0.0.1 on tiny)\n"
        ready.assert_clean()
        assert process.wait(20) == 128 + signal.SIGTERM
    (entry,) = entries(ready)
    assert (entry.status, entry.culprit, entry.reason) == ("abort", "none", "cancelled")


def test_a_task_of_an_agent_is_cancelled(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    """Its controller is told that it is aborted, and the agent goes on."""
    host.install_scripted(bootstrapped, "exec sleep 1000\n")
    with Controller() as controller:
        controller.tasks += [make_task()]
        with RunningAgent(host, controller):
            until(host.qemus, "the machine runs")
            (task,) = read_status(host)["running"]
            done = run_command(host, "cancel", str(task["id"]), *places(host))
            assert done.returncode == 0, done.stderr
            assert host.qemus() == []
            until(lambda: controller.arrivals, "the result has arrived")
            asked = len(controller.requests)
            until(lambda: len(controller.requests) > asked, "it asks for the next task")
    assert [arrival.result.status for arrival in controller.arrivals] == [Status.ABORT]
    assert entries(host)[0].reason == "cancelled"
