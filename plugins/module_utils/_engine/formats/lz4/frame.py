# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A frame of LZ4, decompressed up to a limit. Source: the description of the LZ4 frame format.

Only what bbot's workers write is read: one frame, without a dictionary, and nothing behind it.
"""

from __future__ import annotations

import dataclasses

from .block import Lz4Error, decode_block
from .checksum import xxh32
from .library import decompress_quickly

_MAGIC = b"\x04\x22\x4d\x18"
_VERSION = 1
_STORED = 1 << 31


@dataclasses.dataclass(frozen=True)
class _Header:
    """What a frame says about itself; sizes are in bytes."""

    independent: bool
    block_checksums: bool
    content_size: int | None
    content_checksum: bool
    largest_block: int


def decompress(data: bytes, limit: int) -> bytes:
    """Return what is in the frame `data`, of at most `limit` bytes.

    Without the library it takes some seconds for a dozen MiB, and memory for the data twice and the
    outcome twice. All checksums and sizes that there are have to be right. Raises Lz4Error.
    """
    reader = _Reader(data)
    header = _read_header(reader)
    if header.content_size is not None and header.content_size > limit:
        raise Lz4Error(f"it has more than {limit} bytes")
    quickly = decompress_quickly(data, limit)
    return _decompress(reader, header, limit) if quickly is None else quickly


def _decompress(reader: _Reader, header: _Header, limit: int) -> bytes:
    """Return what is in the blocks that follow the header. Raises Lz4Error."""
    output = bytearray()
    while size := reader.number(4):
        block = reader.take(size & ~_STORED)
        if len(block) > header.largest_block:
            raise Lz4Error(f"a block has {len(block)} bytes, and may have {header.largest_block}")
        if header.block_checksums and reader.number(4) != xxh32(block):
            raise Lz4Error("a block has another checksum than it says")
        begin = len(output)
        if not size & _STORED:
            room = min(limit, begin + header.largest_block)
            decode_block(block, output, begin if header.independent else 0, room)
        elif len(block) > limit - begin:
            raise Lz4Error(f"it has more than {limit} bytes")
        else:
            output += block
    if header.content_size not in (None, len(output)):
        raise Lz4Error(f"it has {len(output)} bytes, not the {header.content_size} that it says")
    if header.content_checksum and reader.number(4) != xxh32(output):
        raise Lz4Error("it has another checksum than it says")
    reader.end()
    return bytes(output)


def _read_header(reader: _Reader) -> _Header:
    if reader.take(4) != _MAGIC:
        raise Lz4Error("it does not begin as an LZ4 frame does")
    begin = reader.at
    flags, descriptor = reader.number(1), reader.number(1)
    if flags >> 6 != _VERSION or flags & 2 or descriptor & 0x8F or descriptor >> 4 < 4:
        raise Lz4Error("its header has values that are not defined")
    if flags & 1:
        raise Lz4Error("it needs a dictionary, which nobody has")
    size = reader.number(8) if flags & 8 else None
    check = xxh32(reader.since(begin)) >> 8 & 0xFF
    if reader.number(1) != check:
        raise Lz4Error("its header has another checksum than it says")
    return _Header(
        independent=bool(flags & 0x20),
        block_checksums=bool(flags & 0x10),
        content_size=size,
        content_checksum=bool(flags & 4),
        largest_block=1 << 8 + 2 * (descriptor >> 4),
    )


class _Reader:
    """What is left of the data, from the index `at` on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes. Raises Lz4Error if there are fewer."""
        if size > len(self._data) - self.at:
            raise Lz4Error("it is cut off")
        self.at += size
        return self._data[self.at - size : self.at]

    def number(self, size: int) -> int:
        """Return the number that the next `size` bytes are. Raises Lz4Error."""
        return int.from_bytes(self.take(size), "little")

    def since(self, begin: int) -> bytes:
        """Return what was taken since the index `begin`."""
        return self._data[begin : self.at]

    def end(self) -> None:
        """Raise Lz4Error if something is left."""
        if self.at < len(self._data):
            raise Lz4Error(f"{len(self._data) - self.at} bytes follow its end")
