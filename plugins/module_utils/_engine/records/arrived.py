# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A result as it has arrived from a guest: read up to limits, whatever the file is."""

from __future__ import annotations

import os

from ..formats.lz4.block import Lz4Error
from ..formats.lz4.frame import decompress
from ..formats.manifest.model import ManifestError
from ..formats.manifest.parser import ParseLimits, parse
from ..formats.manifest.text import replace_odd
from ..formats.manifest.unicode import decode
from .names import OLD, PACKED, RESULT, arrived_in
from .result import Result
from .task import Task

# Bytes: brep's limit for results since 0.14, hence more is of no use to a controller.
RESULT_LIMIT = 15 << 20
# Each operation has a log file on the host, and bbot's workers know fewer than a dozen.
MOST_OPERATIONS = 100

# Name, version, statuses, logs, report, and what another worker may add.
_LIMITS = ParseLimits(manifests=1, pairs=1000)


def read_arrived(folder: str, task: Task, name: str = "result") -> Result:
    """Return the result of `task` that a guest has put into `folder`.

    It takes some seconds and 250 MiB at most. `name` stands for the file in errors. Raises
    ManifestError, whose text says what is wrong with it, and OSError if it cannot be read.
    """
    data = _content(folder, name)
    if decode(data)[1] is not None:
        # Workers before bbot 0.13 put into logs whatever compilers print: a log with
        # pictures of control characters is worth more than none.
        data = replace_odd(data).encode()
    read = Result.parse(parse(data, name, _LIMITS), name)
    result = read.identified(task)
    if result is None:
        of = f"of {read.name} {read.version}, not of {task.name} {task.version}"
        raise ManifestError(name, 0, 0, f"it is {of}")
    if len(result.operations) > MOST_OPERATIONS:
        raise ManifestError(name, 0, 0, f"it has {len(result.operations)} operations")
    return result


def _content(folder: str, name: str) -> bytes:
    """Return the text of the manifest in `folder`. Raises ManifestError, OSError."""
    path = arrived_in(folder, RESULT) or os.path.join(folder, OLD)
    with open(path, "rb") as file:
        data = file.read(RESULT_LIMIT + 1)
    if len(data) > RESULT_LIMIT:
        raise ManifestError(name, 0, 0, f"it has more than {RESULT_LIMIT} bytes")
    if not path.endswith(PACKED):
        return data
    try:
        return decompress(data, RESULT_LIMIT)
    except Lz4Error as error:
        raise ManifestError(name, 0, 0, f"it is no LZ4 frame: {error}") from error
