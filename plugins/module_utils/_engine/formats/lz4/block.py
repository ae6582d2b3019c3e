# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A block of LZ4, decompressed. Source: the description of the LZ4 block format.

A block is a row of sequences: a token, literals, and where in what is there already a match
begins that is to be repeated. The last sequence has literals alone.
"""

from __future__ import annotations

from ...errors import EngineError

# What the length in a token may be at most; with that, bytes follow that are added to it.
_LONG = 15
_SHORTEST_MATCH = 4


class Lz4Error(EngineError, ValueError):
    """Data that is not what it has to be; the text says what is wrong with it."""

    culprit = "task"
    temporary = False


def decode_block(block: bytes, output: bytearray, begin: int, limit: int) -> None:
    """Add what is in `block` to `output`, which has `limit` bytes at most afterwards.

    Matches may reach back to the index `begin` of `output`. Raises Lz4Error.
    """
    try:
        _decode(block, output, begin, limit)
    except IndexError:
        raise Lz4Error("a block ends in the middle of a sequence") from None


def _decode(block: bytes, output: bytearray, begin: int, limit: int) -> None:
    at, size = 0, len(block)
    while True:
        token = block[at]
        at += 1
        length = token >> 4
        if length == _LONG:
            more = 255
            while more == 255:
                more = block[at]
                at += 1
                length += more
        if length > size - at:
            raise Lz4Error("a block has fewer literals than it says")
        if length > limit - len(output):
            raise Lz4Error(f"it has more than {limit} bytes")
        output += block[at : at + length]
        at += length
        if at == size:
            return
        offset = block[at] | block[at + 1] << 8
        at += 2
        length = (token & _LONG) + _SHORTEST_MATCH
        if token & _LONG == _LONG:
            more = 255
            while more == 255:
                more = block[at]
                at += 1
                length += more
        source = len(output) - offset
        if not offset or source < begin:
            raise Lz4Error("a match in a block begins before the data does")
        if length > limit - len(output):
            raise Lz4Error(f"it has more than {limit} bytes")
        if length <= offset:
            output += output[source : source + length]
        else:
            # A match that reaches into what it makes repeats itself.
            output += (output[source:] * (length // offset + 1))[:length]
