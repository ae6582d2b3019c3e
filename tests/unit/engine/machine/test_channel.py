# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine's streams: kept up to a limit, told line by line, the last line known."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import channel as _channel
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.channel import Channel


def heard(tmp_path: Path, pieces: list[bytes]) -> tuple[Channel, list[str], bytes]:
    """The channel after these pieces, the lines it told, and what it kept."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    lines: list[str] = []
    with ours, theirs:
        channel = Channel(ours, str(tmp_path / "log"), lines.append)
        for piece in pieces:
            theirs.sendall(piece)
            while piece and channel.read():
                piece = piece[65536:]
        assert channel.read()
        theirs.close()
        assert not channel.read()
        channel.close()
    return channel, lines, (tmp_path / "log").read_bytes()


@pytest.mark.parametrize(
    ("pieces", "lines", "last"),
    [
        ([], [], ""),
        ([b"a\nb"], ["a"], "b"),
        ([b"a\nb", b"c\n \n"], ["a", "bc", " "], "bc"),
        ([b"no DHCP server answers\r\n\r\n"], ["no DHCP server answers", ""], None),
        ([b"\x1b[31mred\x1b[0m\n\n"], ["red", ""], "red"),
        ([b"x" * 10_000 + b"\n"], ["x" * 4096], "x" * 4096),
        ([b"good\rfine\x08\x08\n"], ["fi"], None),
        ([b"\xff\x00\n"], ["\ufffd\u2400"], "\ufffd\u2400"),
    ],
)
def test_lines(tmp_path: Path, pieces: list[bytes], lines: list[str], last: str | None) -> None:
    channel, told, kept = heard(tmp_path, pieces)
    assert told == lines
    assert channel.last == (lines[0] if last is None else last)
    said = b"".join(pieces)
    assert kept == re.sub(rb"[\x00-\x08\x0b-\x1f\x7f]", b"?", said.replace(b"\r", b""))
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_channel, "_LIMIT", 100)
    channel, _told, kept = heard(tmp_path, [b"x\r\n" * 75, b"the last\n"])
    assert kept == b"x\n" * 50 + b"\n[cut here: 100 bytes are kept]\n"
    assert channel.last == "the last"
