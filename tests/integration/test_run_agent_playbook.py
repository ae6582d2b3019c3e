# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as one-shot plays: run_agent.yml and its modules, machines.yml, cleanup.yml."""

from __future__ import annotations

import json
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest, sources
from helpers.agents import entries, journal
from helpers.build_host import BuildHost, make_task
from helpers.controller import AgentKey, Controller, status
from helpers.owner import owner
from helpers.plays import ROOT, refusal, run_playbook, run_tasks
from helpers.waiting import until

PLAYBOOKS = ROOT / "playbooks"


def play(host: BuildHost, home: Path, name: str, **variables: t.Any) -> tuple[int, str]:
    told = {"bbot_machine_options": {**host.options(), "retries": 0}, **variables}
    return run_playbook(home, "-e", json.dumps(told), str(PLAYBOOKS / name),
                        ANSIBLE_SHOW_CUSTOM_STATS="1")  # fmt: skip


def asking(host: BuildHost, controller: Controller, **options: t.Any) -> dict[str, t.Any]:
    given = {**host.paths(), "controllers": [controller.url], **options}
    return {"bbot.agent.task_request": given}


def uploading(host: BuildHost, **options: t.Any) -> dict[str, t.Any]:
    return {"bbot.agent.result_upload": {**host.paths(), **options}}


def running(host: BuildHost, **options: t.Any) -> dict[str, t.Any]:
    # With a progress file of its own the module is not followed: that is faster.
    quick = {"progress_file": str(host.root / "progress"), "retries": 0}
    return {"bbot.agent.task_run": {**host.options(), **quick, **options}}


def test_a_round(host: BuildHost, bootstrapped: Machine, tmp_path: Path) -> None:
    worker = guest.GET_TASK + guest.result("status: success") + guest.SLEEP
    host.install_scripted(bootstrapped, worker)
    key = AgentKey.make(tmp_path / "key")
    with Controller(keys=[key]) as controller:
        controller.tasks += [make_task()]
        told = {"bbot_controllers": controller.url, "bbot_auth_key": str(key.private)}
        code, output = play(host, tmp_path, "run-agent.yml", **told)
        assert code == 0, output
        (arrival,) = controller.arrivals
        assert arrival.result.status is Status.SUCCESS
        assert controller.rejected == []
        assert "hello 1.0 on tiny: success; results delivered: 1" in output
        for name in ("Have the machines bootstrapped", "Ask for a task", "Perform the task"):
            assert f"TASK [{name}]" in output
        stats = " ".join(output[output.index("RUN: ") :].split())
        assert "culprit: none delivered: - 1 name: hello status: success task: 1" in stats

        code, output = play(host, tmp_path, "run-agent.yml", **told)
        assert code == 0, output
        assert "no task; results delivered: 0" in output
    (entry,) = entries(host)
    assert (entry.state, entry.culprit) == ("delivered", "none")
    assert "first request" in entry.phases


@pytest.mark.parametrize("place", ["environment", "role"])
def test_a_round_with_the_key_of_the_agents(host: BuildHost, tmp_path: Path, place: str) -> None:
    """As AWX has it, in a file on the control node; or as the role agent has left it."""
    key = AgentKey.make(tmp_path / "key")
    environment = {"BBOT_AGENT_KEY_FILE": str(key.private)}
    told: dict[str, t.Any] = {}
    if place == "role":
        # A credential without a key is an empty file.
        (tmp_path / "none").touch()
        environment = {"BBOT_AGENT_KEY_FILE": str(tmp_path / "none")}
        (tmp_path / "key.pem").write_text(key.private.read_text())
        (tmp_path / "key.pem").chmod(0o600)
        told = {"bbot_options_file": str(tmp_path / "places")}
    host.install("tiny")
    host.ensure(fake=True)
    with Controller(keys=[key]) as controller:
        told |= {"bbot_controllers": controller.url, "bbot_machine_options": host.options()}
        code, output = run_playbook(
            tmp_path / "home",
            *("-e", json.dumps(told), str(PLAYBOOKS / "run-agent.yml")),
            **environment,
        )
        assert code == 0, output
        assert (controller.rejected, len(controller.requests)) == ([], 1)
        assert controller.requests[0].fingerprint == key.fingerprint()
    # Nothing of it is left, neither here nor in what was printed.
    secret = key.private.read_text().splitlines()[2]
    assert secret not in output
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_text(errors="replace")] == []
    assert list(Path("/tmp").glob("bbot-key.*")) == []


