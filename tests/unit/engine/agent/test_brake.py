# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The brake: what is held up by which fault, and what lets go of it."""

from __future__ import annotations

import io

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.brake import Brake
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics


class Site:
    def __init__(self) -> None:
        self.now = 1000.0
        self.stream = io.StringIO()
        self.brake = Brake(Diagnostics(1, stream=self.stream), lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_fault_that_is_met_again_holds_until_it_is_not(site: Site) -> None:
    brake = site.brake
    brake.fault(None, "no bridge br1")
    assert brake.in_doubt
    for _dummy in range(3):
        brake.rehearsed("no bridge br1")
        site.now += 7200
        assert brake.holds()
        assert brake.in_doubt
    assert len([line for line in site.lines if line.startswith("error: ")]) == 1
    brake.rehearsed("no QEMU")
    assert site.lines[-1] == "error: this host performs no tasks until that is mended: no QEMU"
    # What differs is the name of a copy.
    for number in range(3):
        brake.rehearsed(f"cannot snapshot m1-t-17{number}-0: the disk is full")
    assert len([line for line in site.lines if "the disk is full" in line]) == 1
    brake.rehearsed(None)
    assert (brake.holds(), brake.in_doubt, brake.mended) == (False, False, 1)
    assert site.lines[-1] == "info: this host performs tasks again"
    # It begins anew, with the shortest pause.
    brake.fault(None, "no bridge br1")
    site.now += 73
    assert not brake.holds()


def test_a_fault_that_is_not_met_again_has_its_pause(site: Site) -> None:
    brake = site.brake
    brake.fault(None, "odd")
    brake.rehearsed(None)
    assert (brake.holds(), brake.mended) == (True, 0)
    site.now += 73
    assert (brake.holds(), brake.in_doubt) == (False, False)
    brake.fault(None, "odd")
    site.now += 90
    assert brake.holds()


def test_a_suspicion_holds_nothing_up(site: Site) -> None:
    brake = site.brake
    brake.suspect()
    assert (brake.in_doubt, brake.holds()) == (True, False)
    brake.rehearsed(None)
    assert (brake.in_doubt, brake.mended) == (False, 0)
    brake.suspect()
    brake.rehearsed("no bridge br1")
    assert brake.holds()


def test_what_ran_before_a_fault_does_not_show_that_it_is_mended(site: Site) -> None:
    brake, began = site.brake, site.now
    site.now += 10
    brake.fault(None, "no QEMU")
    site.now += 5
    brake.released("m1", began)
    brake.host_is_well(began)
    assert brake.holds()
    brake.released("m1", site.now)
    assert not brake.holds()


def test_a_machine_by_itself(site: Site) -> None:
    brake = site.brake
    brake.fault("m1", "abnormal")
    assert (brake.holds("m1"), brake.holds("m2"), brake.holds(), brake.in_doubt) == (
        *(True, False, False, False),
    )
    brake.released("m1", site.now)
    assert not brake.holds("m1")


def test_a_host_that_was_well_a_moment_ago_has_tasks_sooner(site: Site) -> None:
    brake = site.brake
    long = brake.head_start
    began = site.now
    site.now += 1
    brake.released("m1", began)
    assert brake.head_start <= long / 10
    site.now += 10
    assert brake.head_start == long
    brake.host_is_well(site.now)
    brake.fault(None, "no QEMU")
    assert brake.head_start == long
