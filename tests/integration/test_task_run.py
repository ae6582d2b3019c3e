# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module task_run through ansible-playbook."""

from __future__ import annotations

import os
import signal
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from helpers import guest, sources
from helpers.build_host import BuildHost, make_task
from helpers.plays import playbook, refusal, run_tasks, write_play
from helpers.site import ADDRESS, BRIDGE
from helpers.waiting import until

MODULE = "bbot.agent.task_run"
FIELDS = {
    "name": "hello",
    "version": "1.0",
    "repository_url": "tftp:source.tar.gz",
    "repository-type": "dir",
    "machine": "tiny",
}


def task_run(host: BuildHost, **options: t.Any) -> dict[str, t.Any]:
    return {MODULE: {**host.options(), "task": FIELDS, "retries": 0, **options}}


def source(tmp_path: Path, script: str) -> list[dict[str, str]]:
    path = sources.pack(tmp_path / "packed.tar.gz", script)
    return [{"name": "source.tar.gz", "path": str(path)}]


def test_a_task_foreseen_performed_and_faked(ready: BuildHost, tmp_path: Path) -> None:
    files = source(tmp_path, sources.WARNING)
    foreseen, done, faked = run_tasks(
        tmp_path,
        [
            {**task_run(ready, files=files), "check_mode": True},
            task_run(ready, files=files, trust=["SHA256:" + ":".join(["AB"] * 32)], log_tail=256),
            task_run(ready, files=files, fake=True, fail_on="never"),
        ],
    )
    assert foreseen["changed"]
    assert foreseen["machine"]["state"] == "current"
    assert "result" not in foreseen
    assert [path.name for path in ready.logs.iterdir() if path.name == "task"] == []

    assert done["changed"], done
    assert (done["culprit"], done["reason"]) == ("none", "")
    assert done["accelerator"]["name"] == "tcg"
    result = done["result"]
    assert (result["name"], result["version"], result["status"]) == ("hello", "1.0", "warning")
    statuses = {each["operation"]: each["status"] for each in result["operations"]}
    assert statuses == {"configure": "success", "update": "warning", "test": "success"}
    for each in result["operations"]:
        assert len(each["log"].encode()) <= 256
        assert each["path"] == f"{done['logs']}/{each['operation']}.log"
    assert "warning: unused variable" in Path(result["operations"][1]["path"]).read_text()
    assert Result.parse(done["manifest"], "result").to_mapping()["status"] == "warning"
    assert set(done["files"]) == {
        *("task.manifest", "result.manifest", "configure.log", "update.log", "test.log"),
        *("machine/console.log", "machine/progress.log", "machine/qemu.log", "report.json"),
        *("agent.log", "origin.json"),
    }
    assert all(Path(path).is_file() for path in done["files"].values())
    assert "trust: SHA256:AB:" in Path(done["files"]["task.manifest"]).read_text()

    assert (faked["result"]["status"], faked["result"]["operations"]) == ("abort", [])
    assert not faked["failed"]


def test_a_failed_task_fails_the_module_unless_that_is_not_wanted(
    ready: BuildHost, tmp_path: Path
) -> None:
    text = make_task().to_text()
    files = source(tmp_path, sources.FAILING)
    failed, faked, tolerated = run_tasks(
        tmp_path,
        [
            task_run(ready, task=text, files=files),
            task_run(ready, fake=True, fail_on="abort"),
            task_run(ready, fake=True, fail_on="abnormal"),
        ],
    )
    logs = failed["logs"]
    assert refusal(failed) == (
        f"task hello 1.0 has status error: update error; the logs are in {logs}"
    )
    assert failed["culprit"] == "task"
    assert "hello.c:3: cannot go on" in Path(logs, "update.log").read_text()
    assert Path(logs, "test.log").read_text() == "not begun: update has failed\n"
    assert "status abort: no machine was asked for" in refusal(faked)
    assert not tolerated["failed"]


