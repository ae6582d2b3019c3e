# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines without an agent: QEMU by itself, and our TFTP server on the loopback.

The network is QEMU's own: its gateway address leads to the host's loopback. No bridge, no rights.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Event, Server

from .toolchains import checksums, worker_files

# Without KVM, on a busy machine, with a task's own time on top.
PATIENCE = 180.0

TASK = """\
: 1
name: libhello
version: 1.2.3
repository-url: tftp:source.tar
target: x86_64-linux-gnu
machine: tiny
"""


@contextlib.contextmanager
def machine(
    directory: Path, port: int, *devices: str, ram: int = 768
) -> Iterator[subprocess.Popen[bytes]]:
    """The image's machine, asking the loopback's port; its console is in ``console.log``."""
    options = (directory / "manifest").read_text()
    match = re.search(r'-append "([^"]+)"', options)
    if not match:
        raise AssertionError(f"no kernel parameters in {options}")
    command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max"]
    command += ["-m", str(ram), "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-serial", f"file:{directory / 'console.log'}", "-device", "virtio-rng-pci"]
    command += ["-kernel", "vmlinuz", "-initrd", "initrd.img"]
    command += ["-append", f"{match[1]} bbot.tftp=10.0.2.2:{port}"]
    command += ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0"]
    command += ["-drive", "if=none,id=disk0,file=disk.img,format=raw,cache=unsafe"]
    command += ["-device", "virtio-blk-pci,drive=disk0", *devices]
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def copy_image(source: Path, directory: Path) -> Path:
    directory.mkdir()
    for name in ("manifest", "vmlinuz", "initrd.img", "disk.img"):
        subprocess.run(["cp", "--sparse=always", source / name, directory / name], check=True)
    return directory


def bootstrap(image: Path, place: Path) -> tuple[Path, list[Event]]:
    """Make a bootstrapped copy of the image in the directory *place*.

    Returns its directory, and what the machine asked for meanwhile; the manifest that it
    uploaded is ``place/manifest``.
    """
    directory = copy_image(image, place / "machine")
    get, put = place / "get", place / "put"
    get.mkdir()
    put.mkdir()
    contents = worker_files()
    contents["sha256sums"] = checksums(contents)
    for name, content in contents.items():
        (get / name).write_bytes(content)
    events: list[Event] = []
    with (
        Server(
            "127.0.0.1", 0, get_root=str(get), put_root=str(put), on_event=events.append
        ) as server,
        machine(directory, server.port) as process,
    ):
        if not server.serve(PATIENCE, (put / "manifest").exists):
            raise AssertionError((directory / "console.log").read_text())
        # By itself, nobody pressing the power button.
        if process.wait(PATIENCE) != 0:
            raise AssertionError("the bootstrapped machine did not end well")
    (place / "manifest").write_bytes((put / "manifest").read_bytes())
    return directory, events


def perform(
    bootstrapped: Path,
    place: Path,
    files: dict[str, bytes],
    ram: int = 768,
    patience: float = PATIENCE,
) -> tuple[dict[str, str], str]:
    """Do a task in a copy of the bootstrapped machine; *files* are what the agent offers.

    Returns the result's fields and what was written to the progress port.
    """
    directory = copy_image(bootstrapped, place / "machine")
    for name in ("get", "put"):
        (place / name).mkdir()
    for name, data in files.items():
        (place / "get" / name).write_bytes(data)
    devices = ["-device", "virtio-serial-pci", "-chardev"]
    devices += [f"file,id=progress,path={place}/progress"]
    devices += ["-device", "virtserialport,chardev=progress,name=bbot.progress"]
    roots = (str(place / "get"), str(place / "put"))
    with (
        Server("127.0.0.1", 0, get_root=roots[0], put_root=roots[1]) as server,
        machine(directory, server.port, *devices, ram=ram),
    ):
        if not server.serve(patience, (place / "put" / "manifest").exists):
            raise AssertionError((directory / "console.log").read_text())
    result = parse((place / "put" / "manifest").read_bytes())[0]
    return {pair.name: pair.value for pair in result}, (place / "progress").read_text()


def pack(files: dict[str, str]) -> bytes:
    """An archive of sources; what begins with ``#!`` is executable."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"hello-1/{name}")
            member.mode = 0o755 if text.startswith("#!") else 0o644
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
