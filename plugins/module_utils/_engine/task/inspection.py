# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Asking our worker how it would build some sources, before a machine is booted for them."""

from __future__ import annotations

import json
import sys
import typing as t

from ..linux.program import run_program

# Seconds. Looking at sources takes a fraction of one.
_PATIENCE = 120


def inspect(worker: str, tree: str, words: str) -> dict[str, t.Any]:
    """Return what ``worker``, a folder or one file, says of ``tree`` with a target-config.

    ``tree`` is a folder or an archive, ``words`` are the target-config. It says
    `driver`, `reason` and `others`, or `error` with a sentence. With an empty ``tree`` it
    looks at the target-config only.
    """
    # Isolated from the environment's Python paths; nothing is written beside the worker.
    command = [sys.executable, "-I", "-B", worker, "--inspect", tree, "--config", words]
    try:
        _status, output, _errors = run_program(command, timeout=_PATIENCE)
        said: dict[str, t.Any] = json.loads(output)
    except (OSError, ValueError) as error:
        return {"error": f"the sources in {tree} cannot be looked at: {error}"}
    return said
