# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The survey: what is known stays known while a look fails, and is looked at again."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import Bootstrapped
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError


@pytest.mark.parametrize("what", ["machines", "watch", "accelerator"])
def test_a_look_that_fails(
    office: t.Any, broken: t.Any, what: str, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("survey")
    desk.visit()
    assert [machine.name for machine in office.state.machines] == ["m1"]
    holder, name = {
        "machines": (office.duties, "machines"),
        "watch": (desk._watch, "refresh"),
        "accelerator": (office.duties, "reconsider_accelerator"),
    }[what]
    bad = broken(getattr(holder, name))
    monkeypatch.setattr(holder, name, bad)
    office.work(3700, desk)
    assert bad.calls
    assert apart(bad.calls) >= 0.999
    assert len(bad.calls) <= 160
    assert len(office.errors) == 1
    assert [machine.name for machine in office.state.machines] == ["m1"]
    bad.error = None
    office.work(400, desk)
    if what != "accelerator":
        assert office.lines[-1] == "info: survey: working again"


def test_without_a_toolchain_nothing_is_offered(
    office: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("survey")
    desk.visit()

    def fail() -> None:
        raise HostError("no toolchain default")

    monkeypatch.setattr(office.duties, "machines", fail)
    office.work(20, desk)
    assert office.state.machines == []


def test_changes_are_noticed_once_a_second(
    office: t.Any, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("survey")
    looks: list[float] = []
    monkeypatch.setattr(office.duties, "machines", lambda: looks.append(office.clock()) or [])
    monkeypatch.setattr(desk._watch, "changed", lambda: True)
    office.work(60, desk, each=desk.visit)
    assert 50 <= len(looks) <= 61
    assert apart(looks) >= 0.999
    assert {"bootstraps", "asking", "outbox"} <= office.state.called.keys()


def test_a_watch_that_cannot_be_read_is_not_waited_for(
    office: t.Any, broken: t.Any, apart: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk("survey")
    bad = broken(False)
    monkeypatch.setattr(desk._watch, "changed", bad)
    # Its descriptor stays readable.
    rounds = office.work(600, desk, each=lambda: None)
    assert rounds < 200
    assert apart(bad.calls) >= 0.999
    assert len(bad.calls) <= 31
    assert len(office.errors) == 1
    assert [machine.name for machine in office.state.machines] == ["m1"]


def test_a_machine_that_was_bootstrapped_is_offered_at_once(office: t.Any, jobs: t.Any) -> None:
    desks = [office.desk(name) for name in ("survey", "bootstraps", "asking")]
    machines = [office.machine("missing")]
    office.duties.machines = lambda: list(machines)
    object.__setattr__(office.duties.settings, "poll_interval", 60.0)
    office.work(1, *desks)
    assert [job.name for job in jobs.started] == ["bootstrap of m1"]
    machines[:] = [office.machine()]
    jobs.started[0].outcome = Bootstrapped(None, changed=True)
    office.work(2, *desks)
    assert [job.name for job in jobs.started] == ["bootstrap of m1", "task request"]
    assert not [line for line in office.lines if "no build machines" in line]
