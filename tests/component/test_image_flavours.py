# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of all flavours: each driver has its tools there, and does a small project."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.images import FLAVOURS, debian_image
from helpers.lone_machines import TASK, bootstrap, pack, perform

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "worker"))
sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "toolchain" / "worker"))

from bbot_worker.drivers import DRIVERS, driver_named
from kinds.table import all_kinds

pytestmark = pytest.mark.long

# A virtual machine is emulated where these tests are run, and tools of Java's start slowly there.
RAM, PATIENCE = 2048, 900.0

KINDS = {name: kind for name, kind in all_kinds().items() if kind.flavour in FLAVOURS}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bootstrapped machine of all flavours."""
    return bootstrap(debian_image(*FLAVOURS), tmp_path_factory.mktemp("flavours"))[0]


def test_each_driver_has_its_tools(machine: Path, tmp_path: Path) -> None:
    drivers = [driver_named(name) for name in DRIVERS]
    tools = {tool for driver in drivers if driver.flavour in FLAVOURS for tool in driver.tools}
    script = '#!/bin/sh\nfor tool in %s; do command -v $tool || echo "no $tool"; done\n'
    task = TASK + "target-config: config.bbot.operations=configure\n"
    source = pack({"bbot-build": script % " ".join(sorted(tools))})
    result, _dummy = perform(machine, tmp_path, {"manifest": task.encode(), "source.tar": source})
    lines = result["configure-log"].splitlines()
    assert [line for line in lines if line.startswith("no ")] == []
    assert "/usr/bin/cargo" in lines


@pytest.mark.parametrize("name", KINDS)
def test_a_project_of_each_kind(name: str, machine: Path, tmp_path: Path) -> None:
    kind = KINDS[name]
    task = TASK + (f"target-config: {kind.configuration}\n" if kind.configuration else "")
    files = {"manifest": task.encode(), "source.tar": pack(kind.project("good"))}
    result, _dummy = perform(machine, tmp_path, files, ram=RAM, patience=PATIENCE)
    assert result["status"] == "success", result
    assert f"driver: {kind.driver or name}" in result["configure-log"]
