# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine's name is the one in its manifest: the machine that is offered is the one that is used.

A table of what may lie in the folder of machines. Each place is `<volume>/<folder>` with the name
in the manifest and the condition of the machine there.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.duties import offers
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    Machine,
    enumerate_machines,
    find_machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import Toolchain
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.directory import Directory

NEW = "1.0.0"
TOOLCHAIN = Toolchain(
    "t", "t-1", BootstrapResult.parse(f": 1\nbbot-version: {NEW}\n", "x"), "/nowhere"
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(
        run=t.cast("t.Any", None),
        storage=Directory(),
        machines=str(tmp_path / "machines"),
        tftp=str(tmp_path),
        state=str(tmp_path / "state"),
    )


def install(folder: Path, name: str, condition: str = "current") -> None:
    """Install a machine called ``name`` in ``folder``, in this condition."""
    revision, own = folder / f"{folder.name}-1.1", folder.name
    revision.mkdir(parents=True)
    kind = "nspawn\noptions: -m 512" if condition == "with odd options" else "kvm"
    manifest = MachineManifest.parse(
        f": 1\nid: {folder.parent.name}/{own}\nname: {name}\nsummary: x\ntype: {kind}\n"
        "mac: 02:00:00:00:00:01\n",
        "x",
    )
    text = "odd" if condition == "unreadable" else manifest.to_text()
    if condition != "without a manifest":
        (revision / "manifest").write_text(text)
    if condition != "unlinked":
        target = "gone" if condition == "dangling" else revision.name
        (folder / f"{own}-1").symlink_to(target)
    if condition == "missing":
        return
    version = "2.0.0" if condition == "newer" else NEW
    old = dataclasses.replace(manifest, id="old") if condition == "obsolete" else manifest
    bootstrapped = BootstrappedMachine(
        old,
        ToolchainManifest("t-1"),
        BootstrapResult.parse(f": 1\nbbot-version: {version}\n", "x"),
    )
    (folder / f"{own}-t").mkdir()
    odd = condition == "badly bootstrapped"
    (folder / f"{own}-t" / "manifest").write_text("odd" if odd else bootstrapped.to_text())


def place(machine: Machine) -> str:
    return "/".join(machine.directory.split("/")[-2:])


BROKEN = (
    *("with odd options", "unreadable", "without a manifest", "dangling", "unlinked"),
    *("badly bootstrapped", "newer"),
)
N = "linux_debian_12-gcc_13"

# What lies where; what is offered under which name; and what is meant by a name.
Case = tuple[dict[str, tuple[str, str]], dict[str, str], dict[str, str]]
CASES: dict[str, Case] = {
    "folder of another name": ({"a/beta": (N, "current")}, {N: "a/beta"}, {N: "a/beta"}),
    "folders that change names": (
        {"a/x": ("y", "current"), "a/y": ("x", "current")},
        {"y": "a/x", "x": "a/y"},
        {"y": "a/x", "x": "a/y"},
    ),
    "two volumes": (
        {"a/m": (N, "current"), "b/m": (N, "current")},
        {N: "a/m"},
        {N: "a/m"},
    ),
    "two folders": (
        {"a/m": (N, "current"), "a/n": (N, "current")},
        {N: "a/m"},
        {N: "a/m"},
    ),
    # The agent goes on with what works.
    "the second is bootstrapped": (
        {"a/m": (N, "missing"), "b/m": (N, "current")},
        {N: "b/m"},
        {N: "b/m"},
    ),
    "the first is to be bootstrapped anew": (
        {"a/m": (N, "obsolete"), "b/m": (N, "current")},
        {},
        {N: "a/m"},
    ),
    "neither is bootstrapped": (
        {"a/m": (N, "missing"), "b/m": (N, "missing")},
        {},
        {N: "a/m"},
    ),
    **{
        f"the first is {condition}": (
            {"a/m": (N, condition), "b/m": (N, "current")},
            {N: "b/m"},
            {N: "b/m"},
        )
        for condition in BROKEN
    },
    **{
        f"the second is {condition}": (
            {"a/m": (N, "current"), "b/m": (N, condition)},
            {N: "a/m"},
            {N: "a/m"},
        )
        for condition in BROKEN
    },
    # Without a manifest it is called as its folder, which is another one's name.
    **{
        f"a folder of the name is {condition}": (
            {f"a/{N}": ("other", condition), "b/m": (N, "current")},
            {N: "b/m"},
            {N: "b/m"},
        )
        for condition in ("unreadable", "without a manifest", "dangling", "unlinked")
    },
    "only a broken one": ({"a/m": (N, "badly bootstrapped")}, {}, {N: "a/m"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_offered_is_what_is_used(host: Host, case: str) -> None:
    layout, offered, meant = CASES[case]
    for where, (name, condition) in layout.items():
        install(Path(host.machines, where), name, condition)
    machines = enumerate_machines(host, TOOLCHAIN)
    assert len(machines) == len(layout)
    assert {name: header.id for name, header in offers(machines).items()} == offered
    for name, where in meant.items():
        assert place(find_machine(machines, name)) == where
    # Of each name one at most is to be bootstrapped or used.
    used = [each.name for each in machines if each.to_bootstrap or each.state == "current"]
    assert len(used) == len(set(used))


def test_links_to_directories_count(host: Host, tmp_path: Path) -> None:
    install(tmp_path / "elsewhere" / "volume" / "one", "one")
    install(tmp_path / "elsewhere" / "two", "two")
    install(Path(host.machines, "a", "three"), "three")
    machines = Path(host.machines)
    (machines / "link").symlink_to(tmp_path / "elsewhere" / "volume")
    (machines / "a" / "two").symlink_to("../../elsewhere/two")
    (machines / "a" / ".hidden").symlink_to("three")
    for odd, target in (("file", "/etc/passwd"), ("dangling", "gone"), ("loop", "loop")):
        (machines / odd).symlink_to(target)
        (machines / "a" / odd).symlink_to(target)
    found = enumerate_machines(host, TOOLCHAIN)
    assert {each.name: place(each) for each in found} == {
        "one": "link/one",
        "two": "a/two",
        "three": "a/three",
    }
    assert {each.state for each in found} == {"current"}
    assert all(each.directory.startswith(f"{host.machines}{os.sep}") for each in found)


def test_a_machine_that_is_linked_twice_is_one(host: Host) -> None:
    install(Path(host.machines, "a", "one"), "one")
    Path(host.machines, "b").symlink_to("a")
    assert [each.state for each in enumerate_machines(host, TOOLCHAIN)] == ["current", "broken"]


@pytest.mark.parametrize(
    ("order", "offered"),
    [
        ([], ["a-gcc_12", "a-gcc_14", "b-gcc_12", "b-gcc_14"]),
        (["*-gcc_14"], ["a-gcc_14", "b-gcc_14", "a-gcc_12", "b-gcc_12"]),
        (["b-*", "*-gcc_14"], ["b-gcc_12", "b-gcc_14", "a-gcc_14", "a-gcc_12"]),
        (["b-gcc_14", "b-*"], ["b-gcc_14", "b-gcc_12", "a-gcc_12", "a-gcc_14"]),
        (["B*", "none", "*"], ["a-gcc_12", "a-gcc_14", "b-gcc_12", "b-gcc_14"]),
    ],
)
def test_the_order_of_offers(host: Host, order: list[str], offered: list[str]) -> None:
    # Whatever the order of the folders.
    for number, name in enumerate(("b-gcc_14", "a-gcc_12", "b-gcc_12", "a-gcc_14")):
        install(Path(host.machines, "default", f"m{number}"), name)
    assert list(offers(enumerate_machines(host, TOOLCHAIN), order)) == offered
