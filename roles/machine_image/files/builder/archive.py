# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of somebody else's root file system: an archive of it, or an image of a container.

What is in it stays as it is, but for some files of /etc. What makes it a machine is put beside it.
"""

from __future__ import annotations

import os
import re
import struct

import oci
from layers import Layers
from programs import BuildError
from streams import Budget, opened
from target import Architecture
from tree import Tree

_OLDEST_PYTHON = 9
_LONGEST_FILE = 1 << 20
# What ELF calls the processors of Debian's architectures.
_PROCESSORS = {
    "amd64": 62,
    "arm64": 183,
    "armhf": 40,
    "ppc64el": 21,
    "riscv64": 243,
    "s390x": 22,
}
# With their modes where there are none. systemd-nspawn, too, would make some, which it cannot in a
# tree of other users.
_FOLDERS = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "lib": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sbin": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var/lib": 0o755,
    "var/tmp": 0o1777,
}
# Ours is the first that is found, by all that calls it.
_BUSYBOX = "usr/local/sbin/busybox"
# What a bootstrap calls by name. Images of containers have no more than they need.
_APPLETS = ("chmod", "mkdir", "mount", "mv", "rm", "sha256sum", "sync")


def build_root(
    root: str, work: str, source: str, architecture: Architecture, megabytes: int, busybox: str
) -> None:
    """Lay out what is at *source* in the empty directory *root*, and make it a machine.

    The files of *source* may have so many *megabytes*; *busybox* is the program. Raises BuildError.
    """
    tree = Tree(root)
    layers = _unpack(source, tree, work, architecture, megabytes)
    if layers.left_out:
        print(f"left out: {layers.left_out} devices and pipes of {source}")
    # Whoever made it may have had a folder of his own for it.
    os.chmod(root, os.stat(root).st_mode & 0o7777 | 0o555)
    _check(tree, architecture)
    for path, mode in _FOLDERS.items():
        tree.make_folder(path, mode)
    with open(busybox, "rb") as file:
        tree.write(_BUSYBOX, file.read(), 0o755)
    for name in _APPLETS:
        if tree.program(name) is None:
            place = os.path.dirname(tree.resolve(_BUSYBOX))
            os.symlink("busybox", os.path.join(place, name))
    _add_user(tree)


def _unpack(
    source: str, tree: Tree, work: str, architecture: Architecture, megabytes: int
) -> Layers:
    if not os.path.exists(source):
        raise BuildError(f"there is no {source} on this host")
    if os.path.isdir(source):
        layout = Tree(source)
        if not oci.is_layout(layout):
            raise BuildError(
                f"the folder {source} is no image of a container (it has no index.json): name such "
                "a folder, or an archive of tar"
            )
        return oci.unpack(layout, architecture, tree, Budget(megabytes))
    budget = Budget(megabytes)
    layers = Layers(tree, budget)
    with opened(source, source, budget) as stream:
        layers.apply(stream, whiteouts=False)
    if not oci.is_layout(tree):
        return layers
    closed = os.path.join(work, "container")
    os.mkdir(closed, 0o700)
    layout = Tree(os.path.join(closed, "layout"))
    os.rename(tree.root, layout.root)
    os.mkdir(tree.root)
    return oci.unpack(layout, architecture, tree, Budget(megabytes))


def _check(tree: Tree, architecture: Architecture) -> None:
    """Raise BuildError, with the way out, where the system lacks what we do not bring."""
    shell, python = tree.resolve("bin/sh"), tree.program("python3")
    if not os.path.isfile(shell):
        raise BuildError(
            "this system has no /bin/sh, by which workers and builds run their scripts: add a "
            "shell to the image"
        )
    if python is None:
        raise BuildError(
            f"this system has no python3, on which the worker runs: add Python 3.{_OLDEST_PYTHON} "
            "or later to the image ('apt-get install python3', 'apk add python3')"
        )
    version = _python_version(tree, python)
    if version is not None and version < _OLDEST_PYTHON:
        raise BuildError(
            f"the python3 of this system is Python 3.{version}, and the worker needs "
            f"3.{_OLDEST_PYTHON} or later: add a newer one to the image, as /usr/local/bin/python3"
        )
    for place in (shell, python):
        with open(place, "rb") as file:
            head = file.read(20)
        if len(head) == 20 and head.startswith(b"\x7fELF"):
            little = head[5] == 1
            (processor,) = struct.unpack("<H" if little else ">H", head[18:])
            if processor != _PROCESSORS[architecture.name]:
                raise BuildError(
                    f"{tree.shown(place)} of this system is not of the architecture "
                    f"{architecture.name}: name the one that it is of (machine_image_architecture)"
                )


def _python_version(tree: Tree, python: str) -> int | None:
    """The minor version of a Python, by names: whatever it is is not run here."""
    prefix = os.path.dirname(os.path.dirname(tree.shown(python)))
    library = tree.resolve(f"{prefix}/lib")
    names = [os.path.basename(python)]
    if os.path.isdir(library):
        names += sorted(os.listdir(library))
    matches = [re.fullmatch(r"python3\.([0-9]{1,4})", name) for name in names]
    versions = [int(match[1]) for match in matches if match]
    # The program's own name, else the newest of the libraries beside it.
    return versions[0] if matches[0] else max(versions, default=None)


def _add_user(tree: Tree) -> None:
    """Add the user and the group build, as whom builds are done, unless they are there."""
    users = _lines(tree, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    groups = _lines(tree, "etc/group", b"root:x:0:\n")
    if any(line[0] == b"build" for line in users):
        return
    taken = {line[2] for line in (*users, *groups) if len(line) > 2}
    number = next(each for each in range(1000, 65000) if b"%d" % each not in taken)
    theirs = [line[2] for line in groups if line[0] == b"build" and len(line) > 2]
    group = int(theirs[0]) if theirs and re.fullmatch(b"[0-9]{1,4}", theirs[0]) else number
    if group == number:
        tree.append("etc/group", b"build:x:%d:\n" % number)
    tree.append("etc/passwd", b"build:x:%d:%d:build:/home/build:/bin/sh\n" % (number, group))
    if tree.read("etc/shadow", _LONGEST_FILE) is not None:
        tree.append("etc/shadow", b"build:!:19000:0:99999:7:::\n")
    os.chown(tree.make_folder("home/build"), number, group)


def _lines(tree: Tree, path: str, initial: bytes) -> list[list[bytes]]:
    """The fields of the lines of a file of /etc, which is made if there is none."""
    text = tree.read(path, _LONGEST_FILE)
    if text is None:
        if os.path.exists(tree.resolve(path)):
            raise BuildError(f"/{path} of this system is no file, or a very long one")
        tree.write(path, initial)
        text = initial
    return [line.split(b":") for line in text.split(b"\n")]
