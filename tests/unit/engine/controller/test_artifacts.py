# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's archive of artifacts, as it should be and as a hostile guest would have it."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import shutil
import tarfile
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.artifacts import (
    ArtifactError,
    repack,
    unpack,
)

FILES = {"dist/a.whl": b"wheel", "report/b.xml": b"<x/>", "bin/ü": b"\0" * 3000}
EXPECTED = {
    path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in sorted(FILES.items())
}


def archive(
    *more: tuple[str, bytes, dict[str, t.Any]],
    files: dict[str, bytes] | None = None,
    mode: str = "w",
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as target:  # type: ignore[call-overload]
        for path, data in (FILES if files is None else files).items():
            add(target, f"upload/bindist/hello-1.0/{path}", data)
        for name, data, facts in more:
            add(target, name, data, **facts)
    return buffer.getvalue()


def add(target: tarfile.TarFile, name: str, data: bytes, **facts: t.Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for fact, value in facts.items():
        setattr(info, fact, value)
    target.addfile(info, io.BytesIO(data))


def place(folder: Path, data: bytes) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "upload.tar").write_bytes(data)
    return str(folder)


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_announced_files_are_laid_out(tmp_path: Path) -> None:
    folder = place(tmp_path / "artifacts", archive())
    assert unpack(folder, EXPECTED) == list(EXPECTED)
    for path, data in FILES.items():
        assert (tmp_path / "artifacts" / path).read_bytes() == data
        assert (tmp_path / "artifacts" / path).stat().st_mode & 0o7777 == 0o644


def test_what_was_not_announced_so_is_not(tmp_path: Path) -> None:
    hostile = archive(
        ("upload/bindist/x/other", b"wheel", {}),
        ("upload/bindist/x/link", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"}),
        ("upload/bindist/x/fifo", b"", {"type": tarfile.FIFOTYPE}),
        ("upload/bindist/x/../../../../escaped", b"wheel", {}),
        ("upload/bindist/x/dist/a.whl", b"WHEEL", {"mode": 0o6777}),
        files={},
    )
    folder = place(tmp_path / "artifacts", hostile)
    assert unpack(folder, EXPECTED) == []
    assert below(tmp_path) == {"artifacts/upload.tar"}


def test_a_path_is_taken_once(tmp_path: Path) -> None:
    twice = archive(("upload/bindist/x/dist/a.whl", b"wheel", {}))
    assert unpack(place(tmp_path / "artifacts", twice), EXPECTED) == list(EXPECTED)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_archives_are_refused(tmp_path: Path, mode: str) -> None:
    folder = place(tmp_path / "artifacts", archive(mode=mode))
    with pytest.raises(ArtifactError):
        unpack(folder, EXPECTED)
    with pytest.raises(ArtifactError):
        repack(str(tmp_path), {"bindist"})


def test_a_sparse_file_is_not_blown_up(tmp_path: Path) -> None:
    facts = {
        "pax_headers": {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.realsize": str(1 << 40),
            "GNU.sparse.name": "upload/bindist/hello-1.0/dist/a.whl",
        }
    }
    folder = place(
        tmp_path / "artifacts",
        archive(("upload/bindist/hello-1.0/s", b"1\n0\n1\n" + b"\0" * 600, facts), files={}),
    )
    expected = {"dist/a.whl": (1 << 40, "0" * 64)}
    assert unpack(folder, expected) == []
    with pytest.raises(ArtifactError, match="neither a file nor a folder"):
        repack(str(tmp_path), {"bindist"})
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 100_000


@pytest.mark.parametrize(
    "headers",
    [
        {"mtime": "nan"},
        {"mtime": "inf"},
        {"path": "a\0b"},
        {"size": "x"},
        {"GNU.sparse.map": "a,b"},
        {"uid": "1e400"},
    ],
)
def test_odd_headers_end_in_our_error(tmp_path: Path, headers: dict[str, str]) -> None:
    facts = {"pax_headers": headers}
    folder = place(tmp_path / "artifacts", archive(("upload/bindist/x/y", b"z", facts)))
    for step in (lambda: unpack(folder, EXPECTED), lambda: repack(str(tmp_path), {"bindist"})):
        try:
            step()
        except ArtifactError as error:
            assert "upload.tar" in str(error)


@pytest.mark.parametrize(
    "count", [pytest.param(1500, id="some"), pytest.param(10_000, id="all", marks=pytest.mark.long)]
)
def test_mutations_end_in_our_error_or_none(tmp_path: Path, count: int) -> None:
    """Nothing but ArtifactError comes out, and nothing gets out of the folder."""
    pick = random.Random(8)
    base = archive(
        ("upload/bindist/x/p", b"data", {"pax_headers": {"mtime": "1.5", "comment": "x"}}),
        ("upload/bindist/x/l", b"", {"type": tarfile.DIRTYPE}),
    )
    refused = made = 0
    for number in range(count):
        data = bytearray(base)
        for _dummy in range(pick.randint(1, 6)):
            at = pick.choice([pick.randrange(len(data)), pick.randrange(512), 345, 124, 156])
            data[at] = pick.choice([pick.randrange(256), 0, 0x31, 0x67, 0x78, 0x53, 0xFF])
        if number % 5 == 0:
            del data[pick.randrange(len(data)) :]
        logs = tmp_path / str(number)
        logs.mkdir()
        folder = place(logs / "artifacts", bytes(data))
        for step in (lambda: unpack(folder, EXPECTED), lambda: repack(str(logs), {"bindist"})):  # noqa: B023
            try:
                made += bool(step())
            except ArtifactError:
                refused += 1
        assert not [path for path in below(logs) if os.path.islink(logs / path)]
        assert {path.name for path in logs.iterdir()} <= {"artifacts", "delivery"}
        shutil.rmtree(logs)
    assert refused > count // 50
    assert made > count // 50
    assert list(tmp_path.iterdir()) == []


def sparse() -> bytes:
    """An archive of 1,536 bytes whose only member has 64 MiB."""
    info = tarfile.TarInfo("upload/bindist/debian/x")
    info.type = tarfile.GNUTYPE_SPARSE
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[386:410] = b"%011o\0%011o\0" % (64 << 20, 0)
    head[482] = 0
    head[483:495] = b"%011o\0" % (64 << 20)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(1024)


def many(count: int, name: str = "upload/bindist/x/y") -> bytes:
    return tarfile.TarInfo(name).tobuf() * count + bytes(1024)


def header(kind: bytes, content: bytes, count: int = 1) -> bytes:
    """So many headers that hold for others, and a file."""
    info = tarfile.TarInfo("h")
    info.type, info.size = kind, len(content)
    one = info.tobuf() + content + bytes(-len(content) % 512)
    return one * count + archive()


def records(count: int, size: int = 4) -> bytes:
    """So many records of a pax header."""
    lines = b""
    for number in range(count):
        line = b" k%d=%s\n" % (number, b"v" * size)
        length = len(line) + 1
        length = len(str(length)) + len(line)
        length = len(str(length)) + len(line)
        lines += b"%d%s" % (length, line)
    return lines


def bombs() -> dict[str, t.Callable[[], bytes]]:
    def one(**facts: t.Any) -> bytes:
        return archive(("upload/bindist/x/y", b"", facts))

    negative = tarfile.TarInfo("upload/bindist/x/y")
    negative.size = -1024
    return {
        "xz": lambda: archive(files={"x": bytes(16 << 20)}, mode="w:xz"),
        "gz": lambda: archive(files={"x": bytes(16 << 20)}, mode="w:gz"),
        "sparse": sparse,
        "hard link": lambda: one(
            type=tarfile.LNKTYPE, linkname="upload/bindist/hello-1.0/dist/a.whl"
        ),
        "link": lambda: one(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "link elsewhere": lambda: archive(
            ("stray", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"})
        ),
        "device": lambda: one(type=tarfile.CHRTYPE, devmajor=1, devminor=8),
        "block device": lambda: one(type=tarfile.BLKTYPE),
        "fifo": lambda: one(type=tarfile.FIFOTYPE),
        "100,000 members": lambda: many(100_000),
        "100,000 others": lambda: many(100_000, "other/x"),
        "a long header": lambda: header(tarfile.XHDTYPE, records(1, 1 << 20)),
        "a long name": lambda: header(tarfile.GNUTYPE_LONGNAME, b"n" * (1 << 20)),
        "many headers for all": lambda: header(tarfile.XGLTYPE, records(500)),
        "a chain of headers": lambda: header(tarfile.XHDTYPE, records(1), 5000),
        "a chain of headers for all": lambda: header(tarfile.XGLTYPE, records(50), 5000),
        "a negative size": lambda: negative.tobuf(tarfile.GNU_FORMAT) + bytes(2048),
        "too large": lambda: archive(files={"x": bytes((1 << 20) + 1)}),
        "large in pieces": lambda: archive(files={str(n): bytes(1 << 18) for n in range(5)}),
        "cut off": lambda: archive(files={"x": bytes(1 << 19)})[: 1 << 18],
        "an announced size": lambda: archive(
            ("upload/bindist/x/y", b"", {"pax_headers": {"size": str(1 << 60)}})
        ),
    }


@pytest.mark.parametrize("name", sorted(bombs()))
def test_bombs_are_refused(tmp_path: Path, name: str) -> None:
    """In little time, memory and disk, and as the task's fault, for good."""
    place(tmp_path / "artifacts", bombs()[name]())
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError) as caught:
            repack(str(tmp_path), {"bindist"}, 1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (caught.value.culprit, caught.value.temporary) == ("task", False)
    assert "upload.tar" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 32 << 20
    made = below(tmp_path) - {"artifacts/upload.tar"}
    assert sum((tmp_path / path).stat().st_size for path in made) < 2 << 20
    assert not [path for path in made if path.endswith(".new")]


def test_an_upload_stands_in_for_no_archive(tmp_path: Path) -> None:
    """Whatever else the worker uploads, the controller gets what was repacked."""
    place(tmp_path / "artifacts", archive())
    for name in ("upload/bindist/hello-1.0.tar", "delivery/bindist/hello-1.0.tar"):
        path = tmp_path / "artifacts" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"evil")
        path.with_name("hello-1.0.tar.uploaded").write_bytes(b"")
    (artifact,) = repack(str(tmp_path), {"bindist"})
    assert not os.path.exists(artifact.marker)
    with tarfile.open(artifact.path) as found:
        assert {info.name for info in found} == {f"hello-1.0/{path}" for path in FILES}
        assert {info.mode for info in found} <= {0o644, 0o755}


def test_a_full_disk_is_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path / "artifacts", archive())

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(ArtifactError, match="No space left") as caught:
        repack(str(tmp_path), {"bindist"})
    assert (caught.value.culprit, caught.value.temporary) == ("host", True)
    monkeypatch.undo()
    assert len(repack(str(tmp_path), {"bindist"})) == 1
