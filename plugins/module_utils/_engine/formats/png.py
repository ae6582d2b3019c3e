# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Pictures as files of the format PNG (ISO/IEC 15948), of red, green and blue in 8 bits each."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Bits of each colour, and the kind of picture: red, green and blue.
_DEPTH, _RGB = 8, 2


def encode_png(width: int, height: int, pixels: bytes) -> bytes:
    """Return the file of a picture whose `pixels` are three bytes each, row by row from the top.

    Raises ValueError if they are not as many as `width` and `height` say.
    """
    line = 3 * width
    if width < 1 or height < 1 or len(pixels) != line * height:
        raise ValueError(f"{len(pixels)} bytes are no picture of {width} x {height}")
    header = struct.pack(">IIBBBBB", width, height, _DEPTH, _RGB, 0, 0, 0)
    # Before each row goes the number of its filter: none.
    rows = b"".join(b"\0" + pixels[at : at + line] for at in range(0, len(pixels), line))
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
