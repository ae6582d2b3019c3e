# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Disks that are a small file over another one, which they read where they have nothing.

The file is QEMU's qcow2 (docs/interop/qcow2 in QEMU's sources), an empty one, written here:
`qemu-img create` does the same, takes 30 ms for it, and is one more package.

The overlay of the disk `x` is called `x`, too; what it lies over is in the same directory
as `.x.bbot-base-0`. An overlay over an overlay has the lower one as `.x.bbot-base-1`, and so on.
"""

from __future__ import annotations

import os
import re
import struct

from .protocol import StorageError

QCOW2 = "qcow2"
# What can lie under an overlay: of these we know how large the disk in them is.
FORMATS = ("raw", QCOW2)

_BASE = re.compile(r"\.(.+)\.bbot-base-[0-9]{1,3}", re.DOTALL)

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_MAGIC = b"QFI\xfb"
_VERSION = 3
_REFCOUNT_ORDER = 4
# magic, version, backing file's offset and size, cluster bits, size, crypt, L1 size, L1 offset,
# refcount table's offset and clusters, snapshots and their offset, three sets of features,
# refcount order, length of the header.
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_EXTENSION = struct.Struct(">II")
_BACKING_FORMAT = 0xE2792ACA


def base_name(disk: str, number: int) -> str:
    """The name of the file number `number` under the overlay `disk`."""
    return f".{disk}.bbot-base-{number}"


def base_of(name: str) -> str | None:
    """The disk that the file `name` lies under; None if it is no such file."""
    match = _BASE.fullmatch(name)
    return match[1] if match else None


def overlays(directory: str) -> set[str]:
    """The disks in `directory` that are overlays. Raises OSError."""
    return {base for name in os.listdir(directory) if (base := base_of(name))}


def make_overlay(path: str, base: str, base_format: str, size: int) -> None:
    """Make the new file `path` an overlay, of a disk of `size` bytes, over `base` beside it.

    Raises OSError.
    """
    # Clusters: header, refcount table, refcount block, then the L1 table.
    l1_size = -(-size // (_CLUSTER * _CLUSTER // 8))
    l1_clusters = max(1, -(-l1_size * 8 // _CLUSTER))
    header = _EXTENSION.pack(_BACKING_FORMAT, len(base_format))
    header += base_format.encode().ljust(-(-len(base_format) // 8) * 8, b"\0")
    header += _EXTENSION.pack(0, 0)
    name = os.fsencode(base)
    fields = _HEADER.pack(
        *(_MAGIC, _VERSION, _HEADER.size + len(header), len(name), _CLUSTER_BITS, size, 0),
        *(l1_size, 3 * _CLUSTER, _CLUSTER, 1, 0, 0, 0, 0, 0, _REFCOUNT_ORDER, _HEADER.size),
    )
    used = 3 + l1_clusters
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(fields + header + name)
        file.seek(_CLUSTER)
        file.write((2 * _CLUSTER).to_bytes(8, "big"))
        file.seek(2 * _CLUSTER)
        file.write(b"\0\1" * used)
        file.truncate(used * _CLUSTER)


def disk_size(path: str, disk_format: str) -> int:
    """The size, in bytes, of the disk in the file `path`. Raises StorageError and OSError."""
    if disk_format == "raw":
        # QEMU reads what is missing of the last sector as zeros.
        return -(-os.stat(path).st_size // 512) * 512
    with open(path, "rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < 72 or not head.startswith(_MAGIC):
        raise StorageError(f"{path} is said to be qcow2, and is not", culprit="machine")
    return int.from_bytes(head[24:32], "big")
