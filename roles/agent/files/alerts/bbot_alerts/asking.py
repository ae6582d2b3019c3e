# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of the host: the agents' state, and for which toolchains there should be some."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

# Seconds.
_PATIENCE = 20.0
_ENDING = ".options"


class AskingError(Exception):
    """A state that could not be had; the text says why."""


def ask(options_file: str) -> t.Any:
    """Return what `bbot-agent status` says. Raises AskingError."""
    command = ["bbot-agent", "status", "--json", "--options-file", options_file]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AskingError(f"it has not answered within {_PATIENCE:g} s") from error
    except OSError as error:
        raise AskingError(str(error)) from error
    if done.returncode != 0:
        raise AskingError(" ".join(done.stderr.split()) or f"its status is {done.returncode}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise AskingError("what it says is no JSON") from error


def wanted(options_file: str) -> list[str]:
    """Return the toolchains whose agents have options beside this file. Raises OSError."""
    names = os.listdir(os.path.dirname(os.path.abspath(options_file)))
    return sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING))
