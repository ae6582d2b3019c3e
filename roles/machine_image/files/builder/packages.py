# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages of a release and an architecture: finding, fetching, unpacking."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import subprocess

from programs import BuildError, run
from target import Target

ARCHIVES = "/var/cache/apt/archives"

# Nobody reads these in a build machine.
USELESS = (
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/info",
    "./usr/share/lintian/overrides",
)


class Apt:
    """apt with some options more: without any, it is that of the host's own release."""

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        self._options = options

    def depends(self, package: str, pattern: str) -> str:
        """The dependency of *package* whose name matches; empty if there is none."""
        for line in run(["apt-cache", *self._options, "depends", package]).splitlines():
            match = re.fullmatch(rf"\s*(?:Pre)?Depends: ({pattern})", line)
            if match:
                return match[1]
        return ""

    def dependency(self, package: str, pattern: str) -> str:
        """The same, where there has to be one: what a metapackage stands for."""
        if found := self.depends(package, pattern):
            return found
        raise BuildError(
            f"apt knows no package {package} that depends on {pattern}: run apt-get update, and "
            "see that the sources have it"
        )

    def fetch(self, packages: list[str], directory: str) -> list[str]:
        """Put the newest versions of the packages into *directory*; their paths.

        What apt has downloaded before is taken from its cache.
        """
        os.makedirs(directory, exist_ok=True)
        apt_get = ["apt-get", *self._options, "--quiet", "--option=APT::Sandbox::User=root"]
        listing = run([*apt_get, "download", "--print-uris", *packages])
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
            run([*apt_get, "download", *missing], directory=directory)
        return paths


def apt_for(target: Target, sources: list[str], work: str) -> Apt:
    """apt for what *target* is: where that is not the host, with lists of its own below *work*."""
    if target.is_host:
        return Apt()
    place, architecture = os.path.join(work, "apt"), target.architecture.name
    for name in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(place, name))
    for name, lines in (("status", []), ("sources.list", sources)):
        with open(os.path.join(place, name), "w") as file:
            file.writelines(f"{line}\n" for line in lines)
    options = (
        f"--option=Dir::State={place}",
        f"--option=Dir::State::status={place}/status",
        f"--option=Dir::State::lists={place}/lists",
        f"--option=Dir::Cache={place}/cache",
        f"--option=Dir::Etc::sourcelist={place}/sources.list",
        "--option=Dir::Etc::sourceparts=/dev/null",
        f"--option=APT::Architecture={architecture}",
        f"--option=APT::Architectures={architecture}",
        "--option=Acquire::Languages=none",
    )
    try:
        run(["apt-get", *options, "--option=APT::Sandbox::User=root", "--error-on=any", "update"])
    except BuildError as error:
        raise BuildError(
            f"no package lists of Debian {target.codename} for {architecture}: {error}\nNames of "
            "sources that have them go to the image's option for sources (machine_image_sources)"
        ) from error
    _check_architecture(os.path.join(place, "lists"), target)
    return Apt(options)


def _check_architecture(lists: str, target: Target) -> None:
    """Raise BuildError if the mirror has nothing for the target's architecture."""
    for path in glob.glob(os.path.join(lists, "*Release")):
        with open(path) as file:
            text = file.read()
        suite = re.search(r"^Codename: (.*)$", text, re.MULTILINE)
        listed = re.search(r"^Architectures: (.*)$", text, re.MULTILINE)
        if suite and listed and suite[1] == target.codename:
            known = listed[1].split()
            if target.architecture.name not in known:
                raise BuildError(
                    f"the mirror has no Debian {target.codename} for {target.architecture.name}, "
                    f"but for {', '.join(known)}: name sources that have it "
                    "(machine_image_sources), or another release"
                )


def busybox(apt: Apt, work: str) -> str:
    """Fetch busybox, which needs no libraries; its path below *work*."""
    place = os.path.join(work, "busybox")
    os.makedirs(place)
    for path in apt.fetch(["busybox-static"], os.path.join(work, "packages")):
        unpack(path, place)
    return os.path.join(place, "bin", "busybox")


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
