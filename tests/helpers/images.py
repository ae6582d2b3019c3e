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
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "roles" / "machine_image" / "files" / "builder"
DEFAULTS = ROOT / "roles" / "machine_image" / "defaults" / "main.yml"
CACHE = ROOT / ".cache" / "tests"

# The id in the manifest of the image.
TINY_ID = "tiny-1"


def tiny_image() -> Path:
    """The folder with the tiny image, from the cache where its builder is unchanged."""
    return _image("tiny", "96", "A tiny machine")


def debian_image() -> Path:
    """The same for the image with compilers. It takes minutes, and gigabytes, to build."""
    packages = yaml.safe_load(DEFAULTS.read_text())["machine_image_packages"]
    return _image("debian", "8192", "A Debian machine", *(f"--package={p}" for p in packages))


def _image(variant: str, size: str, summary: str, *more: str) -> Path:
    digest = hashlib.sha256()
    files = [path for path in BUILDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted(files):
        digest.update(f"{path.relative_to(BUILDER)}\0".encode() + path.read_bytes())
    image = CACHE / f"{variant}-{digest.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.is_dir():
            for former in CACHE.glob(f"{variant}-*"):
                shutil.rmtree(former)
            facts = ["--name", variant, "--id", f"{variant}-1", "--summary", summary, *more]
            command = [sys.executable, str(BUILDER), "--variant", variant, "--disk-size", size]
            command += [*facts, "--fingerprint", digest.hexdigest(), f"{image}.new"]
            subprocess.run(command, check=True)
            os.rename(f"{image}.new", image)
    return image
