# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiny image: busybox and a Python interpreter, laid out from packages."""

from __future__ import annotations

import glob
import os
import shutil
import sys

import packages
from programs import BuildError, run
from target import Architecture

# Libraries of the interpreter and of the compressions in which sources come.
LIBRARIES = ("libc6", "libexpat1", "zlib1g", "libbz2-1.0", "liblzma5")

# What the interpreter needs beside them on some architectures.
MORE_LIBRARIES = {"armhf": ("libgcc-s1",)}

# Parts of the standard library that no worker or build script needs.
PRUNED = (
    "__phello__",
    "ctypes",
    "curses",
    "dbm",
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "sqlite3",
    "test",
    "tkinter",
    "turtledemo",
    "wsgiref",
    "xmlrpc",
)


def build_root(root: str, work: str, apt: packages.Apt, architecture: Architecture) -> None:
    """Lay out the root file system of the tiny image in the empty directory *root*."""
    runner = architecture.runner()
    for name in ("bin", "lib", "lib64", "sbin"):
        os.makedirs(os.path.join(root, "usr", name))
        os.symlink(f"usr/{name}", os.path.join(root, name))
    for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/lib", "var/tmp", "home"):
        os.makedirs(os.path.join(root, name))
    for name in ("tmp", "var/tmp"):
        os.chmod(os.path.join(root, name), 0o1777)

    python = apt.dependency("python3-minimal", r"python3\.\d+-minimal").removesuffix("-minimal")
    wanted = [f"{python}-minimal", f"lib{python}-minimal", f"lib{python}-stdlib", "busybox-static"]
    for path in apt.fetch(
        [*wanted, *LIBRARIES, *MORE_LIBRARIES.get(architecture.name, ())],
        os.path.join(work, "packages"),
    ):
        packages.unpack(path, root)

    _link_applets(root, runner)
    os.symlink(python, os.path.join(root, "usr", "bin", "python3"))
    _prune(os.path.join(root, "usr", "lib", python))
    _compile(root, python, runner)
    _write_etc(os.path.join(root, "etc"))


def _link_applets(root: str, runner: list[str]) -> None:
    for path in run([*runner, os.path.join(root, "bin", "busybox"), "--list-full"]).split():
        link = os.path.join(root, path)
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.lexists(link):
            os.symlink("/bin/busybox", link)


def _prune(library: str) -> None:
    for name in PRUNED:
        shutil.rmtree(os.path.join(library, name), ignore_errors=True)
    for name in glob.glob(os.path.join(library, "config-*")):
        shutil.rmtree(name)


def _compile(root: str, python: str, runner: list[str]) -> None:
    """Compile the standard library, which a slow guest would do at each boot.

    That is done by the image's own interpreter, run through its own loader, unless it is another
    architecture's: the host's does it many times as fast, and the same if it is of that version.
    """
    library = os.path.join(root, "usr", "lib", python)
    arguments = ["-S", "-m", "compileall", "-q", "-s", root, "-p", "/"]
    arguments += ["--invalidation-mode", "unchecked-hash", library]
    if runner and python == f"python{sys.version_info.major}.{sys.version_info.minor}":
        run([sys.executable, *arguments])
        return
    libraries = glob.glob(os.path.join(root, "lib", "*-linux-gnu*"))
    loaders = [
        path for place in libraries for path in glob.glob(os.path.join(place, "ld*.so.[0-9]"))
    ]
    if len(loaders) != 1 or len(libraries) != 1:
        raise BuildError(f"unexpected layout of libc6: loaders {loaders}, libraries {libraries}")
    interpreter = [loaders[0], "--library-path", libraries[0], f"{root}/usr/bin/{python}"]
    environment = {"PYTHONHOME": os.path.join(root, "usr")}
    run([*runner, *interpreter, *arguments], environment=environment)


def _write_etc(etc: str) -> None:
    files = {
        "passwd": "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/home/build:/bin/sh\n",
        "group": "root:x:0:\ntty:x:5:\nbuild:x:1000:\n",
        # Without it the resolver asks name servers only.
        "nsswitch.conf": "hosts: files dns\n",
    }
    for name, text in files.items():
        with open(os.path.join(etc, name), "w") as file:
            file.write(text)
    home = os.path.join(os.path.dirname(etc), "home", "build")
    os.makedirs(home)
    os.chown(home, 1000, 1000)
