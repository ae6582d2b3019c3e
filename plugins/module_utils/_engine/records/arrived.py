# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A result as it has arrived from a guest: read up to limits, whatever the file is."""

from __future__ import annotations

from ..formats.manifest.model import ManifestError
from ..formats.manifest.parser import ParseLimits, parse
from .result import Result
from .task import Task

# Bytes: brep's limit for results, hence more is of no use to a controller.
RESULT_LIMIT = 10_240_000
# Each operation has a log file on the host, and bbot's workers know fewer than a dozen.
MOST_OPERATIONS = 100

# Name, version, statuses, logs, report, and what another worker may add.
_LIMITS = ParseLimits(manifests=1, pairs=1000)


def read_arrived(path: str, task: Task, name: str = "result") -> Result:
    """Return the result of `task` in the file `path`, which a guest has written.

    It takes some seconds and 100 MiB at most. `name` stands for the file in errors. Raises
    ManifestError, whose text says what is wrong with it, and OSError if it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(RESULT_LIMIT + 1)
    if len(data) > RESULT_LIMIT:
        raise ManifestError(name, 0, 0, f"it has more than {RESULT_LIMIT} bytes")
    result = Result.parse(parse(data, name, _LIMITS), name).identified(task)
    if (result.name, result.version) != (task.name, task.version):
        of = f"of {result.name} {result.version}, not of {task.name} {task.version}"
        raise ManifestError(name, 0, 0, f"it is {of}")
    if len(result.operations) > MOST_OPERATIONS:
        raise ManifestError(name, 0, 0, f"it has {len(result.operations)} operations")
    return result
