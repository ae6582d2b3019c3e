# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Root file systems that know nothing of us, as archives and as images of containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from .images import BUILDER, made_once, mirror, nspawn_image

_PACKAGES = ("gcc", "libc6-dev", "make", "python3")
_CAPABLE = ("iputils-ping", "libcap2-bin")


def debian_archive() -> Path:
    """An archive of Debian with a compiler, as mmdebstrap makes it; made once."""
    return made_once("root", ".tar.zst", Path(__file__), _make_debian)


def _make_debian(place: Path) -> None:
    options = ["--quiet", "--mode=root", "--variant=essential"]
    options += [f"--include={','.join((*_PACKAGES, *_CAPABLE))}"]
    options += ["--aptopt=APT::Install-Recommends false", "--dpkgopt=force-unsafe-io"]
    options += ['--customize-hook=chroot "$1" setcap cap_net_raw=ep /usr/bin/ping']
    _run("mmdebstrap", *options, "bookworm", place, f"deb {mirror()} bookworm main")


def odd_archive(folder: Path) -> Path:
    """An archive of a system like no Debian: few folders, nothing in /etc, Python in /opt.

    /bin and /lib are folders of their own, and there are no programs but a shell's.
    """
    tiny, root = nspawn_image() / "tree" / "root", folder / "odd"
    for name in ("bin", "lib64", "opt/python/bin", "usr/local/bin", "opt/python/lib"):
        (root / name).mkdir(parents=True)
    shutil.copy2(tiny / "bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    libraries = "x86_64-linux-gnu"
    shutil.copytree(tiny / "usr/lib" / libraries, root / "lib" / libraries, symlinks=True)
    loader = "ld-linux-x86-64.so.2"
    (root / "lib64" / loader).symlink_to(f"../lib/{libraries}/{loader}")
    (python,) = (tiny / "usr/bin").glob("python3.*")
    shutil.copy2(python, root / "opt/python/bin")
    shutil.copytree(tiny / "usr/lib" / python.name, root / "opt/python/lib" / python.name)
    (root / "usr/local/bin/python3").symlink_to(f"/opt/python/bin/{python.name}")
    # It was made in a folder that nobody else could enter.
    root.chmod(0o700)
    made = folder / "odd.tar.zst"
    _run("tar", "--create", "--zstd", "--sort=name", "-C", root, "-f", made, ".")
    return made


def oci_layout(folder: Path) -> Path:
    """An image of two layers in OCI's layout, made by umoci of what the tiny image is made of.

    The second layer takes a file and a folder of the first away, and brings others.
    """
    layout, bundle = folder / "layout", folder / "bundle"
    image, root = f"{layout}:test", bundle / "rootfs"
    _run("umoci", "init", "--layout", layout)
    _run("umoci", "new", "--image", image)
    _run("umoci", "unpack", "--image", image, bundle)
    _run("cp", "-a", f"{nspawn_image() / 'tree' / 'root'}/.", root)
    for name in ("usr/sbin/bbot-init", "etc/hosts", "etc/hostname", "home/build"):
        place = root / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    shutil.rmtree(root / "etc/bbot")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "srv/gone").mkdir(parents=True)
    (root / "srv/gone/file").write_text("of the first layer")
    (root / "srv/old").write_text("of the first layer")
    (root / "srv/linked").hardlink_to(root / "srv/old")
    (root / "srv/old").chmod(0o4755)
    _run("umoci", "repack", "--image", image, bundle)
    shutil.rmtree(bundle)
    _run("umoci", "unpack", "--image", image, bundle)
    shutil.rmtree(root / "srv/gone")
    (root / "srv/old").unlink()
    (root / "srv/new").write_text("of the second layer")
    os.chown(root / "srv/new", 12, 34)
    os.setxattr(root / "srv/new", "user.note", b"kept")
    _run("umoci", "repack", "--image", image, bundle)
    shutil.rmtree(bundle)
    return layout


def build(source: Path, image: Path, *more: str, **options: t.Any) -> Path:
    """The folder with the image of the variant archive that is built of ``source``."""
    facts = ["--name", image.name, "--id", f"{image.name}-1", "--summary", "A test"]
    command = [sys.executable, BUILDER, "--variant", "archive", "--archive", source, *facts]
    _run(*command, "--fingerprint", "f", "--disk-size", "1024", *more, image, **options)
    return image


def _run(*command: str | Path, **options: t.Any) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, text=True, **options)
