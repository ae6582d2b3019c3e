# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The checksum of LZ4 frames: XXH32 with the seed 0. Source: the specification of xxHash."""

from __future__ import annotations

import struct

_PRIMES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)
_WORD = 0xFFFFFFFF
# A stripe is four words of 32 bits. They are calculated with as one number, in which each has
# 64 bits, so that no product reaches into its neighbour.
_STRIPE = 16
_LANES = _WORD * sum(1 << 64 * lane for lane in range(4))
# So many bytes are multiplied at once.
_PIECE = 4096 * _STRIPE


def xxh32(data: bytes | bytearray | memoryview) -> int:
    """Return the checksum of `data`, 32 bits."""
    first, second, third, fourth, fifth = _PRIMES
    whole = len(data) - len(data) % _STRIPE
    if whole:
        one, two, three, four = _stripes(memoryview(data)[:whole])
        total = _rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)
    else:
        total = fifth
    total += len(data)
    rest = bytes(data[whole:])
    words = len(rest) - len(rest) % 4
    for (word,) in struct.iter_unpack("<I", rest[:words]):
        total = _rotate((total + word * third) & _WORD, 17) * fourth
    for byte in rest[words:]:
        total = _rotate((total + byte * fifth) & _WORD, 11) * first
    total &= _WORD
    total = (total ^ total >> 15) * second & _WORD
    total = (total ^ total >> 13) * third & _WORD
    return total ^ total >> 16


def _stripes(data: memoryview) -> tuple[int, int, int, int]:
    """Return the four sums of data that is whole stripes."""
    first, second = _PRIMES[:2]
    sums = ((first + second) & _WORD, second, 0, -first & _WORD)
    state = sum(value << 64 * lane for lane, value in enumerate(sums))
    for begin in range(0, len(data), _PIECE):
        piece = bytes(data[begin : begin + _PIECE])
        spread = bytearray(2 * len(piece))
        for byte in range(4):
            spread[byte::8] = piece[byte::4]
        products = (int.from_bytes(spread, "little") * second).to_bytes(len(spread), "little")
        for at in range(0, len(products), 2 * _STRIPE):
            state += int.from_bytes(products[at : at + 2 * _STRIPE], "little")
            state &= _LANES
            state = ((state << 13 | state >> 19) & _LANES) * first & _LANES
    one, two, three, four = (state >> 64 * lane & _WORD for lane in range(4))
    return one, two, three, four


def _rotate(word: int, count: int) -> int:
    return (word << count | word >> 32 - count) & _WORD
