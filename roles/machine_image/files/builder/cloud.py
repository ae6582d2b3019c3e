# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of a cloud image: its disk as it is, and a seed for cloud-init that brings our stub.

The seed is what cloud-init's data source NoCloud looks for: a file system with the label CIDATA
and the files user-data and meta-data.
"""

from __future__ import annotations

import json
import os
import re
import shutil

from programs import BuildError, run

SEED = "seed.img"
VARIABLES = "OVMF_VARS.fd"
_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
_VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"
_STUB, _UNIT = "/usr/local/sbin/bbot-stub", "/etc/systemd/system/bbot-stub.service"
_KIB = 1024


def prepare(source: str, firmware: str, guest: str, name: str, output: str) -> list[str]:
    """Put disk, seed and, for UEFI, variables into the directory *output*.

    *source* is the cloud image, which is only read, and *guest* the directory of our files.
    Returns lines of options for QEMU. Raises BuildError.
    """
    disk = os.path.join(output, "disk.img")
    run(["cp", "--sparse=always", "--reflink=auto", "--", source, disk])
    os.chmod(disk, 0o644)
    _write_seed(guest, name, output)
    lines = []
    if firmware == "uefi":
        for path in (_CODE, _VARIABLES):
            if not os.path.exists(path):
                raise BuildError(f"no {path} on this host: install the package ovmf")
        shutil.copyfile(_VARIABLES, os.path.join(output, VARIABLES))
        lines += [
            f"-drive if=pflash,unit=0,format=raw,readonly=on,file={_CODE}",
            f"-drive if=pflash,unit=1,format=raw,file={VARIABLES}",
        ]
    return [
        *lines,
        f"-drive if=none,id=disk0,file=disk.img,format={_format(disk)},cache=unsafe",
        "-device virtio-blk-pci,drive=disk0,bootindex=1",
        f"-drive if=none,id=seed,file={SEED},format=raw,readonly=on",
        "-device virtio-blk-pci,drive=seed",
    ]


def _format(disk: str) -> str:
    """The disk's format. A raw one begins with a partition table, which is code or zeros."""
    with open(disk, "rb") as file:
        return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"


def _write_seed(guest: str, name: str, output: str) -> None:
    hostname = re.sub("[^A-Za-z0-9-]", "-", name)
    files = {
        "meta-data": f"instance-id: bbot-{hostname}\nlocal-hostname: {hostname}\n",
        # YAML is a superset of JSON.
        "user-data": f"#cloud-config\n{json.dumps(_user_data(guest), indent=1)}\n",
    }
    seed = os.path.join(output, SEED)
    run(["mkfs.vfat", "-n", "CIDATA", "-C", seed, str(2 * _KIB)])
    for file_name, text in files.items():
        path = os.path.join(output, f".{file_name}")
        with open(path, "w") as file:
            file.write(text)
        run(["mcopy", "-i", seed, path, f"::{file_name}"])
        os.unlink(path)
    os.chmod(seed, 0o644)


def _user_data(guest: str) -> dict[str, object]:
    """What cloud-init is to do at the first boot, which is the bootstrap."""
    unit = os.path.basename(_UNIT)
    files = [("cloud-stub", _STUB, "0755"), ("cloud-stub.service", _UNIT, "0644")]
    written = []
    for source, path, mode in files:
        with open(os.path.join(guest, source)) as file:
            written.append({"path": path, "permissions": mode, "content": file.read()})
    return {
        "users": ["default", {"name": "build", "shell": "/bin/sh"}],
        "write_files": written,
        "runcmd": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", unit],
            ["systemctl", "start", "--no-block", unit],
        ],
    }
