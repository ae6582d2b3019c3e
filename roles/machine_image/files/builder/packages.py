# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of the host's own release: finding, fetching, unpacking."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess

from programs import BuildError, run

ARCHIVES = "/var/cache/apt/archives"

# Nobody reads these in a build machine.
USELESS = (
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/info",
    "./usr/share/lintian/overrides",
)


def dependency(package: str, pattern: str) -> str:
    """The dependency of *package* whose name matches: what a metapackage stands for."""
    for line in run(["apt-cache", "depends", package]).splitlines():
        match = re.fullmatch(rf"\s*(?:Pre)?Depends: ({pattern})", line)
        if match:
            return match[1]
    raise BuildError(
        f"apt knows no package {package} that depends on {pattern}: run apt-get update, and see "
        "that the host's sources have it"
    )


def fetch(packages: list[str], directory: str) -> list[str]:
    """Put the newest versions of the packages into *directory*; their paths.

    What apt has downloaded before is taken from its cache.
    """
    os.makedirs(directory, exist_ok=True)
    apt_get = ["apt-get", "--quiet", "--option=APT::Sandbox::User=root", "download"]
    listing = run([*apt_get, "--print-uris", *packages])
    paths, missing = [], []
    entries = re.findall(r"^'\S+' (\S+) \d+ SHA256:([0-9a-f]{64})$", listing, re.MULTILINE)
    if len(entries) != len(set(packages)):
        raise BuildError(f"apt does not say where all of {', '.join(packages)} are: {listing}")
    for name, checksum in entries:
        path = os.path.join(directory, name)
        cached = os.path.join(ARCHIVES, name)
        if os.path.exists(cached) and _sha256(cached) == checksum:
            shutil.copyfile(cached, path)
        else:
            missing.append(name.split("_")[0])
        paths.append(path)
    if missing:
        run([*apt_get, *missing], directory=directory)
    return paths


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(package: str, root: str) -> None:
    """Lay out a package's files, through the links of a merged /usr."""
    exclude = [f"--exclude={path}" for path in USELESS]
    tar = ["tar", "--extract", "--keep-directory-symlink", f"--directory={root}", *exclude]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
    ) as archive:
        unpacked = subprocess.run(tar, stdin=archive.stdout, stderr=subprocess.PIPE, check=False)
    if archive.returncode or unpacked.returncode:
        reason = unpacked.stderr.decode(errors="replace").strip()
        raise BuildError(f"cannot unpack {os.path.basename(package)}: {reason}")
