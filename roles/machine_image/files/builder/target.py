# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is built for: a release of Debian on an architecture."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from programs import BuildError, run

# What a machine on QEMU's virtio devices needs before its root file system, and what its image
# would need files for otherwise. In the order in which they are wanted.
_DRIVERS = ("virtio_blk", "virtio_net", "virtio_rng", "virtio_console", "evdev")


@dataclass(frozen=True)
class Architecture:
    """One of Debian's architectures.

    `name` is Debian's name for it, `cpu` the kernel's. `kernel` is the package that depends on the
    newest kernel, `console` that kernel's name for the serial port. `bus` ends the names of virtio
    devices, and `drivers` of the kernel are loaded beside those of these. `emulator` runs its
    programs.
    """

    name: str
    cpu: str
    kernel: str
    console: str
    drivers: tuple[str, ...]
    bus: str = "pci"

    @property
    def native(self) -> bool:
        """Whether the host runs programs of this architecture."""
        return run(["dpkg", "--print-architecture"]).strip() == self.name

    def runner(self) -> list[str]:
        """Return the command before that of a program of this architecture."""
        if self.native:
            return []
        emulator = f"qemu-{'arm' if self.cpu == 'armv7l' else self.cpu}"
        for name in (f"{emulator}-static", emulator):
            if path := shutil.which(name):
                return [path]
        raise BuildError(
            f"no program {emulator}-static on this host: install the package qemu-user-static"
        )


_KEYBOARD = ("virtio_input",)
ARCHITECTURES = {
    each.name: each
    for each in (
        Architecture(
            "amd64",
            "x86_64",
            "linux-image-cloud-amd64",
            "ttyS0",
            ("virtio_pci", *_DRIVERS, "button"),
        ),
        Architecture(
            "arm64",
            "aarch64",
            "linux-image-cloud-arm64",
            "ttyAMA0",
            ("virtio_pci", *_DRIVERS, *_KEYBOARD),
        ),
        Architecture(
            "armhf",
            "armv7l",
            "linux-image-armmp-lpae",
            "ttyAMA0",
            ("virtio_pci", *_DRIVERS, *_KEYBOARD),
        ),
        Architecture(
            "ppc64el",
            "ppc64le",
            "linux-image-powerpc64le",
            "hvc0",
            ("virtio_pci", *_DRIVERS, *_KEYBOARD),
        ),
        Architecture(
            "riscv64",
            "riscv64",
            "linux-image-riscv64",
            "ttyS0",
            ("virtio_pci", *_DRIVERS, *_KEYBOARD),
        ),
        Architecture(
            "s390x",
            "s390x",
            "linux-image-s390x",
            "ttysclp0",
            (*_DRIVERS, *_KEYBOARD),
            "ccw",
        ),
    )
}


@dataclass(frozen=True)
class Target:
    """A release of Debian, by its codename, on an architecture."""

    codename: str
    architecture: Architecture

    @property
    def is_host(self) -> bool:
        """Whether the host is just that."""
        return self.architecture.native and self.codename == host_codename()


def target(codename: str, architecture: str) -> Target:
    """Return what is meant; what is empty is the host's. Raises BuildError."""
    architecture = architecture or run(["dpkg", "--print-architecture"]).strip()
    if architecture not in ARCHITECTURES:
        raise BuildError(
            f"no images are built of Debian's architecture {architecture}; there are: "
            f"{', '.join(ARCHITECTURES)}"
        )
    return Target(codename or host_codename(), ARCHITECTURES[architecture])


def host_codename() -> str:
    """Return the codename of the host's release. Raises BuildError."""
    with open("/etc/os-release") as file:
        match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', file.read(), re.MULTILINE)
    if not match:
        raise BuildError("no VERSION_CODENAME in /etc/os-release: which Debian release is this?")
    return match[1]
