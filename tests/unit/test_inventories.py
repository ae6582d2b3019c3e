# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example inventories set variables that there are, to values that may be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "inventories").rglob("*.yml"))
PLAYBOOK = (ROOT / "playbooks" / "provision.yml").read_text(encoding="utf-8")
TYPES = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict}


def options() -> dict[str, dict]:
    """The options of all roles."""
    found: dict[str, dict] = {}
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        found |= yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    return found


def variables(text: str) -> dict:
    """The variables of a file of variables or of an inventory."""
    data = yaml.safe_load(text)
    if "build_hosts" not in data:
        return data
    found: dict = {}
    for host in data["build_hosts"]["hosts"].values():
        found |= host or {}
    return found


# As they are, and with what is commented out.
@pytest.mark.parametrize("commented", [False, True])
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_variables_are_known(path: Path, commented: bool) -> None:
    text = path.read_text(encoding="utf-8")
    if commented and path.parent.name == "group_vars":
        text = re.sub(r"(?m)^# (?=(bbot|agent|host)_\w+:|  )", "", text)
    known = options()
    for name, value in variables(text).items():
        if name in known:
            assert isinstance(value, TYPES[known[name]["type"]]), name
        elif not name.startswith("ansible_"):
            assert f"#   {name} " in PLAYBOOK, name


def test_toolchains_have_what_the_roles_take() -> None:
    known = options()
    for path in FILES:
        for toolchain in variables(path.read_text()).get("bbot_toolchains", []):
            taken = set(known["agent_toolchains"]["options"])
            taken |= {name.removeprefix("toolchain_") for name in known if "toolchain_" in name}
            assert set(toolchain) <= taken
            for each in toolchain.get("urls", []):
                assert set(each) == {"name", "url", "sha256"}
                assert re.fullmatch("[0-9a-f]{64}", each["sha256"])
            assert set(toolchain.get("versions", {})) <= set(known["toolchain_versions"]["options"])
