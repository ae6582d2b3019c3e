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

import archive
import cloud
import debian
import disk
import kernel
import packages
import tiny
from programs import BuildError
from target import Target
from tree import Tree

GUEST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest")

# For the kernel. The disk is thrown away with its machine, so nobody needs its access times;
# "panic=1" with QEMU's -no-reboot ends a machine whose kernel gave up.
APPEND = (
    "root=/dev/vda rw rootflags=noatime init=/usr/sbin/bbot-init quiet panic=1 "
    "oops=panic net.ifnames=0 random.trust_cpu=on mitigations=off tsc=reliable no_timer_check "
    "cryptomgr.notests"
)


@dataclass(frozen=True)
class Image:
    """What is to be built. Sizes in MB, but RAM in KiB.

    `archive` has the root file system, if it is there: ours, or, of the variant archive, that of
    somebody else, or an image of a container. `service` is the script that makes it an
    auxiliary machine, which runs that instead of a worker. One of the `kind` kvm is a disk with a
    kernel for QEMU, one of the kind nspawn a root file system tree for a container. The variant
    cloud is a machine of the disk `cloud`, which its `firmware`, bios or uefi, boots.
    """

    target: Target
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
    cloud: str | None = None
    firmware: str = "bios"
    kind: str = "kvm"

    def manifest(self, options: list[str]) -> str:
        """The machine manifest; its *options* stand for QEMU's disk and network.

        The default machine type, pc, tells a device's interrupt by an ACPI program that takes
        a slow guest a tenth of a second, for each device.
        """
        header = "role: auxiliary\n" if self.service else ""
        for name, kib in (("minimum", self.ram_minimum), ("maximum", self.ram_maximum)):
            header += f"ram-{name}: {kib}\n" if kib is not None else ""
        header = (
            f": 1\nid: {self.identity}\nname: {self.name}\nsummary: {self.summary}\n"
            f"{header}type: {self.kind}\n"
        )
        if self.kind == "nspawn":
            return f"{header}options: disk={self.disk_size}\n"
        architecture = self.target.architecture
        # Where the machine type is not told the agent has one for the architecture.
        machine = ["-machine q35"] if architecture.cpu == "x86_64" else []
        network = [
            "-netdev tap,id=net0,ifname=?,script=no,downscript=no",
            f"-device virtio-net-{architecture.bus},netdev=net0,mac=?",
        ]
        lines = "".join(f"{line}\n" for line in [*machine, *options, *network])
        return f"{header}options:\\\n{lines}\\\n"

    def options(self) -> list[str]:
        """Lines of options for a kernel of ours and the disk that is made of a directory."""
        architecture = self.target.architecture
        console = f"console={architecture.console}"
        append = " ".join(word for word in (APPEND, console, self.append) if word)
        return [
            "-kernel vmlinuz",
            "-initrd initrd.img",
            f'-append "{append}"',
            "-drive if=none,id=disk0,file=disk.img,format=raw,cache=unsafe",
            f"-device virtio-blk-{architecture.bus},drive=disk0",
        ]


def build(image: Image, destination: str) -> None:
    """Build the image and put it where *destination* was. Raises BuildError; then that is as
    before.
    """
    destination = os.path.abspath(destination)
    with _workplace(destination) as work:
        output = os.path.join(work, "image")
        os.makedirs(output)
        if image.cloud:
            options = cloud.prepare(image.cloud, image.firmware, GUEST, image.name, output)
        else:
            options = _build_root(image, work, output)
        for name, text in (
            ("manifest", image.manifest(options)),
            ("fingerprint", image.fingerprint),
        ):
            with open(os.path.join(output, name), "w") as file:
                file.write(text.rstrip("\n") + "\n")
        os.chmod(output, 0o755)
        if os.path.exists(destination):
            os.rename(destination, os.path.join(work, "former"))
        os.rename(output, destination)


def _build_root(image: Image, work: str, output: str) -> list[str]:
    """Put what is made of packages into the directory *output*; options for QEMU.

    That is a disk and a kernel, or a tree for a container.
    """
    container = image.kind == "nspawn"
    root = os.path.join(output if container else work, "tree", "root")
    os.makedirs(root)
    if image.variant == "archive":
        # Somebody of this host may have put a program with the set-user-ID bit into it.
        os.chmod(os.path.dirname(root), 0o700)
    target, sources = image.target, image.sources
    if not sources and not target.is_host:
        sources = debian.sources_of(target)
    apt = packages.apt_for(target, sources, work)
    guest_kernel = None if container else kernel.unpack(work, target.architecture, apt)
    busybox = os.path.join(root, "bin", "busybox")
    if image.variant == "tiny":
        tiny.build_root(root, work, apt, target.architecture)
    elif image.variant == "archive":
        busybox = packages.busybox(apt, work)
        archive.build_root(
            root, work, str(image.archive), target.architecture, image.disk_size, busybox
        )
    else:
        if image.archive:
            debian.unpack_root(image.archive, root)
        else:
            debian.build_root(root, work, target, image.packages, sources)
    if guest_kernel is not None and image.variant != "tiny":
        kernel.install_modules(guest_kernel, Tree(root))
    install_guest_files(root, image.name)
    if image.service:
        _install(image.service, Tree(root), "etc/bbot/service")
    if guest_kernel is None:
        # It has programs with the set-user-ID bit, and users that are others on this host.
        os.chmod(os.path.dirname(root), 0o700)
        return []
    kernel.write_initramfs(
        guest_kernel,
        busybox,
        os.path.join(GUEST, "initramfs-init"),
        os.path.join(output, "initrd.img"),
    )
    shutil.copyfile(guest_kernel.image, os.path.join(output, "vmlinuz"))
    disk.write(root, os.path.join(output, "disk.img"), image.disk_size)
    return image.options()


def install_guest_files(root: str, name: str) -> None:
    """Put the boot stub into the root file system, whatever links that has."""
    tree = Tree(root)
    places = {
        "bbot-init": "usr/sbin/bbot-init",
        "udhcpc": "etc/bbot/udhcpc",
        "power-button": "etc/bbot/acpi/PWRF/00000080",
    }
    for source, place in places.items():
        _install(os.path.join(GUEST, source), tree, place)
    tree.make_folder("var/lib/bbot")
    for place, text in _configuration(name).items():
        tree.write(f"etc/{place}", text.encode())


def _install(program: str, tree: Tree, place: str) -> None:
    with open(program, "rb") as file:
        tree.write(place, file.read(), 0o755)


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
