# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that stands still because the host's disk is full."""

from __future__ import annotations

import os
import types
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.stall import Stall
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError

ROOM = 1 << 30


class Machine:
    """Stands still from the beginning; goes on when it is told to, for `again` looks."""

    hardware = types.SimpleNamespace(name="m", directory="/build/machines/default/m/work")
    out_of_space = True
    gone_on = 0

    def go_on(self) -> None:
        self.out_of_space = False
        self.gone_on += 1


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    vm, told, free = Machine(), [], [0]
    monkeypatch.setattr(
        os, "statvfs", lambda _path: types.SimpleNamespace(f_bavail=free[0], f_frsize=1)
    )
    host = types.SimpleNamespace(report=told.append)
    stall = Stall(t.cast("t.Any", host), t.cast("t.Any", vm))
    return types.SimpleNamespace(vm=vm, told=told, free=free, look=stall.look)


def test_it_goes_on_when_there_is_room(scene: t.Any) -> None:
    assert scene.look(100.0) == 0
    assert scene.told == [
        "error: no space left in /build/machines/default/m: machine m stands still"
    ]
    assert scene.look(100.5) == 0
    assert scene.look(130.0) == 30
    assert not scene.vm.gone_on
    scene.free[0] = ROOM
    assert scene.look(131.0) == 1
    assert scene.vm.gone_on == 1
    assert scene.told[1:] == ["info: machine m goes on: there is room in /build/machines/default/m"]
    assert scene.look(900.0) == 0


def test_a_machine_that_stops_again_and_again_is_told_of_a_few_times(scene: t.Any) -> None:
    scene.free[0] = ROOM
    stood = 0.0
    for second in range(0, 1000, 2):
        scene.vm.out_of_space = True
        stood += scene.look(second) + scene.look(second + 1)
    assert (stood, len(scene.told), scene.vm.gone_on) == (500, 6, 500)


def test_nobody_makes_room(scene: t.Any) -> None:
    scene.look(0)
    assert scene.look(599) == 599
    with pytest.raises(VmError, match="nobody made room for 600 s") as caught:
        scene.look(601)
    assert caught.value.culprit == "host"


def test_a_machine_that_runs_costs_nothing(scene: t.Any) -> None:
    scene.vm.out_of_space = False
    assert scene.look(0) == scene.look(10_000) == 0
    assert scene.told == []
