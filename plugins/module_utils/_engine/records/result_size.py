# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A result made to fit: logs cut so that it is no larger than its reader takes."""

from __future__ import annotations

import dataclasses

from ..formats.manifest.text import cap
from .exchange import ResultRequest
from .result import Result

# Of a log that has to be cut this much stays at least; see cap().
_LEAST_LOG = 256


def shorten(result: Result, limit: int) -> Result:
    """``result`` with at most ``limit`` bytes of each log."""
    operations = tuple(
        dataclasses.replace(each, log=cap(each.log, limit)) for each in result.operations
    )
    return dataclasses.replace(result, operations=operations, origin=None)


def fit(request: ResultRequest, limit: int) -> str:
    """The text of ``request``, its longest logs cut so that it has at most ``limit`` bytes.

    One that is too long even with the shortest logs is returned all the same: the
    controller has the last word.
    """
    text = request.to_text()
    lengths = [len(each.log.encode()) for each in request.result.operations]
    log_limit = max(lengths, default=0)
    while (size := len(text.encode())) > limit and log_limit > _LEAST_LOG:
        logs = sum(min(length, log_limit) for length in lengths)
        room = limit - (size - logs)
        log_limit = max(_LEAST_LOG, min(log_limit * 3 // 4, _share(lengths, room)))
        text = dataclasses.replace(request, result=shorten(request.result, log_limit)).to_text()
    return text


def _share(lengths: list[int], room: int) -> int:
    """The length to which the longest of these are to be cut for all to fit into ``room``."""
    for done, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - done)
        if length > share:
            return share
        room -= length
    return max(lengths, default=0)
