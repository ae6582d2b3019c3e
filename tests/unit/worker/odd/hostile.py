# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that were made to do harm: bombs, links, devices, names, times."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Iterator

NAMES = [
    *("/absolute", "../canary/x", "..", ".", "./..", "a/../../canary/x", "a/..", "//x", "", " "),
    *("a\nb", "-rf", "a\\b", "\x1b[2J", "x" * 255, "x" * 256, "/".join("x" * 1500), "a/" * 90),
    *("a\udcff", "con", "a\u202eb", "x/" + "y" * 5000, "./", "~root", "$(x)", "a/./b//c"),
]
TARGETS = [
    *("/etc/passwd", "../canary/file", "../../canary", ".", "..", "a", "", "x" * 5000, "/", "é"),
    *("/proc/self/mem", "nowhere"),
]
TIMES = [
    *("nan", "inf", "-inf", "1e400", "-1", str(2**31), str(2**63), str(-(2**63)), str(2**200)),
    *("1.5", "x", "", "0x10", "1_0", "٣"),
]
KINDS = [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"S", b"V", b"M", b"D", b"z"]


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _member(
    name: str, kind: bytes = b"0", link: str = "", **pax: str
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.pax_headers = kind, link, 0o7777, pax
    return info, b""


def _zip(name: str, mode: int, data: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("placeholder", (1980, 0, 0, 0, 0, 0))
        info.external_attr, info.create_system = mode << 16, 3
        info.filename = name.replace("\udcff", "ÿ")  # zipfile writes no other bytes.
        archive.writestr(info, data)
    return buffer.getvalue()


def hostile() -> Iterator[tuple[str, bytes]]:
    """Each with what it is."""
    for name in NAMES:
        for kind in (b"0", b"1", b"2", b"5"):
            yield f"name {name[:20]!r} {kind!r}", _tar(_member("t"), _member(name, kind, "t"))
        yield f"name in a zip {name[:20]!r}", _zip(name, 0o100644)
        yield f"directory of a zip {name[:20]!r}", _zip(name + "/", 0o40777)
    yield "zero byte", _tar(_member("a", path="p/Make\0file"))
    yield "zero byte in a link", _tar(_member("a", b"2", "x", linkpath="x\0y"))
    for target in TARGETS:
        link = _member("l", b"2", target)
        yield f"write through {target[:20]!r}", _tar(link, _member("l/file"))
        yield f"write over {target[:20]!r}", _tar(link, _member("l"), _member("l/", b"5"))
        yield f"hard link through {target[:20]!r}", _tar(link, _member("h", b"1", "l/file"))
        yield f"hard link to {target[:20]!r}", _tar(_member("h", b"1", target), _member("h"))
        yield f"link in a zip {target[:20]!r}", _zip("l", 0o120777, target.encode())
    for kind in KINDS:
        yield f"type {kind!r}", _tar(_member("a", kind, "b"))
    for mode in (0o10644, 0o20644, 0o60644, 0o140644, 0o170000):
        yield f"mode {mode:o} in a zip", _zip("a", mode)
    for time in TIMES:
        for kind in (b"0", b"2", b"5"):
            yield f"time {time} {kind!r}", _tar(_member("a", kind, "b", mtime=time))
        yield f"size {time}", _tar(_member("a", size=time))
    yield from _bombs()


def _bombs() -> Iterator[tuple[str, bytes]]:
    zeros = _tar((tarfile.TarInfo("zeros"), bytes(32 << 20)))
    yield "bomb of gzip", gzip.compress(zeros)
    yield "bomb of xz", lzma.compress(zeros, preset=1)
    yield "zeros after the end", gzip.compress(_tar(_member("a")) + bytes(64 << 20))
    yield "bomb of a zip", _deflated(bytes(32 << 20))
    yield "many members", gzip.compress(_many(30_000))
    yield "deep and many", gzip.compress(_tar(*(_member(f"{n}/" + "d/" * 90) for n in range(500))))
    yield "many empty streams", gzip.compress(b"", mtime=0) * 20_000
    for size in ("9" * 18, str(2**62)):
        yield f"sparse {size}", _tar(_sparse(size, "0\n"))
        yield f"parts at {size}", _tar(_sparse("4096", f"2\n{size}\n1\n0\n1\n"))
    yield "parts without an end", _tar(_sparse("4096", "999999999\n" + "0\n" * 900_000))
    yield "parts in disorder", _tar(_sparse(str(2**40), "2000\n" + "9\n1\n0\n1\n" * 1000))
    yield "long name", gzip.compress(_header(b"L", 64 << 20) + bytes(64 << 20))
    yield "long header", gzip.compress(_header(b"x", 64 << 20) + b"9" * (64 << 20))
    yield "chain of names", gzip.compress((_header(b"L", 5) + b"name\0".ljust(512, b"\0")) * 5000)
    pax = "".join(_record(f"k{n}", "v") for n in range(500)).encode()
    block = _header(b"g", len(pax)) + pax.ljust(-(-len(pax) // 512) * 512, b"\0")
    yield "global headers", gzip.compress(block * 900 + _tar(_member("a")))
    # A dictionary of 2 GiB, in the form of lzma that tells it in its header.
    yield "large dictionary", b"\x5d" + struct.pack("<IQ", 1 << 31, 2**64 - 1) + bytes(100)
    yield "overlapping members", _overlapping()


def _many(number: int) -> bytes:
    info = tarfile.TarInfo("x")
    blocks = []
    for count in range(number):
        info.name = f"m/{count}"
        blocks.append(info.tobuf(tarfile.USTAR_FORMAT))
    return b"".join(blocks) + bytes(1024)


def _record(name: str, value: str) -> str:
    text = f" {name}={value}\n"
    return f"{len(text) + 2}{text}"


def _header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def _sparse(size: str, parts: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {
        **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
        **{"GNU.sparse.name": "sparse", "GNU.sparse.realsize": size},
    }
    data = parts.encode()
    return info, data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(512)


def _deflated(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", data)
    return buffer.getvalue()


def _overlapping() -> bytes:
    """Two thousand members that are all the same compressed megabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 20))
        first = archive.filelist[0]
        for number in range(2000):
            info = zipfile.ZipInfo(f"m{number}")
            for name in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(info, name, getattr(first, name))
            archive.filelist.append(info)
    return buffer.getvalue()
