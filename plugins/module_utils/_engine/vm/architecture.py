# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Which processor a machine is made for, and what QEMU has to be told for it.

bbot's machine manifest has no field for that, but a convention: a machine's name begins with the
architecture, by its name in a target triplet, and a dash (`aarch64-linux_debian_12`). brep insists
on it for auxiliary machines. A name that begins with anything else is of the usual architecture.
"""

from __future__ import annotations

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What QEMU needs for machines of one architecture.

    ``name`` is what `uname -m` says in them. ``package`` is Debian's package with ``program``.
    ``machine`` and ``cpu`` are used where the manifest's options name no others, ``cpu`` only in
    emulation. ``bus`` ends the names of virtio devices: `virtio-net-pci`. ``devices`` are options.
    With ``key`` the power button is a key of the keyboard, as the machine has no other.
    ``resumes`` says whether machines go on from a saved state.
    """

    name: str
    program: str
    package: str
    machine: str
    cpu: str
    devices: tuple[str, ...]
    bus: str = "pci"
    key: bool = False
    resumes: bool = True

    @property
    def native(self) -> bool:
        """Whether the processors of this host are of it."""
        return os.uname().machine == self.name


# That of machines whose name says nothing of it.
# Everything that QEMU can emulate, so that any operating system is content, but what
# protects a kernel from its programs: in a machine that is thrown away that is not worth
# a fifth of the time of a build.
USUAL = Architecture(
    "x86_64",
    "qemu-system-x86_64",
    "qemu-system-x86",
    "pc",
    "max,la57=off,pku=off,smap=off,smep=off,umip=off",
    ("-vga", "std", "-device", "vmgenid,guid=auto"),
)


def _other(
    name: str, suffix: str, package: str, machine: str, cpu: str, bus: str = "pci"
) -> Architecture:
    """An architecture whose machines have neither a screen nor a power button, but a keyboard."""
    program = f"qemu-system-{suffix}"
    keyboard = ("-device", f"virtio-keyboard-{bus}")
    # Seen with QEMU 7.2: a resumed s390x seldom wakes up, the timers of a ppc64le stand still.
    resumes = name not in ("ppc64le", "s390x")
    return Architecture(
        name, program, package, machine, cpu, keyboard, bus, key=True, resumes=resumes
    )


# The same for arm64: signed pointers are emulated by a costly cipher unless QEMU may take its
# own, SVE is nothing that a build needs, and kernels before 5.12 do not start with LPA2.
_ALL = (
    USUAL,
    _other(
        "aarch64",
        "aarch64",
        "qemu-system-arm",
        "virt,gic-version=max",
        "max,pauth-impdef=on,sve=off,lpa2=off",
    ),
    _other("armv7l", "arm", "qemu-system-arm", "virt", "cortex-a15"),
    _other("ppc64le", "ppc64", "qemu-system-ppc", "pseries", "power9"),
    _other("riscv64", "riscv64", "qemu-system-misc", "virt", "rv64"),
    _other("s390x", "s390x", "qemu-system-misc", "s390-ccw-virtio", "max", "ccw"),
)

# How triplets, distributions and kernels call them.
_NAMES = {each.name: each for each in _ALL} | {
    alias: each
    for each in _ALL
    for alias in {
        "x86_64": ("amd64",),
        "aarch64": ("arm64",),
        "armv7l": ("armhf", "armv7"),
        "ppc64le": ("powerpc64le", "ppc64el"),
    }.get(each.name, ())
}


def architecture_of(machine: str) -> Architecture:
    """Return the architecture of the machine that is called ``machine``."""
    return _NAMES.get(machine.partition("-")[0], USUAL)
