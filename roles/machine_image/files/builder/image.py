# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine image: its directory with disk, kernel, initramfs and machine manifest."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import debian
import disk
import kernel
import tiny
from programs import BuildError

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")

# For the kernel. The disk is thrown away with its machine, so nobody needs its access times;
# "panic=1" with QEMU's -no-reboot ends a machine whose kernel gave up.
APPEND = (
    "root=/dev/vda rw rootflags=noatime init=/sbin/bbot-init console=ttyS0 quiet panic=1 "
    "oops=panic net.ifnames=0 random.trust_cpu=on mitigations=off tsc=reliable no_timer_check "
    "cryptomgr.notests"
)


@dataclass(frozen=True)
class Image:
    """What is to be built. Sizes in MB, but RAM in KiB.

    `archive` has the root file system, if it is there. `service` is the script that makes it an
    auxiliary machine, which runs that instead of a worker.
    """

    variant: str
    name: str
    identity: str
    summary: str
    fingerprint: str
    disk_size: int
    packages: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    append: str = ""
    service: str | None = None
    ram_minimum: int | None = None
    ram_maximum: int | None = None
    archive: str | None = None

    def manifest(self) -> str:
        """The machine manifest; its options stand for QEMU's disk and network.

        The default machine type, pc, tells a device's interrupt by an ACPI program that takes
        a slow guest a tenth of a second, for each device.
        """
        append = " ".join(word for word in (APPEND, self.append) if word)
        header = "role: auxiliary\n" if self.service else ""
        for name, kib in (("minimum", self.ram_minimum), ("maximum", self.ram_maximum)):
            header += f"ram-{name}: {kib}\n" if kib is not None else ""
        return (
            f": 1\nid: {self.identity}\nname: {self.name}\nsummary: {self.summary}\n"
            f"{header}type: kvm\noptions:\\\n"
            "-machine q35\n"
            "-kernel vmlinuz\n"
            "-initrd initrd.img\n"
            f'-append "{append}"\n'
            "-netdev tap,id=net0,ifname=?,script=no,downscript=no\n"
            "-device virtio-net-pci,netdev=net0,mac=?\n"
            "-drive if=none,id=disk0,file=disk.img,format=raw,cache=unsafe\n"
            "-device virtio-blk-pci,drive=disk0\n"
            "\\\n"
        )


def build(image: Image, destination: str) -> None:
    """Build the image and put it where *destination* was. Raises BuildError; then that is as
    before.
    """
    destination = os.path.abspath(destination)
    with _workplace(destination) as work:
        output, root = os.path.join(work, "image"), os.path.join(work, "root")
        os.makedirs(output)
        os.makedirs(root)
        guest_kernel = kernel.unpack(work)
        if image.variant == "tiny":
            tiny.build_root(root, work)
        else:
            if image.archive:
                debian.unpack_root(image.archive, root)
            else:
                debian.build_root(root, work, image.packages, image.sources)
            kernel.install_modules(guest_kernel, root)
        install_guest_files(root, image.name)
        if image.service:
            _install(image.service, os.path.join(root, "etc/bbot/service"))
        kernel.write_initramfs(
            guest_kernel,
            os.path.join(root, "bin", "busybox"),
            os.path.join(GUEST, "initramfs-init"),
            os.path.join(output, "initrd.img"),
        )
        shutil.copyfile(guest_kernel.image, os.path.join(output, "vmlinuz"))
        disk.write(root, os.path.join(output, "disk.img"), image.disk_size)
        for name, text in (("manifest", image.manifest()), ("fingerprint", image.fingerprint)):
            with open(os.path.join(output, name), "w") as file:
                file.write(text.rstrip("\n") + "\n")
        os.chmod(output, 0o755)
        if os.path.exists(destination):
            os.rename(destination, os.path.join(work, "former"))
        os.rename(output, destination)


def install_guest_files(root: str, name: str) -> None:
    """Put the boot stub into the root file system."""
    places = {
        "bbot-init": "usr/sbin/bbot-init",
        "udhcpc": "etc/bbot/udhcpc",
        "power-button": "etc/bbot/acpi/PWRF/00000080",
    }
    for source, place in places.items():
        _install(os.path.join(GUEST, source), os.path.join(root, place))
    os.makedirs(os.path.join(root, "var/lib/bbot"), exist_ok=True)
    for place, text in _configuration(name).items():
        target = os.path.join(root, "etc", place)
        if os.path.islink(target):
            os.unlink(target)
        with open(target, "w") as file:
            file.write(text)


def _install(program: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(program, target)
    os.chmod(target, 0o755)


def _configuration(name: str) -> dict[str, str]:
    """Files of /etc that elsewhere an installer writes, by their names.

    Packages are installed with the host's resolv.conf, whose servers a machine would wait for in
    vain: it is left to DHCP.
    """
    hostname = re.sub("[^A-Za-z0-9.-]", "-", name)
    return {
        "hostname": f"{hostname}\n",
        "hosts": (
            f"127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        ),
        "resolv.conf": "",
        # bbot-init writes one at each boot.
        "machine-id": "",
    }


@contextlib.contextmanager
def _workplace(destination: str) -> Iterator[str]:
    """A directory beside the destination, gone afterwards; one build of a kind at a time."""
    parent, name = os.path.split(destination)
    os.makedirs(parent, exist_ok=True)
    with open(os.path.join(parent, f".{name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(f"another build of {destination} is under way") from None
        # Whoever left these behind did not live to remove them.
        for stale in glob.glob(os.path.join(glob.escape(parent), f".{glob.escape(name)}-??????*")):
            shutil.rmtree(stale)
        work = tempfile.mkdtemp(prefix=f".{name}-", dir=parent)
        # apt and what it runs must be able to pass.
        os.chmod(work, 0o755)
        try:
            yield work
        finally:
            shutil.rmtree(work)
