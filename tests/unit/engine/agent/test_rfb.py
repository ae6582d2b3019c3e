# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Screens: one that is shown, and servers that do anything else."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import rfb
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.rfb import ScreenError, look

HELLO = b"RFB 003.008\n"
INIT = struct.pack(">HH16xI", 2, 2, 3) + b"vm1"
OPEN = HELLO + b"\2\2\1" + bytes(4) + INIT
# Blue, green, red, and a byte that is nothing.
PIXELS = [bytes([3 * n + 2, 3 * n + 1, 3 * n, 0]) for n in range(4)]


def rectangle(left: int, top: int, wide: int, high: int, data: bytes, encoding: int = 0) -> bytes:
    return struct.pack(">HHHHi", left, top, wide, high, encoding) + data


def update(*rectangles: bytes) -> bytes:
    return struct.pack(">BxH", 0, len(rectangles)) + b"".join(rectangles)


@contextlib.contextmanager
def server(folder: Path, said: bytes, *, wait: bool = False) -> t.Iterator[str]:
    """Something at a socket that says just that; with ``wait`` it stays silent afterwards."""
    path, over = str(folder / "vnc"), threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _address = listening.accept()
            with sock:
                sock.sendall(said)
                if wait:
                    over.wait()
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "said",
    [
        update(rectangle(0, 0, 2, 2, b"".join(PIXELS))),
        update(
            rectangle(0, 0, 1, 2, PIXELS[0] + PIXELS[2]),
            rectangle(1, 0, 1, 2, PIXELS[1] + PIXELS[3]),
        ),
        b"\2"
        + update(rectangle(0, 0, 2, 1, b"".join(PIXELS[:2])))
        + struct.pack(">B3xI", 3, 4)
        + b"text"
        + update(rectangle(0, 1, 2, 1, b"".join(PIXELS[2:]))),
    ],
    ids=["at once", "in columns", "with other news"],
)
def test_a_screen(tmp_path: Path, said: bytes) -> None:
    with server(tmp_path, OPEN + said) as path:
        assert look(path) == (2, 2, bytes(range(12)))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "has gone"),
        (b"HTTP/1.1 400", "no VNC server"),
        (b"RFB 003.003\n", "no VNC server"),
        (HELLO + b"\1\2", "takes a password"),
        (HELLO + b"\0" + struct.pack(">I", 3) + b"no!", "takes a password"),
        (HELLO + b"\1\1" + b"\0\0\0\1", "lets nobody in"),
        (HELLO + b"\1\1" + bytes(4) + INIT[:9], "has gone"),
        (HELLO + b"\1\1" + bytes(4) + struct.pack(">HH16xI", 2, 2, 1 << 31), "talks too much"),
        (HELLO + b"\1\1" + bytes(4) + struct.pack(">HH16xI", 0, 2, 0), "0 x 2"),
        (HELLO + b"\1\1" + bytes(4) + struct.pack(">HH16xI", 65535, 65535, 0), "65535 x 65535"),
        (OPEN + b"\7", r"something unknown \(7\)"),
        (OPEN + update(), "shows nothing"),
        (OPEN + update(rectangle(0, 0, 2, 2, b"", 7)), "not asked for"),
        (OPEN + update(rectangle(1, 0, 2, 2, bytes(16))), "not asked for"),
        (OPEN + update(rectangle(0, 0, 2, 2, bytes(15))), "has gone"),
        (OPEN + update(rectangle(0, 0, 0, 0, b"")), "shows nothing"),
        (OPEN + struct.pack(">B3xI", 3, 1 << 30), "talks too much"),
    ],
)
def test_whatever_else_answers(tmp_path: Path, said: bytes, words: str) -> None:
    with server(tmp_path, said) as path, pytest.raises(ScreenError, match=words):
        look(path)


def test_a_screen_that_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfb, "_TIMEOUT", 0.2)
    with (
        server(tmp_path, OPEN, wait=True) as path,
        pytest.raises(ScreenError, match="timed out"),
    ):
        look(path)


def test_a_screen_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScreenError, match="No such file"):
        look(str(tmp_path / "vnc"))
