# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Typed manifests about machines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.version import (
    StandardVersion,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.base import Message
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineHeader,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import (
    join_words,
    split_words,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HEADER = ": 1\nid: gcc_13-2.4\nname: debian\nsummary: Debian 12\n"
MACHINE = (
    HEADER
    + r"""type: kvm
mac: 02:4a:11:9c:00:7e
options:\
-device "virtio-scsi-pci,id=scsi"
-netdev tap,id=net0,ifname=?,script=no
\
changes: 2.4: security updates
"""
)
BOOTSTRAPPED = (
    HEADER
    + """type: kvm
mac: 02:4a:11:9c:00:7e
:
id: 7f0c1d4c
:
bbot-version: 0.6.0
libbutl-version: 0.6.0-a.1
"""
)


def test_header() -> None:
    header = MachineHeader.parse(HEADER + "role: auxiliary\nram-minimum: 1024\n")
    assert (header.id, header.name, header.summary) == ("gcc_13-2.4", "debian", "Debian 12")
    assert (header.role, header.ram_minimum, header.ram_maximum) == ("auxiliary", 1024, None)
    assert MachineHeader.parse(HEADER).effective_role == "build"
    assert header.effective_role == "auxiliary"


def test_machine() -> None:
    machine = MachineManifest.parse(MACHINE, strict=True)
    assert (machine.type, machine.mac) == ("kvm", "02:4a:11:9c:00:7e")
    assert machine.changes == ("2.4: security updates",)
    assert machine.option_words == [
        "-device",
        "virtio-scsi-pci,id=scsi",
        "-netdev",
        "tap,id=net0,ifname=?,script=no",
    ]
    assert machine.to_text() == MACHINE
    assert machine.header == MachineHeader.parse(HEADER)
    assert machine.header.to_text() == HEADER


def test_a_machine_made_here_is_written_in_wire_order() -> None:
    machine = MachineManifest(type="kvm", summary="Debian 12", name="debian", id="gcc_13-2.4")
    assert machine.to_text() == HEADER + "type: kvm\n"
    assert machine.option_words == []


def test_what_we_do_not_know_stays_where_it_was() -> None:
    text = ": 1\nx: 1\ntype: kvm\nid: a\nx: 2\nname: b\ny: 3\nsummary: c\nz: 4\n"
    machine = MachineManifest.parse(text)
    assert machine.to_text() == text
    assert [pair.name for pair in machine.unknown] == ["x", "x", "y", "z"]
    changed = replace(machine, mac="02:00:00:00:00:01", name="B", role="build")
    assert changed.to_text() == (
        ": 1\nx: 1\ntype: kvm\nmac: 02:00:00:00:00:01\nid: a\nx: 2\nname: B\ny: 3\nsummary: c\n"
        "z: 4\nrole: build\n"
    )
    assert replace(changed, mac=None, role=None, name="b").to_text() == text


def test_bootstrapped_machine() -> None:
    bootstrapped = BootstrappedMachine.parse(BOOTSTRAPPED, strict=True)
    assert bootstrapped.machine.name == "debian"
    assert bootstrapped.toolchain == ToolchainManifest("7f0c1d4c")
    assert list(bootstrapped.bootstrap.versions) == ["bbot", "libbutl"]
    assert bootstrapped.bootstrap.versions["bbot"] == StandardVersion.parse("0.6.0")
    assert bootstrapped.to_text() == BOOTSTRAPPED
    made = BootstrappedMachine(
        bootstrapped.machine, ToolchainManifest("x"), BootstrapResult({"a": StandardVersion(1, 10)})
    )
    assert [each.names()[0] for each in made.to_manifests()] == ["id", "id", "a-version"]


def test_records_are_read_from_manifests_too() -> None:
    manifests = parse(BOOTSTRAPPED)
    assert BootstrappedMachine.parse(manifests) == BootstrappedMachine.parse(BOOTSTRAPPED)
    assert ToolchainManifest.from_manifest(manifests[1]).id == "7f0c1d4c"
    assert ToolchainManifest.parse(manifests[1]).id == "7f0c1d4c"
    with pytest.raises(ManifestError, match=r"^error: start of toolchain manifest expected$"):
        ToolchainManifest.parse([])
    with pytest.raises(ManifestError, match=r"^error: no toolchain id specified$"):
        ToolchainManifest.parse(Manifest())


@pytest.mark.parametrize(
    ("record", "text", "message"),
    [
        (ToolchainManifest, "", "1:1: error: start of toolchain manifest expected"),
        (ToolchainManifest, "# x\n", "2:1: error: start of toolchain manifest expected"),
        (ToolchainManifest, ": 1\n", "2:1: error: no toolchain id specified"),
        (ToolchainManifest, ": 1\nid:\n", "2:4: error: empty toolchain id"),
        (ToolchainManifest, ": 1\nid: a\nid: b\n", "3:1: error: toolchain id redefinition"),
        (ToolchainManifest, ": 1\nid: a\n:\n", "3:1: error: single toolchain manifest expected"),
        (
            ToolchainManifest,
            ": 1\nid: a\n x: y\n",
            "3:2: error: unknown name 'x' in toolchain manifest",
        ),
        (MachineHeader, ": 1\nid: a\n", "3:1: error: no machine name specified"),
        (
            MachineHeader,
            ": 1\nrole: host\n",
            "2:7: error: invalid machine role: 'host' is none of build, auxiliary",
        ),
        (
            MachineHeader,
            ": 1\nram-minimum: 1G\n",
            "2:14: error: invalid machine ram minimum: '1G' is not a number",
        ),
        (
            MachineHeader,
            ": 1\nram-minimum: 18446744073709551616\n",
            "2:14: error: invalid machine ram minimum: '18446744073709551616' is too large",
        ),
        (
            MachineHeader,
            HEADER + "ram-minimum: 2\nram-maximum: 1\n",
            "6:14: error: invalid machine ram maximum: 1 is less than the minimum of 2",
        ),
        (MachineManifest, HEADER, "5:1: error: no machine type specified"),
        (
            MachineManifest,
            HEADER + "type: kvm\nmac: 02:00\n",
            "6:6: error: invalid machine mac: six hexadecimal bytes joined by ':' expected",
        ),
        (
            MachineManifest,
            HEADER + "type: kvm\noptions: -x 'y\n",
            "6:10: error: invalid machine options: unterminated quoted string",
        ),
        (
            MachineManifest,
            HEADER + "type: kvm\noptions:\\\n \n\\\n",
            "7:1: error: invalid machine options: no words",
        ),
        (
            BootstrapResult,
            ": 1\nbbot-version: 1.2\n",
            "2:15: error: invalid bootstrap bbot version: '.' expected after minor version",
        ),
        (
            BootstrapResult,
            ": 1\na-version: 1.2.3\na-version: 1.2.3\n",
            "3:1: error: bootstrap a version redefinition",
        ),
        (BootstrappedMachine, HEADER, "5:1: error: start of toolchain manifest expected"),
        (
            BootstrappedMachine,
            HEADER + "type: kvm\n:\nid: x\n:\n",
            "6:1: error: no machine mac specified",
        ),
        (
            BootstrappedMachine,
            BOOTSTRAPPED + ":\n",
            "12:1: error: single bootstrapped machine manifest expected",
        ),
    ],
)
def test_errors(record: type[Message], text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        record.parse(text, "in", strict=True)
    assert str(caught.value) == f"in:{message}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" a\tb\nc ", ["a", "b", "c"]),
        ("a\"b c\"'d e'f", ["ab cd ef"]),
        ('"\'" \'"\' ""', ["'", '"', ""]),
        ("a\\ b", ["a\\", "b"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab \n'\"\\"))))
def test_words_come_back(words: list[str]) -> None:
    assert split_words(join_words(words)) == words
