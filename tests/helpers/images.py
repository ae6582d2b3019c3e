# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tiny machine image, built once for each state of its builder."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "roles" / "machine_image" / "files" / "builder"
CACHE = ROOT / ".cache" / "tests"

# The id in the manifest of the image.
TINY_ID = "tiny-1"


def tiny_image() -> Path:
    """The folder with the tiny image, from the cache where its builder is unchanged."""
    digest = hashlib.sha256()
    files = [path for path in BUILDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted(files):
        digest.update(f"{path.relative_to(BUILDER)}\0".encode() + path.read_bytes())
    image = CACHE / f"tiny-{digest.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.is_dir():
            for former in CACHE.glob("tiny-*"):
                shutil.rmtree(former)
            facts = ["--name", "tiny", "--id", TINY_ID, "--summary", "A tiny machine"]
            command = [sys.executable, str(BUILDER), "--variant", "tiny", "--disk-size", "96"]
            command += [*facts, "--fingerprint", digest.hexdigest(), f"{image}.new"]
            subprocess.run(command, check=True)
            os.rename(f"{image}.new", image)
    return image
