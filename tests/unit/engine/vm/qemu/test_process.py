# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What QEMU is told."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.process import (
    Ram,
    qemu_arguments,
    state_key,
)

MAC = "02:00:00:00:00:01"
KVM, TCG = Accelerator("kvm", ""), Accelerator("tcg", "")
CHANNELS = {"qmp": 5, "console": 6, "progress": 7}


def hardware(options: list[str] | None = None, cpu: int = 1, ram: int = 262144) -> Hardware:
    return Hardware("x-default", "/x", MAC, options=options, cpu=cpu, ram=ram)


def arguments(
    options: list[str] | None = None, accelerator: Accelerator = TCG, cpu: int = 1
) -> list[str]:
    return qemu_arguments(hardware(options, cpu), accelerator, 9, "/run/x/vnc", CHANNELS)


def value(words: list[str], option: str) -> str:
    """The only value of ``option``."""
    (found,) = [words[i + 1] for i, word in enumerate(words) if word == option]
    return found


def test_the_default_devices_are_those_of_bbot() -> None:
    words = arguments()
    assert words[-8:] == [
        *("-netdev", "tap,id=net0,fd=9"),
        *("-device", f"virtio-net-pci,netdev=net0,mac={MAC}"),
        *("-drive", "if=none,id=disk0,file=disk.img,format=raw"),
        *("-device", "virtio-blk-pci,drive=disk0"),
    ]


def test_options_replace_the_default_devices() -> None:
    words = arguments(["-kernel", "vmlinuz", "-device", "e1000,mac=?,netdev=n"])
    assert words[-4:] == ["-kernel", "vmlinuz", "-device", f"e1000,mac={MAC},netdev=n"]
    assert "-drive" not in words
    assert arguments([])[-2:] == arguments()[-10:-8]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("tap,id=net0,ifname=?,script=no", "tap,id=net0,fd=9"),
        ("tap,ifname=?,id=n,script=no,downscript=no,vnet_hdr=on", "tap,id=n,fd=9"),
        ("tap,ifname=?,id=n,vhost=off", "tap,id=n,vhost=off,fd=9"),
        ("tap,id=n,ifname=tap7,script=no", "tap,id=n,ifname=tap7,script=no"),
        ("user,id=n", "user,id=n"),
    ],
)
def test_the_tap_is_handed_over_open(given: str, told: str) -> None:
    assert arguments(["-netdev", given])[-1] == told


def test_what_every_machine_has() -> None:
    words = arguments(cpu=4)
    assert value(words, "-name") == "x-default"
    assert value(words, "-m") == "256M"
    assert value(words, "-smp") == "4,sockets=1,cores=4,threads=1"
    assert value(words, "-vnc") == "unix:/run/x/vnc"
    assert value(words, "-sandbox") == (
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    )
    assert value(words, "-machine") == "pc,memory-backend=ram"
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(words)
    for name, fd in CHANNELS.items():
        assert f"socket,id={name},fd={fd}" in words
    assert "virtserialport,chardev=progress,name=bbot.progress" in words
    assert "vmgenid,guid=auto" in words


@pytest.mark.parametrize(
    ("accelerator", "accel", "cpu"),
    [(KVM, "kvm", "host"), (TCG, "tcg,thread=multi,tb-size=256", "max")],
)
def test_the_accelerator_decides_the_cpu(accelerator: Accelerator, accel: str, cpu: str) -> None:
    words = arguments(accelerator=accelerator)
    assert value(words, "-accel") == accel
    assert value(words, "-cpu").split(",")[0] == cpu
    assert value(arguments(["-cpu", "qemu64"], accelerator), "-cpu") == "qemu64"


@pytest.mark.parametrize("option", ["-machine", "-M"])
def test_a_machine_type_of_its_own(option: str) -> None:
    words = arguments([option, "q35"])
    assert words[-2:] == [option, "q35"]
    assert value(words[:-2], "-machine") == "memory-backend=ram"


@pytest.mark.parametrize(
    ("ram", "told"),
    [
        (None, "memory-backend-ram,id=ram,size=256M,merge=off,dump=off"),
        (
            Ram(11, shared=True),
            "memory-backend-file,id=ram,size=256M,merge=off,dump=off,mem-path=/proc/self/fd/11,share=on",
        ),
        (
            Ram(11, shared=False),
            "memory-backend-file,id=ram,size=256M,merge=off,dump=off,mem-path=/proc/self/fd/11,share=off",
        ),
    ],
)
def test_what_the_ram_is_made_of(ram: Ram | None, told: str) -> None:
    words = qemu_arguments(hardware(), TCG, 9, "/run/x/vnc", CHANNELS, ram)
    assert told in words


def test_a_state_is_of_one_kind_of_machine() -> None:
    key = state_key(hardware(), TCG)
    assert key == state_key(hardware(), TCG)
    others = [hardware(cpu=2), hardware(["-machine", "q35"]), hardware(ram=131072)]
    keys = {key, state_key(hardware(), KVM), *(state_key(other, TCG) for other in others)}
    assert len(keys) == 5