@pytest.mark.long
def test_modules_one_by_one(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.pack(tmp_path / "source.tar.gz")
    files = [{"name": "source.tar.gz", "path": str(source)}]
    with Controller() as controller:
        controller.tasks += [make_task()]
        controller.fault("result", status(503))
        checked = {**asking(ready, controller), "check_mode": True}
        looked, asked, again = run_tasks(
            tmp_path, [checked, asking(ready, controller), asking(ready, controller)]
        )
        assert (looked["changed"], looked["id"], looked["machines"]) == (False, None, ["tiny"])
        assert (asked["changed"], asked["id"], asked["controller"]) == (True, 1, controller.url)
        assert asked["task"]["name"] == "hello"
        assert (again["changed"], again["id"]) == (False, None)
        assert len(controller.requests) == 2

        done, twice = run_tasks(
            tmp_path, [running(ready, id=1, files=files), running(ready, id=1, files=files)]
        )
        assert done["result"]["status"] == "success"
        assert refusal(twice) == "id: task 1 has a result already, success"

        foreseen = {**uploading(ready), "check_mode": True}
        would, failed, delivered, nothing = run_tasks(
            tmp_path, [foreseen, uploading(ready, id=1), uploading(ready), uploading(ready)]
        )
        assert (would["changed"], would["delivered"]) == (True, [1])
        assert "HTTP 503" in refusal(failed)
        assert "kept in the queue" in refusal(failed)
        assert (delivered["changed"], delivered["delivered"]) == (True, [1])
        assert (nothing["changed"], nothing["delivered"]) == (False, [])
        assert controller.arrivals[0].result.status is Status.SUCCESS


def test_refusals(ready: BuildHost, tmp_path: Path) -> None:
    with Controller() as controller:
        controller.disabled = True
        cases = [
            (asking(ready, controller), "HTTP 501 Not Implemented: building disabled"),
            (asking(ready, controller, controllers=["x"]), "'x' is not a URL of the form http"),
            (asking(ready, controller, auth_key="/nowhere"), "cannot read the key /nowhere"),
            (asking(ready, controller, toolchain="none"), "no toolchain none in "),
            (asking(ready, controller, request_timeout=0), "--request-timeout: '0' is not a time"),
            (running(ready, id=7), "id: there is no task 7 in the journal "),
            (running(ready, id=7, task={}), "parameters are mutually exclusive: id|task"),
            (running(ready), "one of the following is required: id, task"),
            (uploading(ready, id=7), "id: there is no task 7 in the journal "),
            (
                {"bbot.agent.cleanup": {**ready.paths(), "log_age": -1}},
                "log_age must be at least 0",
            ),
        ]
        results = run_tasks(tmp_path, [task for task, _words in cases])
    for (_task, words), result in zip(cases, results, strict=True):
        assert words in refusal(result)


def test_a_task_that_cannot_be_performed_is_given_back(host: BuildHost, tmp_path: Path) -> None:
    host.install()
    assert host.ensure(fake=True).changed
    with Controller() as controller:
        controller.tasks += [make_task()]
        (asked,) = run_tasks(tmp_path, [asking(host, controller)])
        # Its machine has gone meanwhile.
        (host.volume / "tiny" / "tiny-1").unlink()
        (failed, _delivered) = run_tasks(tmp_path, [running(host, id=asked["id"]), uploading(host)])
        assert "machine tiny is not ready for tasks" in refusal(failed)
        assert (controller.interrupted, controller.arrivals) == ([make_task()], [])
    assert entries(host)[0].culprit == "host"


def test_without_a_controller(ready: BuildHost, tmp_path: Path) -> None:
    code, output = play(ready, tmp_path, "run-agent.yml")
    assert code == 2
    assert "Say whom to ask for tasks: -e bbot_controllers=https://HOST/?build-task" in output


def test_machines(ready: BuildHost, tmp_path: Path) -> None:
    ready.install("fresh")
    code, output = play(ready, tmp_path, "machines.yml", bbot_info_options=ready.paths())
    assert code == 0, output
    assert "fresh                          missing    not bootstrapped for toolchain" in output
    assert "tiny                           current" in output


def test_cleanup(ready: BuildHost, tmp_path: Path) -> None:
    source = str(sources.pack(tmp_path / "source.tar.gz"))
    with owner(ready, "phase work", {"source.tar.gz": source}) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        pid = process.pid
    left = f"dead task of process {pid} on machine tiny"
    paths = {**ready.paths(), "log_dir": str(ready.logs), "runtime_dir": str(ready.runtime)}
    told = {"bbot_cleanup_options": paths}
    alive = ("process", "link", "dnsmasq")
    until(
        lambda: not [line for line in ready.leftovers() if line.startswith(alive)],
        "the machine and its network are gone with their owner",
        5,
    )
    before = ready.leftovers()
    code, output = run_playbook(
        tmp_path, "-e", json.dumps(told), str(PLAYBOOKS / "cleanup.yml"), "--check"
    )
    assert code == 0, output
    assert f"left by the {left}" in output
    assert ready.leftovers() == before
    code, output = run_playbook(tmp_path, "-e", json.dumps(told), str(PLAYBOOKS / "cleanup.yml"))
    assert f"cleared away the {left}" in output
    ready.assert_clean()
    code, output = run_playbook(tmp_path, "-e", json.dumps(told), str(PLAYBOOKS / "cleanup.yml"))
    assert "nothing" in output
    assert "changed=0" in output
    assert journal(ready).latest(1) == []
