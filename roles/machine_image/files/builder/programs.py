# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs, and the one exception that ends a build."""

from __future__ import annotations

import os
import subprocess


class BuildError(Exception):
    """Why there is no image, in one sentence."""


def run(
    arguments: list[str],
    *,
    directory: str | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """Run a program to its end; what it printed. Raises BuildError with its last words."""
    try:
        done = subprocess.run(
            arguments,
            cwd=directory,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise BuildError(f"{arguments[0]} is not installed on this host") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-12:]
        raise BuildError(
            f"{arguments[0]} failed with exit status {done.returncode}: " + "\n".join(words)
        )
    return done.stdout.decode(errors="replace")
