# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The flavours of machine images, and the worker's drivers that name them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
sys.path.insert(0, str(ROLES / "toolchain" / "worker"))

from bbot_worker.drivers import DRIVERS, driver_named

ROLE = ROLES / "machine_image"
FLAVOURS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__machine_image_flavours"]

# Debian has no packages of build2: its own toolchain brings it.
FOREIGN = {"build2"}


def test_the_options_know_all_flavours() -> None:
    specification = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())
    option = specification["argument_specs"]["main"]["options"]["machine_image_flavours"]
    assert option["choices"] == sorted(FLAVOURS)


def test_the_readme_knows_all_flavours() -> None:
    text = (ROLE / "README.md").read_text()
    assert [name for name in FLAVOURS if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_packages_are_in_order(flavour: str) -> None:
    assert FLAVOURS[flavour] == sorted(set(FLAVOURS[flavour]))


@pytest.mark.parametrize("name", sorted(set(DRIVERS) - FOREIGN))
def test_a_driver_names_a_flavour(name: str) -> None:
    assert driver_named(name).flavour in FLAVOURS
