# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of each format with a few changes, the same ones each time."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Where the fields of a tar header are: name, mode, ids, size, mtime, checksum, type, link, ...
_FIELDS = [
    *((0, 100), (100, 108), (108, 116), (124, 136), (136, 148), (148, 156), (156, 157)),
    *((157, 257), (257, 265), (345, 500)),
]
_ODD = [b"\0", b"\xff", b"-1", b"7" * 12, b"/", b"..", b"\x80" + b"\xff" * 11, b"nan", b"9" * 20]


def good_tar() -> bytes:
    """A tar archive with a member of every common kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, link, size in (
            ("p", tarfile.DIRTYPE, "", 0),
            ("p/a", tarfile.REGTYPE, "", 700),
            ("p/d", tarfile.DIRTYPE, "", 0),
            ("p/d/" + "long" * 40, tarfile.REGTYPE, "", 10),
            ("p/link", tarfile.SYMTYPE, "d/" + "x" * 120, 0),
            ("p/hard", tarfile.LNKTYPE, "p/a", 0),
            ("p/é", tarfile.REGTYPE, "", 3),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mtime = kind, link, size, 1.5e9 + 0.25
            archive.addfile(info, io.BytesIO(b"content\n" * 100))
        sparse = tarfile.TarInfo("p/sparse")
        sparse.size = 1024
        sparse.pax_headers = {
            **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
            **{"GNU.sparse.name": "p/sparse", "GNU.sparse.realsize": "4096"},
        }
        archive.addfile(sparse, io.BytesIO(b"1\n1024\n512\n".ljust(512, b"\0") + bytes(512)))
    return buffer.getvalue()


def good_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode in (("p/", 0o40755), ("p/a", 0o100644), ("p/l", 0o120777), ("p/é", 0)):
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system = mode << 16, 3
            archive.writestr(info, b"content\n" * 20)
        archive.writestr(zipfile.ZipInfo("stored"), b"stored")
    return buffer.getvalue()


def good_gem() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (
            ("metadata.gz", gzip.compress(b"---\n", mtime=0)),
            ("data.tar.gz", gzip.compress(good_tar(), mtime=0)),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def damage(data: bytes, chance: random.Random) -> bytes:
    """Change, remove, repeat or add a few bytes anywhere, or cut."""
    changed = bytearray(data)
    for _dummy in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(changed) or 1)
        length = chance.choice([1, 1, 4, 100, 512])
        way = chance.randrange(6)
        if way <= 1 and changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
        elif way == 2:
            del changed[at : at + length]
        elif way == 3:
            changed[at:at] = changed[at : at + length]
        elif way == 4:
            changed[at : at + length] = chance.randbytes(length)
        else:
            del changed[at:]
    return bytes(changed)


def reword(data: bytes, chance: random.Random) -> bytes:
    """Change fields of headers of a tar archive, whose checksums are right again then."""
    changed = bytearray(data)
    headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
    for at in chance.sample(headers, k=chance.choice([1, 1, 2, 4])):
        start, end = chance.choice(_FIELDS)
        odd = chance.choice([*_ODD, chance.randbytes(end - start), bytes([chance.randrange(256)])])
        changed[at + start : at + start + min(len(odd), end - start)] = odd[: end - start]
        changed[at + 148 : at + 156] = b" " * 8
        changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def mutated(kind: str, number: int, folder: Path) -> Iterator[bytes]:
    """That many archives of a format; those that programs compress are made in the folder.

    Half of those with something inside are damaged there.
    """
    chance = random.Random(f"{kind} {number}")
    compress = {
        "tar": bytes,
        "gz": lambda data: gzip.compress(data, 1, mtime=0),
        "bz2": bz2.compress,
        "xz": lambda data: lzma.compress(data, preset=0),
    }
    if kind in ("zip", "gem"):
        good = good_zip() if kind == "zip" else good_gem()
        for _dummy in range(number):
            yield damage(good, chance)
        return
    inside = [
        chance.choice([damage, reword, reword])(good_tar(), chance) for _dummy in range(number // 2)
    ]
    if kind in compress:
        yield from map(compress[kind], inside)
        good = compress[kind](good_tar())
    else:
        *compressed, good = compress_all([*inside, good_tar()], kind, folder)
        yield from compressed
    for _dummy in range(number - len(inside)):
        yield damage(good, chance)


def compress_all(contents: list[bytes], kind: str, folder: Path) -> list[bytes]:
    """Compress them by one call of zstd or lzip."""
    paths = [folder / f"{number:04}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    program = {"zst": ["zstd", "-q", "-1"], "lz": ["lzip", "-0"]}[kind]
    subprocess.run([*program, "--", *paths], check=True)
    return [Path(f"{path}.{kind}").read_bytes() for path in paths]
