# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machine images, built once for each state of their builder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles" / "machine_image"
BUILDER = ROLE / "files" / "builder"
CACHE = ROOT / ".cache" / "tests"
PACKAGES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
FLAVOURS = sorted(PACKAGES["__machine_image_flavours"])

# The id in the manifest of the image.
TINY_ID = "tiny-1"


def tiny_image() -> Path:
    """The folder with the tiny image, from the cache where its builder is unchanged."""
    return _image("tiny", "96", "A tiny machine")


def foreign_image(
    architecture: str, cpu: str, release: str = "bookworm", packages: tuple[str, ...] = ()
) -> Path:
    """The same for another architecture: Debian's name for it, the one in the machine's name.

    With ``packages`` it is Debian with them, and takes many minutes to build.
    """
    variant, size = ("debian", "2048") if packages else ("tiny", "96")
    more = ["--architecture", architecture, "--release", release, "--name", f"{cpu}-{variant}"]
    # Without updates: not every mirror has all of them for all architectures.
    more += ["--source", f"deb {mirror()} {release} main"]
    more += [f"--package={each}" for each in packages]
    return _image(variant, size, "A foreign machine", *more, name=f"{variant}-{cpu}-{release}")


def nspawn_image() -> Path:
    """The same for a container's root file system."""
    return _image("tiny", "96", "A tiny container", "--type=nspawn", name="nspawn")


def compiler_image(kind: str) -> Path:
    """The same for a machine of this ``kind``, kvm or nspawn, with a C compiler and make."""
    more = [f"--type={kind}", "--package=build-essential"]
    return _image("debian", "1024", "A compiler", *more, name=f"compiler-{kind}")


def release_image(release: str, kind: str, machine: str) -> Path:
    """The same for one of another release, of this ``kind``, with what builds C with CMake."""
    more = [f"--type={kind}", "--release", release, "--name", machine]
    more += [f"--source=deb {mirror()} {release} main"]
    more += [f"--package={each}" for each in ("cmake", "gcc", "libc6-dev", "make")]
    return _image("debian", "2048", "A CMake machine", *more, name=machine)


def service_image(script: Path) -> Path:
    """The same for a tiny auxiliary machine that runs the service ``script``."""
    more = ["--service", str(script), "--ram-minimum", str(128 << 10)]
    digest = hashlib.sha256(script.read_bytes()).hexdigest()[:8]
    return _image("tiny", "96", "A tiny service", *more, name=f"service-{digest}")


def postgresql_image() -> Path:
    """The same for an auxiliary machine with the service that our role brings."""
    service = ROLE / "files" / "services" / "postgresql"
    packages = [f"--package={each}" for each in PACKAGES["__machine_image_services"]["postgresql"]]
    digest = hashlib.sha256(service.read_bytes()).hexdigest()[:8]
    more = ["--service", str(service), "--ram-minimum", str(512 << 10), *packages]
    return _image("debian", "2048", "PostgreSQL", *more, name=f"postgresql-{digest}")


def client_image() -> Path:
    """The same for a machine that builds with a client of PostgreSQL, and nothing else."""
    return _image("debian", "1024", "A client", "--package=postgresql-client", name="client")


def curl_image() -> Path:
    """The same for a machine with what a worker in shell needs: curl, and the lz4 command."""
    return _image(
        "debian", "1024", "A foreign worker", "--package=curl", "--package=lz4", name="curl"
    )


def debian_image(*flavours: str) -> Path:
    """The same for the image with compilers, of the default flavours unless some are named.

    It takes minutes, and gigabytes, to build.
    """
    packages = flavour_packages(*flavours)
    name = "-".join(["debian", *sorted(flavours)])
    return _image("debian", "8192", "A Debian machine", *packages, name=name)


def flavour_packages(*flavours: str) -> list[str]:
    """The builder's options for the packages of these flavours, else of the default ones."""
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    packages = set(PACKAGES["__machine_image_common"])
    for flavour in flavours or defaults["machine_image_flavours"]:
        packages |= set(PACKAGES["__machine_image_flavours"][flavour])
    return [f"--package={package}" for package in sorted(packages)]


def mirror() -> str:
    """Where the host has its own release of Debian from."""
    form = "$(ORIGIN) $(COMPONENT) $(SUITE) $(REPO_URI)"
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return next(line[3] for line in lines if line[:2] == ["Debian", "main"] and "-" not in line[2])


def made_once(name: str, ending: str, recipe: Path, make: Callable[[Path], None]) -> Path:
    """A file of the cache, which ``make`` makes at another place first; once for each ``recipe``.

    That is the file of the code that says how.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]
    made = CACHE / f"{name}-{digest}{ending}"
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for former in CACHE.glob(f"{name}-{'?' * 12}{ending}"):
                former.unlink()
            half = CACHE / f"{name}-half{ending}"
            make(half)
            half.rename(made)
    return made


def _image(variant: str, size: str, summary: str, *more: str, name: str = "") -> Path:
    name = name or variant
    digest = hashlib.sha256(" ".join(more).encode())
    files = [path for path in BUILDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted(files):
        digest.update(f"{path.relative_to(BUILDER)}\0".encode() + path.read_bytes())
    image = CACHE / f"{name}-{digest.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.is_dir():
            for former in CACHE.glob(f"{name}-{'?' * 12}"):
                shutil.rmtree(former)
            facts = ["--name", variant, "--id", f"{variant}-1", "--summary", summary, *more]
            command = [sys.executable, str(BUILDER), "--variant", variant, "--disk-size", size]
            command += [*facts, "--fingerprint", digest.hexdigest(), f"{image}.new"]
            subprocess.run(command, check=True)
            os.rename(f"{image}.new", image)
    return image
