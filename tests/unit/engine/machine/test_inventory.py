# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a bootstrapped machine is obsolete, and a toolchain of no use."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.version import (
    StandardVersion,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import process as _process
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    inventory as _machines,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    compare,
    enumerate_machines,
    find_machine,
    read_machine,
    resolve,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    Toolchain,
    load_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs

Versions = dict[str, str]


def machine(identity: str = "m-1", mac: str | None = None) -> MachineManifest:
    text = f": 1\nid: {identity}\nname: m\nsummary: x\ntype: kvm\n"
    return MachineManifest.parse(text + (f"mac: {mac}\n" if mac else ""), "x")


def report(versions: Versions) -> BootstrapResult:
    return BootstrapResult({n: StandardVersion.parse(v) for n, v in versions.items()})


def compared(
    present: Versions, expected: Versions, *, identity: str = "m-1", toolchain: str = "t-1"
) -> tuple[str, ...]:
    """What compare() says of a machine bootstrapped as m-1 with toolchain t-1."""
    old = BootstrappedMachine(
        machine(mac="02:00:00:00:00:01"), ToolchainManifest("t-1"), report(present)
    )
    return compare(machine(identity), old, Toolchain("t", toolchain, report(expected), "/t"))


def test_the_same_is_current() -> None:
    assert compared({"bbot": "1.0.0"}, {"bbot": "1.0.0"}) == ("current",)
    assert compared({"bbot": "1.0.0", "libbutl": "0.1.0"}, {"bbot": "1.0.0"}) == ("current",)
    assert compared({}, {}) == ("current",)
    # A package that is none of bbot's four does not count.
    assert compared({}, {"other": "1.0.0"}) == ("current",)


@pytest.mark.parametrize(
    ("present", "expected", "outcome"),
    [
        (
            {"bbot": "1.0.0"},
            {"bbot": "1.1.0"},
            ("obsolete", "it was bootstrapped with bbot 1.0.0, we have 1.1.0"),
        ),
        (
            {"bbot": "1.1.0"},
            {"bbot": "1.0.0"},
            ("newer", "it was bootstrapped with bbot 1.1.0, newer than our 1.0.0"),
        ),
        (
            {"bbot": "1.1.0-a.0.20170101120000.abc"},
            {"bbot": "1.1.0"},
            (
                "obsolete",
                "it was bootstrapped with bbot 1.1.0-a.0.20170101120000.abc, we have 1.1.0",
            ),
        ),
        ({}, {"bbot": "1.0.0"}, ("obsolete", "it was bootstrapped with bbot None, we have 1.0.0")),
        (
            # The first difference, in the order of bbot's agent, decides.
            {"bbot": "1.0.0", "libbbot": "2.0.0", "libbutl": "1.0.0"},
            {"bbot": "1.0.0", "libbbot": "1.0.0", "libbutl": "2.0.0"},
            ("newer", "it was bootstrapped with libbbot 2.0.0, newer than our 1.0.0"),
        ),
        (
            {"libbpkg": "1.0.0", "libbutl": "9.0.0"},
            {"libbpkg": "2.0.0", "libbutl": "1.0.0"},
            ("obsolete", "it was bootstrapped with libbpkg 1.0.0, we have 2.0.0"),
        ),
    ],
)
def test_versions(present: Versions, expected: Versions, outcome: tuple[str, ...]) -> None:
    assert compared(present, expected) == outcome


def test_all_reasons_are_told_and_newer_beats_them() -> None:
    both = ({"bbot": "1.0.0"}, {"bbot": "1.0.0"})
    assert compared(*both, identity="m-2", toolchain="t-2") == (
        "obsolete",
        "the machine's id is m-2, it was bootstrapped as m-1",
        "the toolchain's id is t-2, it was bootstrapped with t-1",
    )
    assert compared({"bbot": "2.0.0"}, {"bbot": "1.0.0"}, identity="m-2")[0] == "newer"


def test_a_manifest_is_read_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    parse = MachineManifest.parse

    def count(data: bytes, name: str) -> MachineManifest:
        parsed.append(name)
        return parse(data, name)

    monkeypatch.setattr(MachineManifest, "parse", count)
    path = tmp_path / "manifest"
    for number, text in enumerate(("m-1", "m-2", "m-1")):
        path.write_text(f": 1\nid: {text}\nname: m\nsummary: x\ntype: kvm\n")
        for _again in range(3):
            assert read_machine(str(tmp_path)).id == text
        assert len(parsed) == number + 1
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_machine(str(tmp_path))
    # Not without end.
    monkeypatch.setattr(_machines, "_MOST_KNOWN", 3)
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "manifest").write_text(f": 1\nid: {number}\nname: m\nsummary: x\ntype: kvm\n")
        assert read_machine(str(folder)).id == str(number)
        assert len(_machines._known) <= 3


@pytest.mark.parametrize("target", ["m-1.3", "/somewhere/m-1.3"])
def test_a_link_may_be_relative_or_absolute(tmp_path: Path, target: str) -> None:
    link = tmp_path / "m-1"
    link.symlink_to(target)
    assert resolve(str(link)) == str(tmp_path / target)


