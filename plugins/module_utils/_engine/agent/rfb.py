# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A look at a machine's screen, by the protocol of VNC (RFC 6143)."""

from __future__ import annotations

import socket
import struct
import typing as t

from ..errors import EngineError

# Seconds for all of it, from a machine that may be busy.
_TIMEOUT = 30.0
_VERSION = b"RFB 003.008\n"
_NO_PASSWORD = 1
_RAW = 0
# Of the server's messages; others do not come where colours are true.
_UPDATE, _BELL, _CUT_TEXT = 0, 2, 3
# Pixels of four bytes, blue first: bits, depth, ends, truth, maxima and shifts.
_FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
_BYTES = 4
# More is no screen of a machine for builds.
_MOST_PIXELS = 1 << 24
_MOST_TEXT = 1 << 20


class ScreenError(EngineError):
    """A screen that cannot be seen; the text says why."""


def look(path: str) -> tuple[int, int, bytes]:
    """Return width and height of the screen at the socket ``path``, and its pixels.

    These are three bytes each, red, green and blue, row by row from the top. Raises ScreenError.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_TIMEOUT)
            sock.connect(path)
            with sock.makefile("rb") as stream:
                return _Viewer(sock, t.cast("t.BinaryIO", stream)).look()
    except (OSError, struct.error) as error:
        raise ScreenError(f"cannot see the screen at {path}: {error}") from error


class _Viewer:
    def __init__(self, sock: socket.socket, stream: t.BinaryIO) -> None:
        self._sock = sock
        self._stream = stream

    def look(self) -> tuple[int, int, bytes]:
        if self._read(12) != _VERSION:
            raise ScreenError("what answers is no VNC server of version 3.8")
        self._sock.sendall(_VERSION)
        (count,) = self._read(1)
        if _NO_PASSWORD not in self._read(count):
            raise ScreenError("the screen takes a password: look at it with a VNC viewer")
        self._sock.sendall(bytes([_NO_PASSWORD]))
        if self._read(4) != bytes(4):
            raise ScreenError("the screen lets nobody in")
        # Others may look as well.
        self._sock.sendall(b"\1")
        width, height = struct.unpack(">HH", self._read(4))
        self._read(16)
        self._skip()
        if not 0 < width * height <= _MOST_PIXELS:
            raise ScreenError(f"the screen is {width} x {height}")
        self._sock.sendall(b"\0\0\0\0" + _FORMAT)
        self._sock.sendall(struct.pack(">BxHi", 2, 1, _RAW))
        self._sock.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        return width, height, self._picture(width, height)

    def _picture(self, width: int, height: int) -> bytes:
        screen = bytearray(_BYTES * width * height)
        left = width * height
        while left > 0:
            (kind,) = self._read(1)
            if kind == _CUT_TEXT:
                self._read(3)
                self._skip()
            elif kind == _UPDATE:
                left -= self._update(screen, width, height)
            elif kind != _BELL:
                raise ScreenError(f"the screen's server says something unknown ({kind})")
        pixels = bytearray(3 * width * height)
        for colour in range(3):
            pixels[colour::3] = screen[2 - colour :: _BYTES]
        return bytes(pixels)

    def _update(self, screen: bytearray, width: int, height: int) -> int:
        """Take in one update; how many pixels it had."""
        (count,) = struct.unpack(">xH", self._read(3))
        seen = 0
        for _rectangle in range(count):
            left, top, wide, high, encoding = struct.unpack(">HHHHi", self._read(12))
            if encoding != _RAW or left + wide > width or top + high > height:
                raise ScreenError("the screen's server sends what was not asked for")
            for row in range(top, top + high):
                at = _BYTES * (row * width + left)
                screen[at : at + _BYTES * wide] = self._read(_BYTES * wide)
            seen += wide * high
        if not seen:
            raise ScreenError("the screen's server shows nothing")
        return seen

    def _skip(self) -> None:
        """Read a text that says its length, and forget it."""
        (size,) = struct.unpack(">I", self._read(4))
        if size > _MOST_TEXT:
            raise ScreenError("the screen's server talks too much")
        self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise ScreenError("the screen has gone")
        return data