def test_names_that_a_guest_chose_stay_names(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    names = ["../../evil", "/etc/evil", "a/b", "a_b", ".hidden", "..", "é", "x" * 300]
    lines = ["status: success"]
    lines += [f"{name}-status: success" for name in names]
    lines += [f"{name}-log: said {name}" for name in names]
    host.install_scripted(bootstrapped, guest.GET_TASK + guest.result(*lines))
    before = {path for path in host.root.rglob("*") if path.is_file()}
    (done,) = run_tasks(tmp_path, [task_run(host)])
    assert not done["failed"], done
    logs = Path(done["logs"])
    made = {path for path in host.root.rglob("*") if path.is_file()} - before
    # The host's own record of the task.
    made = {path for path in made if not path.name.startswith("journal.sqlite")}
    assert all(path.is_relative_to(logs) for path in made), made
    for each, name in zip(done["result"]["operations"], names, strict=True):
        path = Path(each["path"])
        assert path.parent == logs
        assert not path.name.startswith(".")
        assert path.read_text() == f"said {name}\n"
    assert not Path("/etc/evil.log").exists()


def test_refusals(ready: BuildHost, tmp_path: Path) -> None:
    ready.install("fresh")
    # With a progress file of its own the module is not followed: that is faster.
    quick = {"progress_file": str(tmp_path / "progress")}
    wrong = {name: text for name, text in FIELDS.items() if name != "repository_url"}
    lease = tmp_path / "lease"
    lease.touch()
    lost = "nobody waits for the outcome any more: the machine was thrown away"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((ADDRESS, 0))
        port = taken.getsockname()[1]
        cases: list[tuple[dict[str, t.Any], str]] = [
            ({"task": ": 2\n"}, "task:1:3: error: unsupported format version 2"),
            ({"task": "rubbish"}, "task:1:8: error: ':' expected after name"),
            ({"task": {**wrong, "repositry_url": "x"}}, "did you mean 'repository-url'"),
            ({"task": wrong}, "repository"),
            ({"machine": "x"}, "no machine x on this host; there are: fresh, tiny"),
            (
                {"machine": "fresh"},
                "machine fresh is not ready for tasks (not bootstrapped for toolchain default); "
                "bootstrap it with bbot.agent.machine_bootstrap",
            ),
            ({"toolchain": "none"}, "no toolchain none in "),
            (
                {"files": [{"name": "x", "path": "/nowhere"}]},
                "files: there is no file /nowhere on the build host",
            ),
            (
                {"files": [{"name": "../x", "path": "/etc/hosts"}]},
                "files: '../x' cannot be the name of a file for the guest",
            ),
            ({"bridge": "brnone"}, "no bridge brnone on this host; make it with the role"),
            ({"user": "bbot-none"}, "no user bbot-none on this host; make it with the role"),
            ({"bridge": BRIDGE, "tftp_port": port}, f"{port}"),
            ({"upload_limit": 0}, "upload_limit must be at least 1, not 0"),
            ({"log_tail": 64}, "log_tail must be at least 256, not 64"),
            ({"lease_file": str(tmp_path / "none")}, lost),
            ({"lease_file": str(lease), "lease_timeout": 1}, lost),
        ]
        results = run_tasks(tmp_path, [task_run(ready, **quick, **case) for case, _dummy in cases])
    for (_dummy, words), result in zip(cases, results, strict=True):
        assert words in refusal(result)
        assert not result["changed"]
    ready.assert_clean()


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started and that have not ended."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@pytest.mark.parametrize(
    "worker_too",
    [
        pytest.param(False, id="controller"),
        pytest.param(True, id="its worker, too", marks=pytest.mark.long),
    ],
)
def test_a_task_whose_controller_is_killed_ends_by_itself(
    ready: BuildHost, tmp_path: Path, worker_too: bool
) -> None:
    files = source(tmp_path, sources.GATED)
    play = tmp_path / "play.json"
    write_play(play, [task_run(ready, files=files, lease_timeout=10)], tmp_path / "results.json")
    with playbook(tmp_path, str(play)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "waiting for go" in line:
                break
        else:
            raise AssertionError("the task did not begin")
        assert len(ready.qemus()) == 1
        workers = children(process.pid)
        assert workers
        os.killpg(process.pid, signal.SIGKILL)
        if worker_too:
            # Each has a session of its own, as has the job, which is to end by itself.
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
    until(lambda: ready.leftovers() == [], "the job has ended and cleared everything away", 30)
    if not worker_too:
        until(
            lambda: not list(tmp_path.glob("**/bbot-follow.*")),
            "the worker has seen that it is alone and removed its folder",
        )
