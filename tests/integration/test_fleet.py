# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays on several build hosts, of which one is slow and one is down: they hold nobody."""

from __future__ import annotations

import json
import sys
import typing as t
from pathlib import Path

import pytest
from helpers import sources
from helpers.build_host import make_task
from helpers.controller import Controller
from helpers.fleet import MACHINE, Fleet
from helpers.plays import ROOT, playbook, run_playbook
from helpers.waiting import until

SLOW, *QUICK = NAMES = ("host000", "host001", "host002")
# Seconds for a host that will not answer, which are enough for those that do.
ANSWER = 45


@pytest.fixture
def fleet(tmp_path: Path) -> t.Iterator[Fleet]:
    made = Fleet(tmp_path / "fleet", len(NAMES))
    yield made
    # Whoever still waits there may go.
    made.gate.touch()


def words(fleet: Fleet, name: str, **told: t.Any) -> list[str]:
    """A play on these and on one that is down, by its command line."""
    if name == "status.yml":
        slow = {"command": fleet.gated(str(fleet.command))}
    else:
        slow = {"python": fleet.gated(sys.executable)}
    down = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    inventory = fleet.inventory(**{SLOW: slow, "down": down})
    return ["-i", inventory, *fleet.told(**told), str(ROOT / "playbooks" / name)]


def test_a_round_goes_on_at_the_pace_of_each(fleet: Fleet, tmp_path: Path) -> None:
    with Controller() as controller:
        controller.tasks += [make_task(name=name) for name in NAMES]
        command = words(fleet, "run-agent.yml", bbot_controllers=controller.url)
        with playbook(tmp_path / "home", *command) as process:
            assert process.stdout is not None
            until(lambda: len(controller.arrivals) == len(QUICK), "the quick ones' results", 400)
            # The slow one has not even asked, and was not waited for.
            assert len(controller.requests) == len(QUICK)
            fleet.gate.touch()
            output = process.stdout.read()
            process.wait()
        assert len(controller.arrivals) == len(NAMES), output
    # The one that is down is what is wrong.
    assert process.returncode == 4, output
    for name in NAMES:
        assert f"{name} " in output[output.index("PLAY RECAP") :]
    assert output.count("results delivered: 1") == len(NAMES)


@pytest.mark.long
def test_a_matrix_is_shared_by_those_that_answer(fleet: Fleet, tmp_path: Path) -> None:
    source = str(sources.make_source(tmp_path / "hello"))
    command = words(
        fleet,
        "run-task.yml",
        source=source,
        machines=MACHINE,
        configs={"a": "a", "b": "b"},
        bbot_results=str(tmp_path / "results"),
        bbot_answer_timeout=ANSWER,
        bbot_fail_on="never",
    )
    status, output = run_playbook(tmp_path / "home", *command)
    assert status == 0, output
    assert not fleet.gate.exists()
    (index,) = tmp_path.glob("results/matrix-*/index.json")
    entries = json.loads(index.read_text())["combinations"]
    assert {entry["state"] for entry in entries} == {"done"}
    assert {entry["host"] for entry in entries} <= set(QUICK)
    told = " ".join(output.split())
    assert f"{SLOW}: Timed out after {ANSWER} second" in told
    assert "down: " in told and "Connection refused" in told


def test_none_that_answers(fleet: Fleet, tmp_path: Path) -> None:
    source = str(sources.make_source(tmp_path / "hello"))
    command = words(fleet, "run-task.yml", source=source, machines=MACHINE, toolchain="none")
    status, output = run_playbook(tmp_path / "home", "--limit", "host001,down", *command)
    assert status == 2, output
    told = " ".join(output.split())
    assert "No host can take the tasks: host001: no toolchain none in " in told


def test_a_page_about_those_that_answer(fleet: Fleet, tmp_path: Path) -> None:
    told = {"bbot_results": str(tmp_path / "results"), "bbot_answer_timeout": ANSWER}
    status, output = run_playbook(tmp_path / "home", *words(fleet, "status.yml", **told))
    assert status == 0, output
    assert not fleet.gate.exists()
    page = (tmp_path / "results" / "status.html").read_text()
    assert page.count("<h2") == len(NAMES) + 1
    for text in (f"Timed out after {ANSWER} second", "Connection refused", MACHINE):
        assert text in page
    # Each was asked in one step, and the rest was done once.
    assert output.count("1 of 1 current") == len(QUICK)
    recap = output[output.index("PLAY RECAP") :]
    assert "ok=1 " in next(line for line in recap.splitlines() if line.startswith("host001 "))
