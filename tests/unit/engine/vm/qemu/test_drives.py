# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What options say about disks, in all the forms that QEMU knows."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.drives import over, uses_of

DISK = "disk.img"
JSON = {"driver": "raw", "node-name": "d", "file": {"driver": "file", "filename": DISK}}


@pytest.mark.parametrize(
    "options",
    [
        "-drive if=none,id=d,file=disk.img,format={}",
        "--drive format={},file=./disk.img",
        "-drive driver={},file.filename=disk.img",
        "-drive driver={},file.driver=file,file.filename=disk.img,cache=unsafe",
        "-drive file=disk.img,format={},serial=a,,format=raw",
        "-blockdev driver={},node-name=d,file.driver=file,file.filename=disk.img",
        "-blockdev {},node-name=d,file.driver=file,file.filename=disk.img",
        "-blockdev driver=file,node-name=f,filename=disk.img -blockdev driver={},file=f",
        "-blockdev {},file=f,node-name=d -blockdev file,node-name=f,filename=disk.img",
        "-drive file=disk.img,format={} -drive file=disk.img.2,format=raw",
        "-drive if=pflash,unit=1,format={},file=disk.img",
    ],
)
def test_a_disk_is_found_and_has_another_format_over_an_overlay(options: str) -> None:
    raw, qcow2 = (options.format(name).split() for name in ("raw", "qcow2"))
    assert uses_of(raw).disks[DISK] == "raw"
    assert over(raw, {DISK}) == qcow2
    assert over(raw, {"another"}) == raw
    # What is qcow2 already stays so.
    assert uses_of(qcow2).disks[DISK] == "qcow2"
    assert over(qcow2, {DISK}) == qcow2


def test_json() -> None:
    options = ["-blockdev", json.dumps(JSON)]
    assert uses_of(options).disks == {DISK: "raw"}
    option, value = over(options, {DISK})
    assert (option, json.loads(value)) == ("-blockdev", {**JSON, "driver": "qcow2"})


@pytest.mark.parametrize(
    "options",
    [
        # QEMU would look into a disk that a guest has written to.
        "-drive file=disk.img",
        "-hda disk.img",
        "-drive file=disk.img,format=vmdk",
        "-drive file=/dev/sda,format=raw",
        "-drive file=../disk.img,format=raw",
        "-drive file=..,format=raw",
        "-drive file=nbd:localhost:1,format=raw",
        "-drive file=json:{},format=raw",
        "-drive driver=raw,file.driver=nbd,file.filename=disk.img",
        # A part of a file, and a file that is opened in two ways.
        "-blockdev driver=raw,offset=512,file.driver=file,file.filename=disk.img",
        "-drive file=disk.img,format=raw -drive file=disk.img,format=qcow2",
        "-drive file=disk.img,format=raw -chardev file,id=c,path=disk.img",
        "-drive file=disk.img,format=raw -fda disk.img",
        "-drive file=disk.img,format=raw -drive file=./disk.img",
        "-blockdev driver=file,node-name=f,filename=disk.img -device virtio-blk-pci,drive=f",
        "-blockdev {",
        "-blockdev []",
        "-drive",
        "disk.img",
        "",
    ],
)
def test_what_is_not_understood_is_left_to_be_copied(options: str) -> None:
    uses = uses_of(options.split())
    assert (uses.disks, set(uses.read_only)) == ({}, set())


@pytest.mark.parametrize(
    "options",
    [
        "-kernel disk.img",
        "-initrd ./disk.img",
        "-cdrom disk.img",
        "-drive file=disk.img,format=raw,media=cdrom",
        "-drive file=disk.img,format=raw,readonly=on",
        "-drive file=disk.img,format=raw,readonly",
        "-blockdev driver=raw,read-only=on,file.driver=file,file.filename=disk.img",
    ],
)
def test_what_is_only_read(options: str) -> None:
    uses = uses_of(options.split())
    assert (uses.disks, set(uses.read_only)) == ({}, {DISK})
    # Not if it is written to as well.
    uses = uses_of([*options.split(), "-chardev", f"file,id=c,path={DISK}"])
    assert (uses.disks, set(uses.read_only)) == ({}, set())
