# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pictures: another program reads them, and what is none is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.png import encode_png


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        at += 12 + size
    return found


def test_a_picture() -> None:
    pixels = bytes(range(18))
    (header, content, end) = chunks(encode_png(3, 2, pixels))
    assert header == (b"IHDR", b"\0\0\0\3\0\0\0\2\x08\2\0\0\0")
    assert zlib.decompress(content[1]) == b"\0" + pixels[:9] + b"\0" + pixels[9:]
    assert end == (b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height", "size"), [(0, 1, 0), (1, 0, 0), (2, 2, 11), (2, 2, 13)]
)
def test_what_is_no_picture(width: int, height: int, size: int) -> None:
    with pytest.raises(ValueError, match="no picture"):
        encode_png(width, height, bytes(size))
