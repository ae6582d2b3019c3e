# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which architecture a machine is of, and what QEMU is told and called for it."""

from __future__ import annotations

import os
import types
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import process as _process
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.process import CommandError
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import (
    Accelerator,
    objection,
    qemu_program,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.architecture import (
    architecture_of,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.process import (
    Hardware,
    qemu_arguments,
    state_key,
)

KVM, TCG = Accelerator("kvm", "it is so"), Accelerator("tcg", "no KVM")
CHANNELS = {"qmp": 5, "console": 6, "progress": 7}


@pytest.fixture(autouse=True)
def on_x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: types.SimpleNamespace(machine="x86_64"))


def arguments(name: str, accelerator: Accelerator = KVM, **facts: object) -> list[str]:
    hardware = Hardware(name, "/x", "02:00:00:00:00:01", ram=262144, **facts)  # type: ignore[arg-type]
    return qemu_arguments(hardware, accelerator, 9, "/run/x/vnc", CHANNELS)


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("aarch64-linux_debian_12-gcc_12", "aarch64"),
        ("arm64-linux", "aarch64"),
        ("armhf-linux", "armv7l"),
        ("armv7l-linux", "armv7l"),
        ("powerpc64le-linux", "ppc64le"),
        ("ppc64el-linux", "ppc64le"),
        ("riscv64-linux_debian_13-default", "riscv64"),
        ("s390x-linux", "s390x"),
        ("s390x", "s390x"),
        ("x86_64-linux_debian-postgresql", "x86_64"),
        ("debian", "x86_64"),
        ("linux_debian_12-gcc_13", "x86_64"),
        # Somebody's own words.
        ("arm-tests", "x86_64"),
        ("debian-arm64", "x86_64"),
        ("aarch64_linux", "x86_64"),
    ],
)
def test_a_name_tells_the_architecture(machine: str, name: str) -> None:
    assert architecture_of(machine).name == name


@pytest.mark.parametrize(
    ("machine", "program", "package"),
    [
        ("tiny", "qemu-system-x86_64", "qemu-system-x86"),
        ("aarch64-x", "qemu-system-aarch64", "qemu-system-arm"),
        ("armhf-x", "qemu-system-arm", "qemu-system-arm"),
        ("ppc64le-x", "qemu-system-ppc64", "qemu-system-ppc"),
        ("riscv64-x", "qemu-system-riscv64", "qemu-system-misc"),
        ("s390x-x", "qemu-system-s390x", "qemu-system-misc"),
    ],
)
def test_a_missing_program_is_told_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, program: str, package: str
) -> None:
    monkeypatch.setattr(_process, "SEARCH_PATH", str(tmp_path))
    words = f"no program '{program}' on this host; install the package {package}"
    with pytest.raises(CommandError, match=words):
        qemu_program(architecture_of(machine))
    # Without that of the host itself it is not the machine that is broken.
    kernel = architecture_of(machine).name
    assert objection(machine) == (
        "" if machine == "tiny" else f"it is a machine of {kernel}: {words}"
    )
    (tmp_path / program).write_text("#!/bin/sh\n")
    (tmp_path / program).chmod(0o755)
    assert objection(machine) == ""


def test_only_foreign_machines_are_emulated_for_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert KVM.on("debian") is KVM
    assert TCG.on("debian") is TCG
    for accelerator in (KVM, TCG):
        emulated = accelerator.on("s390x-linux")
        assert emulated == Accelerator("tcg", "a machine of s390x is emulated on x86_64")
    assert value(arguments("s390x-linux"), "-accel").startswith("tcg")
    monkeypatch.setattr(os, "uname", lambda: types.SimpleNamespace(machine="aarch64"))
    assert KVM.on("aarch64-linux") is KVM
    assert KVM.on("debian").reason == "a machine of x86_64 is emulated on aarch64"


def test_a_saved_state_is_of_one_architecture() -> None:
    keys = set()
    for name in ("x", "aarch64-x", "armhf-x", "ppc64le-x", "riscv64-x", "s390x-x"):
        hardware = Hardware(name, "/x", "02:00:00:00:00:01")
        keys.add(state_key(hardware, TCG))
        # KVM is nothing to an emulated machine.
        assert (state_key(hardware, KVM) == state_key(hardware, TCG)) is (name != "x")
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("machine", "type_", "bus"),
    [
        ("debian", "pc", "pci"),
        ("aarch64-x", "virt,gic-version=max", "pci"),
        ("armhf-x", "virt", "pci"),
        ("ppc64le-x", "pseries", "pci"),
        ("riscv64-x", "virt", "pci"),
        ("s390x-x", "s390-ccw-virtio", "ccw"),
    ],
)
def test_devices_are_on_the_bus_of_the_architecture(machine: str, type_: str, bus: str) -> None:
    words = arguments(machine, TCG)
    assert value(words, "-machine") == f"{type_},memory-backend=ram"
    names = [word.split(",")[0] for word in words if word.startswith("virtio-")]
    expected = ["virtio-rng", "virtio-serial", "virtio-net", "virtio-blk"]
    if machine != "debian":
        expected.insert(1, "virtio-keyboard")
    assert names == [f"{name}-{bus}" for name in expected]
    assert ("-vga" in words) is (machine == "debian")
    # What the manifest says comes first.
    words = arguments(machine, TCG, options=["-cpu", "x", "-M", "y"])
    assert value(words, "-cpu") == "x"
    assert value(words, "-machine") == "memory-backend=ram"


def value(words: list[str], option: str) -> str:
    """The only value of ``option``."""
    (found,) = [words[i + 1] for i, word in enumerate(words) if word == option]
    return found
