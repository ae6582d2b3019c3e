# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each role says what its variables are, and says it in one voice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[2] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir())


def load(role: str, name: str) -> dict:
    return yaml.safe_load((ROLES / role / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("role", NAMES)
def test_specification_and_defaults_agree(role: str) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(role, "defaults/main.yml")
    optional = {name for name, option in options.items() if not option.get("required")}
    # An option without a default is one that may be left out altogether.
    assert set(defaults) == {name for name in optional if "default" in options[name]}
    assert defaults == {name: options[name]["default"] for name in defaults}


@pytest.mark.parametrize("role", NAMES)
def test_variables_bear_the_name_of_the_role(role: str) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name in options if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", NAMES)
def test_every_option_is_described(role: str) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert [name for name, option in options.items() if not option.get("description")] == []
    assert [name for name, option in options.items() if "type" not in option] == []


@pytest.mark.parametrize("role", NAMES)
def test_role_has_a_readme(role: str) -> None:
    text = (ROLES / role / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"bbot.agent.{role}" in text


@pytest.mark.parametrize("role", NAMES)
def test_galaxy_is_told_what_people_are(role: str) -> None:
    about = load(role, "meta/main.yml")["galaxy_info"]
    specification = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]
    assert about["description"] == specification["short_description"]
    runtime = yaml.safe_load((ROLES.parent / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"].startswith(f">={about['min_ansible_version']}")


def test_the_demo_knows_what_the_roles_want_of_a_user() -> None:
    demo = (ROLES.parent / "scripts" / "demo.sh").read_text(encoding="utf-8")
    (listed,) = re.findall(r"(?m)^packages=\((.*)\)$", demo)
    image, agent = load("machine_image", "vars/main.yml"), load("agent", "vars/main.yml")
    wanted = [
        *load("host", "vars/main.yml")["__host_packages_user"],
        *image["__machine_image_tools"],
        *image["__machine_image_tools_user"],
        *agent["__agent_packages"],
    ]
    assert listed.split() == sorted(set(wanted))
