# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk as clouds have them, of Debian packages: partitions, a boot loader, systemd, cloud-init.

It is made without mounts or loop devices, and boots by UEFI and by a BIOS as any computer would.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from .images import CACHE, made_once, mirror

_PACKAGES = (
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "initramfs-tools",
    "linux-image-cloud-amd64",
    "python3",
    "systemd-boot",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
)
_LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
# What a BIOS starts: it finds the partition with the attribute, and syslinux in that.
_BIOS_LOADER = Path("/usr/lib/SYSLINUX/gptmbr.bin")
_BIOS_ATTRIBUTE = "LegacyBIOSBootable"
_SECTORS_OF_MIB = 2048
# MiB: where each partition begins, and how large it is.
_ESP, _ROOT = (1, 96), (97, 1600)
_NETWORK = "[Match]\nName=en* eth*\n[Network]\nDHCP=yes\n"
_FSTAB = "LABEL=cloudimg-rootfs / ext4 rw,errors=remount-ro 0 1\n"
_PARAMETERS = "root=LABEL=cloudimg-rootfs ro console=tty0 console=ttyS0,115200"
_ENTRY = f"""\
title Debian
linux /vmlinuz
initrd /initrd.img
options {_PARAMETERS}
"""
_BIOS_ENTRY = f"""\
DEFAULT debian
LABEL debian
LINUX /vmlinuz
INITRD /initrd.img
APPEND {_PARAMETERS}
"""


def cloud_disk() -> Path:
    """The disk, as qcow2, made once for each state of this file; it takes some minutes."""
    return made_once("cloud", ".qcow2", Path(__file__), _make_apart)


def _make_apart(disk: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="cloud-") as place:
        _make(Path(place))
        (Path(place) / "cloud.qcow2").rename(disk)


def _run(*command: str | Path, data: str | None = None) -> None:
    subprocess.run(command, input=data, text=True, check=True, stdout=subprocess.DEVNULL)


def _make(place: Path) -> None:
    root, esp, disk = place / "root", place / "esp", place / "disk"
    options = ["--quiet", "--mode=root", "--variant=apt", f"--include={','.join(_PACKAGES)}"]
    options += ["--aptopt=APT::Install-Recommends false", "--dpkgopt=force-unsafe-io"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")]
    services = "systemd-networkd systemd-resolved"
    options += [f'--customize-hook=systemctl --root="$1" enable {services}']
    _run("mmdebstrap", *options, "bookworm", root, f"deb {mirror()} bookworm main")
    (root / "etc/systemd/network/80-dhcp.network").write_text(_NETWORK)
    (root / "etc/fstab").write_text(_FSTAB)

    (entry := place / "debian.conf").write_text(_ENTRY)
    (bios_entry := place / "syslinux.cfg").write_text(_BIOS_ENTRY)
    hidden = str(_ESP[0] * _SECTORS_OF_MIB)
    _run("mkfs.vfat", "-h", hidden, "-C", esp, str(_ESP[1] << 10))
    for folder in ("EFI", "EFI/BOOT", "loader", "loader/entries"):
        _run("mmd", "-i", esp, f"::{folder}")
    (kernel,) = root.glob("boot/vmlinuz-*")
    (initrd,) = root.glob("boot/initrd.img-*")
    for source, name in (
        (root / _LOADER, "EFI/BOOT/BOOTX64.EFI"),
        (entry, "loader/entries/debian.conf"),
        (bios_entry, "syslinux.cfg"),
        (kernel, "vmlinuz"),
        (initrd, "initrd.img"),
    ):
        _run("mcopy", "-i", esp, source, f"::{name}")
    _run("syslinux", "--install", esp)

    with disk.open("wb") as file:
        file.truncate((_ROOT[0] + _ROOT[1] + 1) << 20)
    parts = [f"start={start}MiB,size={size}MiB" for start, size in (_ESP, _ROOT)]
    _run("sfdisk", "--quiet", disk, data=_table(*parts))
    file_system = ["-q", "-t", "ext4", "-L", "cloudimg-rootfs", "-d", str(root)]
    place_of_it = ["-E", f"offset={_ROOT[0] << 20},root_owner=0:0"]
    _run("mke2fs", *file_system, *place_of_it, disk, f"{_ROOT[1]}M")
    copy = ["bs=1M", f"seek={_ESP[0]}", "conv=notrunc,sparse", "status=none"]
    _run("dd", f"if={esp}", f"of={disk}", *copy)
    with disk.open("r+b") as file:
        file.write(_BIOS_LOADER.read_bytes())
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, place / "cloud.qcow2")


def _table(system: str, root: str) -> str:
    return f"label: gpt\n{system},type=U,attrs={_BIOS_ATTRIBUTE}\n{root},type=L\n"
