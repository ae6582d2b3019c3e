# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of projects that nobody here wrote: fetched once, kept, and verified by their digest."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from helpers.images import CACHE

RELEASE = "bookworm"


def debian(package: str, file: str, digest: str) -> Path:
    """Return upstream's archive *file* of a source package of Debian's."""

    def fetch(place: Path) -> None:
        _apt_get("source", "--download-only", "--tar-only", package, place=place)

    return _kept(file, digest, fetch)


def pypi(requirement: str, file: str, digest: str) -> Path:
    """Return the *file* of a release on the index of Python packages: an sdist or a wheel."""
    kind = "--only-binary" if file.endswith(".whl") else "--no-binary"

    def fetch(place: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*pip, "--no-deps", kind, ":all:", requirement], cwd=place, check=True)

    return _kept(file, digest, fetch)


def npm(package: str, file: str, digest: str) -> Path:
    """Return the *file* of a release on the registry of JavaScript packages."""

    def fetch(place: Path) -> None:
        subprocess.run(["npm", "pack", "--silent", package], cwd=place, check=True)

    return _kept(file, digest, fetch)


def source_package(package: str, file: str, digest: str) -> Path:
    """Return a source package of Debian's, unpacked as Debian builds it; *file* is upstream's."""
    archive = debian(package, file, digest)
    tree = archive.parent / f"{package}.tree"
    if not tree.exists():
        _apt_get("source", "--download-only", package, place=archive.parent)
        (description,) = archive.parent.glob(f"{package}_*.dsc")
        command = ["dpkg-source", "--extract", str(description), f"{tree}.new"]
        subprocess.run(command, check=True)
        os.rename(f"{tree}.new", tree)
    return tree


def crates(*packages: str) -> Path:
    """Return the folder with the crates of these packages of Debian's, which apt verifies."""
    place = CACHE / "sources" / f"{packages[0]}.crates"
    if not place.exists():
        new = place.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        _apt_get("download", *packages, place=new)
        for package in new.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", str(package), str(new)], check=True)
        os.rename(new, place)
    return place / "usr" / "share" / "cargo" / "registry"


def unpack(archive: Path, place: Path) -> Path:
    """Unpack an archive into a new folder; the folder with the project."""
    place.mkdir()
    with tarfile.open(archive) as file:
        file.extractall(place, filter="tar")
    entries = list(place.iterdir())
    return entries[0] if len(entries) == 1 else place


def _kept(file: str, digest: str, fetch: Callable[[Path], None]) -> Path:
    place = CACHE / "sources"
    place.mkdir(parents=True, exist_ok=True)
    path = place / file
    with (CACHE / "sources.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists() or _sha256(path) != digest:
            fetch(place)
        assert _sha256(path) == digest, f"{path} is another one: sha256 {_sha256(path)}"
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _apt_get(*arguments: str, place: Path) -> None:
    """Call apt-get with a list of sources of our own, from the mirror that the host uses."""
    state = CACHE / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    targets = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"]
    answer = subprocess.run(targets, check=True, capture_output=True, text=True).stdout
    origins = dict(reversed([line.split() for line in answer.splitlines() if line.count(" ") == 1]))
    mirror = f"{origins['Debian']} {RELEASE} main"
    (state / "sources.list").write_text(f"deb {mirror}\ndeb-src {mirror}\n")
    options = [
        f"-oDir::Etc::sourcelist={state}/sources.list",
        "-oDir::Etc::sourceparts=-",
        f"-oDir::State::lists={state}/lists",
        f"-oDir::Cache={state}",
        "-oAPT::Sandbox::User=root",
    ]
    if not any((state / "lists").glob("*_Packages*")):
        subprocess.run(["apt-get", "-q=2", *options, "update"], check=True)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(
        ["apt-get", "-q=2", *options, *arguments], cwd=place, check=True, env=environment
    )
