# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A frame of LZ4, decompressed by the library lz4 where there is one: Debian's python3-lz4.

Source: the documentation of its module lz4.frame. Debian 12 has its version 4.0.2.
"""

from __future__ import annotations

import importlib
import typing as t


def decompress_quickly(data: bytes, limit: int) -> bytes | None:
    """Return what is in the frame `data`; None where the library is missing or does not take it.

    The frame is whole, nothing follows it, and it has at most `limit` bytes. Why a frame was not
    taken is for our own decoder to say, which knows the limits and names them.
    """
    decompressor = _decompressor()
    if decompressor is None:
        return None
    try:
        output = decompressor.decompress(data, max_length=limit)
        if not decompressor.eof or decompressor.unused_data:
            return None
        return bytes(output)
    # It is not ours, and is given the bytes of a guest.
    except Exception:
        return None


def _decompressor() -> t.Any:
    """Return a decompressor of the library; None if there is none that can be used."""
    try:
        return importlib.import_module("lz4.frame").LZ4FrameDecompressor()
    # One that is half installed, or of another Python, is none.
    except Exception:
        return None