def test_what_is_no_link(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        resolve(str(tmp_path / "none"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="Invalid argument"):
        resolve(str(tmp_path / "file"))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    def run(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        raise AssertionError(f"{args} need not be run")

    (tmp_path / "toolchains" / ".x-1").mkdir(parents=True)
    (tmp_path / "toolchains" / "x").symlink_to(".x-1")
    return Host(run=run, storage=Btrfs(), tftp=str(tmp_path))


def write(host: Host, text: str) -> Path:
    path = Path(host.tftp, "toolchains", ".x-1", "toolchain.manifest")
    path.write_text(text)
    return path


def test_a_toolchain_is_read_from_its_real_folder(host: Host) -> None:
    path = write(host, ": 1\nid: abc\n:\nbbot-version: 0.1.0\n")
    toolchain = load_toolchain(host, "x")
    assert (toolchain.name, toolchain.id, toolchain.directory) == ("x", "abc", str(path.parent))
    assert {n: str(v) for n, v in toolchain.expected.versions.items()} == {"bbot": "0.1.0"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds 0 manifests, not the two of a toolchain: its id and its expected versions"),
        (": 1\nid: abc\n", "holds 1 manifests, not the two of a toolchain"),
        (": 1\n:\n", "toolchain x is not usable: "),
        (": 1\nid: abc\n:\nbbot-version: 1.x\n", "toolchain.manifest:4:15: error: "),
        ("id: abc\n", "toolchain.manifest:1:1: error: format version pair expected"),
    ],
)
def test_a_toolchain_of_no_use(host: Host, text: str, words: str) -> None:
    write(host, text)
    with pytest.raises(HostError) as caught:
        load_toolchain(host, "x")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x-1", "a/b", "/x", "x\n", "stage-20261128-1", "a-b", "1.0", "_x"]
)
def test_a_name_that_is_none(host: Host, name: str) -> None:
    with pytest.raises(HostError, match="cannot be a toolchain's name"):
        load_toolchain(host, name)


def test_a_toolchain_that_is_not_there(host: Host) -> None:
    with pytest.raises(HostError, match=r"no toolchain y in .*/toolchains; assemble it with"):
        load_toolchain(host, "y")
    with pytest.raises(HostError, match="no toolchain x in"):
        load_toolchain(host, "x")


def install(host: Host, volume: str, folder: str, name: str) -> None:
    """Install revision 1.1 of a machine called ``name`` in ``folder``."""
    place = Path(host.machines, volume, folder)
    (place / f"{folder}-1.1").mkdir(parents=True)
    text = f": 1\nid: {name}-1\nname: {name}\nsummary: x\ntype: kvm\n"
    (place / f"{folder}-1.1" / "manifest").write_text(text)
    (place / f"{folder}-1").symlink_to(f"{folder}-1.1")


@pytest.fixture
def machines_host(tmp_path: Path) -> Host:
    return Host(
        run=t.cast("t.Any", None),
        storage=Btrfs(),
        machines=str(tmp_path / "machines"),
        tftp=str(tmp_path),
        state=str(tmp_path / "state"),
    )


def test_the_name_in_the_manifest_is_the_name_of_the_machine(machines_host: Host) -> None:
    install(machines_host, "default", "debian", "linux_debian_12-gcc_13")
    bare = Toolchain("t", "t-1", report({}), "/t")
    (found,) = enumerate_machines(machines_host, bare)
    assert (found.name, found.folder) == ("linux_debian_12-gcc_13", "debian")
    assert found.bootstrapped_path.endswith("/debian/debian-t")
    assert found.state == "missing"
    assert find_machine([found], "linux_debian_12-gcc_13") is found
    with pytest.raises(HostError, match="no machine debian on this host; there are: linux_debian"):
        find_machine([found], "debian")


def test_what_the_host_cannot_emulate_is_broken(
    machines_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "SEARCH_PATH", str(tmp_path))
    install(machines_host, "a", "one", "s390x-linux_debian_12")
    install(machines_host, "a", "two", "linux_debian_12")
    found = enumerate_machines(machines_host, Toolchain("t", "t-1", report({}), "/t"))
    assert [machine.state for machine in found] == ["broken", "missing"]
    assert found[0].reasons == (
        "it is a machine of s390x: no program 'qemu-system-s390x' on this host; install the "
        "package qemu-system-misc",
    )


def test_of_two_of_one_name_the_second_is_broken(machines_host: Host) -> None:
    for volume, folder in (("a", "one"), ("a", "two"), ("b", "one")):
        install(machines_host, volume, folder, "same")
    bare = Toolchain("t", "t-1", report({}), "/t")
    found = enumerate_machines(machines_host, bare)
    assert [machine.state for machine in found] == ["missing", "broken", "broken"]
    assert "has the same name, same" in found[1].reasons[0]
    # One that cannot be read has the name of its folder, and takes it from nobody.
    Path(machines_host.machines, "a", "one", "one-1.1", "manifest").write_text("odd")
    found = enumerate_machines(machines_host, bare)
    assert [machine.state for machine in found] == ["broken", "missing", "broken"]
    assert found[0].name == "one"
