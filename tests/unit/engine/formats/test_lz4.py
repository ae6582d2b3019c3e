# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LZ4 frames: what the lz4 command makes and takes, we take, and what it refuses we refuse.

All of it by our own decoder, and with the library before it.
"""

from __future__ import annotations

import random
import struct
import subprocess
import tracemalloc
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.lz4 import frame as _frame
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.lz4 import library
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.lz4.block import Lz4Error
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.lz4.checksum import xxh32
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.lz4.frame import decompress

LIMIT = 1 << 20
HEADER = b"\x04\x22\x4d\x18\x60\x40"
# One block, no checksums but the header's own.
BARE = HEADER + bytes([xxh32(HEADER[4:]) >> 8 & 0xFF])

# What the command reads beyond a frame with a proper beginning: frames that follow, the frames of
# its first versions, frames to be skipped; a match of no distance, which the format forbids.
BEYOND = ("follow its end", "does not begin as", "a match in a block begins before")


@pytest.fixture(params=["ours", "library"], autouse=True)
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind: str = request.param
    if kind == "ours":
        monkeypatch.setattr(_frame, "decompress_quickly", lambda _data, _limit: None)
    return kind


def content(dice: random.Random) -> bytes:
    """Text, noise and repetitions, of a few bytes or of several blocks."""
    most = dice.choice([0, 20, 1000, 70_000, 300_000])
    parts: list[bytes] = []
    size = 0
    while size < most:
        count = dice.randint(1, 3000)
        kind = dice.randrange(4)
        if kind == 0:
            parts.append(dice.randbytes(count))
        elif kind == 1:
            parts.append(dice.randbytes(dice.randint(1, 20)) * count)
        elif kind == 2:
            words = ["error", "warning", "g++ -o", "\n", "test"]
            parts.append(" ".join(dice.choices(words, k=count // 5)).encode())
        elif parts:
            parts.append(dice.choice(parts))
        size += len(parts[-1]) if parts else 0
    return b"".join(parts)[:most]


def compress(data: bytes, *options: str) -> bytes:
    command = ["lz4", "-z", "-c", "-q", *options]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def by_command(data: bytes) -> bytes | None:
    """What the command makes of a frame; None if it refuses it."""
    done = subprocess.run(["lz4", "-d", "-c", "-q"], input=data, check=False, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def options(dice: random.Random) -> list[str]:
    chosen = [dice.choice(["-1", "-9", "--fast=5"]), dice.choice(["-B4", "-B5", "-B7"])]
    chosen += [each for each in ("-BD", "-BX", "--no-frame-crc") if dice.random() < 0.5]
    return chosen


def mutated(dice: random.Random, data: bytes) -> bytes:
    """The data with a few bytes changed, put in, left out or cut off."""
    made = bytearray(data)
    for _round in range(dice.choice([1, 1, 2])):
        # The header and the first sequences are the most telling.
        end = len(made) if dice.random() < 0.5 else min(len(made), 40)
        at = dice.randrange(end) if end else 0
        match dice.randrange(5):
            case 0:
                made[at:at] = dice.randbytes(dice.randint(1, 4))
            case 1:
                del made[at : at + dice.randint(1, 4)]
            case 2:
                del made[dice.randrange(len(made) + 1) :]
            case 3:
                made += dice.randbytes(dice.randint(1, 8))
            case _:
                made[at : at + 1] = dice.choice([b"\x00", b"\xff", dice.randbytes(1)])
    if dice.random() < 0.5 and made[:4] == HEADER[:4] and len(made) > 6:
        # Past the header's own checksum.
        end = 14 if made[4] & 8 else 6
        made[end : end + 1] = bytes([xxh32(made[4:end]) >> 8 & 0xFF])
    return bytes(made)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_what_the_command_compresses(count: int, decoder: str) -> None:
    dice = random.Random(count)
    for number in range(count):
        data, chosen = content(dice), options(dice)
        compressed = compress(data, *chosen)
        assert decompress(compressed, LIMIT) == data, (number, chosen)
        if decoder == "library":
            assert library.decompress_quickly(compressed, LIMIT) == data, (number, chosen)


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.long)])
def test_what_is_damaged_is_refused_as_the_command_does(count: int) -> None:
    dice = random.Random(count)
    accepted = refused = 0
    frame = b""
    for number in range(count):
        if number % 10 == 0:
            frame = compress(content(dice), "--no-frame-crc", *options(dice))
        # Of nothing at all the command makes nothing.
        data = mutated(dice, frame) or b"\0"
        theirs = by_command(data)
        try:
            ours = decompress(data, 64 << 20)
        except Lz4Error as error:
            refused += 1
            assert theirs is None or any(words in str(error) for words in BEYOND), (number, error)
        else:
            accepted += 1
            assert ours == theirs, number
    assert accepted > count / 100 and refused > count / 3


def test_the_size_of_the_content_is_compared(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text " * 1000)
    command = ["lz4", "-c", "-q", "--content-size", "--no-frame-crc", str(tmp_path / "file")]
    frame = subprocess.run(command, check=True, capture_output=True).stdout
    assert decompress(frame, LIMIT) == b"text " * 1000
    other = bytearray(frame)
    other[6] += 1
    other[14] = xxh32(other[4:14]) >> 8 & 0xFF
    with pytest.raises(Lz4Error, match="it has 5000 bytes, not the 5001 that it says"):
        decompress(bytes(other), LIMIT)


def block(data: bytes, stored: bool = False) -> bytes:
    return struct.pack("<I", len(data) | stored << 31) + data


END = b"\0\0\0\0"

BAD = {
    "nothing": (b"", "it is cut off"),
    "another format": (b"\x28\xb5\x2f\xfd" + bytes(20), "does not begin as"),
    "of another version": (BARE[:4] + b"\xa0\x40\x00", "values that are not defined"),
    "with a reserved bit": (BARE[:4] + b"\x62\x40\x00", "values that are not defined"),
    "with blocks of no size": (BARE[:4] + b"\x60\x30\x00", "values that are not defined"),
    "with a dictionary": (BARE[:4] + b"\x61\x40" + bytes(5), "dictionary"),
    "a damaged header": (BARE[:6] + b"\x00", "its header has another checksum"),
    "no end": (BARE + block(b"\x10a"), "it is cut off"),
    "more behind it": (BARE + END + b"more", "4 bytes follow its end"),
    "a match of no distance": (BARE + block(b"\x10a\0\0\0") + END, "before the data does"),
    "a match before all": (BARE + block(b"\x10a\2\0\0") + END, "before the data does"),
    "a token at the end": (BARE + block(b"\x10a\1\0") + END, "in the middle of a sequence"),
    "too few literals": (BARE + block(b"\x50a") + END, "fewer literals"),
    "a length without an end": (BARE + block(b"\xf0" + b"\xff" * 9) + END, "in the middle"),
    "a block that is too large": (BARE + block(bytes(65537), True) + END, "may have 65536"),
    "a block that becomes too large": (
        BARE + block(b"\x1fa\1\0" + b"\xff" * 300 + b"\0\x00") + END,
        "more than 65536 bytes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_is_refused(name: str) -> None:
    data, words = BAD[name]
    with pytest.raises(Lz4Error, match=words):
        decompress(data, LIMIT)


def test_a_match_reaches_back_only_within_an_independent_block() -> None:
    blocks = block(b"abcd", True) + block(b"\x00\4\0\x10!") + END
    with pytest.raises(Lz4Error, match="before the data does"):
        decompress(BARE + blocks, LIMIT)
    dependent = b"\x40\x40"
    header = HEADER[:4] + dependent + bytes([xxh32(dependent) >> 8 & 0xFF])
    assert decompress(header + blocks, LIMIT) == b"abcdabcd!"


def bombs() -> t.Iterator[bytes]:
    yield compress(bytes(60 << 20))
    yield compress(bytes(60 << 20), "-BD", "-B4")
    yield BARE + block(bytes(65536), True) * 100 + END


def test_no_more_than_the_limit_is_made() -> None:
    for bomb in bombs():
        tracemalloc.start()
        try:
            with pytest.raises(Lz4Error, match=f"more than {LIMIT} bytes"):
                decompress(bomb, LIMIT)
            assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "checksum"),
    # Of the xxhsum command; longer ones are in the frames of the lz4 command.
    [(b"", 0x02CC5D05), (b"a", 0x550D7456), (b"abc", 0x32D153FF)],
)
def test_the_checksum(text: bytes, checksum: int) -> None:
    assert xxh32(text) == checksum


class Odd:
    """A library that is damaged, or lies."""

    eof, unused_data = True, None

    def __init__(self, answer: t.Any) -> None:
        self.answer = answer

    def decompress(self, _data: bytes, max_length: int) -> t.Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "odd",
    [ImportError("none"), OSError("no such symbol"), MemoryError(), RuntimeError("x"), 7.0],
    ids=lambda odd: type(odd).__name__,
)
@pytest.mark.parametrize("when", ["imported", "called"])
def test_a_library_that_fails_is_as_good_as_none(
    odd: t.Any, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(_name: str) -> t.Any:
        if when == "imported" and isinstance(odd, BaseException):
            raise odd
        return types.SimpleNamespace(LZ4FrameDecompressor=lambda: Odd(odd))

    monkeypatch.setattr(library.importlib, "import_module", imported)
    assert library.decompress_quickly(BARE + END, LIMIT) is None
    assert decompress(BARE + block(b"abc", True) + END, LIMIT) == b"abc"
