# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's kernel, and the initramfs that loads its drivers."""

from __future__ import annotations

import glob
import lzma
import os
import re
import shutil

import packages
from programs import BuildError, run
from target import Architecture
from tree import Tree, remove


class Kernel:
    """An unpacked kernel package."""

    def __init__(self, tree: str, version: str, drivers: tuple[str, ...]) -> None:
        self.version = version
        self.drivers = drivers
        self.modules = os.path.join(tree, "lib", "modules", version)
        # Some architectures have an uncompressed one, and newer releases have it elsewhere.
        images = [
            os.path.join(tree, "boot", f"vmlinuz-{version}"),
            os.path.join(tree, "boot", f"vmlinux-{version}"),
            os.path.join(self.modules, "vmlinuz"),
            os.path.join(self.modules, "vmlinux"),
        ]
        self.image = next((path for path in images if os.path.isfile(path)), images[0])


def unpack(work: str, architecture: Architecture, apt: packages.Apt) -> Kernel:
    """Fetch and unpack the release's kernel for virtual machines."""
    package = apt.dependency(architecture.kernel, r"linux-image-\d\S+")
    tree = os.path.join(work, "kernel")
    os.makedirs(tree)
    version = package.removeprefix("linux-image-")
    wanted = [package]
    if binary := apt.depends(package, re.escape(f"linux-binary-{version}")):
        # Since Debian 14 it is in parts.
        wanted = [binary, f"linux-base-{version}", f"linux-modules-{version}"]
    for path in apt.fetch(wanted, os.path.join(work, "packages")):
        packages.unpack(path, tree)
    if os.path.isdir(os.path.join(tree, "usr", "lib", "modules")):
        os.symlink("usr/lib", os.path.join(tree, "lib"))
    kernel = Kernel(tree, version, architecture.drivers)
    if not os.path.isfile(kernel.image):
        raise BuildError(f"package {package} has no boot/vmlinuz-{version}")
    run(["depmod", "--basedir", tree, version])
    return kernel


def load_order(kernel: Kernel) -> list[str]:
    """The paths of the drivers' module files below the kernel's directory, dependencies first."""
    needs: dict[str, tuple[str, list[str]]] = {}
    with open(os.path.join(kernel.modules, "modules.dep")) as file:
        for line in file:
            path, _dummy, rest = line.partition(":")
            needs[_name(path)] = (path, rest.split())
    with open(os.path.join(kernel.modules, "modules.builtin")) as file:
        built_in = {_name(line.strip()) for line in file}

    wanted = [*kernel.drivers]
    if "ext4" not in built_in:
        # It asks for this by what it does. Newer kernels have no such module.
        wanted += ["crc32c_generic"] if "crc32c_generic" in needs else []
        wanted += ["ext4"]
    order: list[str] = []
    for driver in wanted:
        if driver in built_in:
            continue
        if driver not in needs:
            raise BuildError(f"kernel {kernel.version} has no driver {driver}")
        path, dependencies = needs[driver]
        # modules.dep has all of them, the most basic last.
        for module in [*reversed(dependencies), path]:
            if module not in order:
                order.append(module)
    return order


def _name(path: str) -> str:
    return os.path.basename(path).split(".")[0].replace("-", "_")


def write_initramfs(kernel: Kernel, busybox: str, init: str, output: str) -> None:
    """Write the initramfs, uncompressed: reading a little more beats unpacking it."""
    archive = Cpio()
    for directory in ("bin", "dev", "modules", "proc", "root", "sys"):
        archive.directory(directory)
    with open(busybox, "rb") as file:
        archive.file("bin/busybox", file.read(), 0o755)
    for applet in ("echo", "insmod", "mount", "sh", "sleep", "switch_root"):
        archive.link(f"bin/{applet}", "busybox")
    with open(init, "rb") as file:
        archive.file("init", file.read(), 0o755)
    order = load_order(kernel)
    names = [_name(path) + ".ko" for path in order]
    for path, name in zip(order, names, strict=True):
        archive.file(f"modules/{name}", _read_module(os.path.join(kernel.modules, path)), 0o644)
    archive.file("modules/order", "".join(f"{name}\n" for name in names).encode(), 0o644)
    with open(output, "wb") as file:
        file.write(archive.end())


def _read_module(path: str) -> bytes:
    if path.endswith(".xz"):
        with lzma.open(path) as compressed:
            return compressed.read()
    if not path.endswith(".ko"):
        raise BuildError(f"no way to read the compressed driver {path}")
    with open(path, "rb") as file:
        return file.read()


def install_modules(kernel: Kernel, tree: Tree) -> None:
    """Give an image all the kernel's modules: builds may want loop devices and the like."""
    target = os.path.join(tree.make_folder("lib/modules"), kernel.version)
    remove(target)
    shutil.copytree(kernel.modules, target, symlinks=True)
    for path in glob.glob(os.path.join(target, "kernel", "drivers", "gpu")):
        shutil.rmtree(path)


class Cpio:
    """A cpio archive as the kernel wants it ("newc": initramfs buffer format, kernel docs)."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.inode = 0

    def directory(self, name: str) -> None:
        self._add(name, 0o040755, b"")

    def link(self, name: str, target: str) -> None:
        self._add(name, 0o120777, target.encode())

    def file(self, name: str, content: bytes, mode: int) -> None:
        self._add(name, 0o100000 | mode, content)

    def end(self) -> bytes:
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self.parts)

    def _add(self, name: str, mode: int, content: bytes) -> None:
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (header + encoded, content):
            self.parts.append(part + bytes(-len(part) % 4))
