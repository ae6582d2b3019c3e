# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's archive of artifacts, as it should be and as a hostile guest would have it."""

from __future__ import annotations

import hashlib
import io
import os
import random
import tarfile
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
        repack(folder, {"bindist"})


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
    repack(folder, {"bindist"})
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
    for step in (lambda: unpack(folder, EXPECTED), lambda: repack(folder, {"bindist"})):
        try:
            step()
        except ArtifactError as error:
            assert "upload.tar" in str(error)


def test_mutations_end_in_our_error_or_none(tmp_path: Path) -> None:
    """Nothing but ArtifactError comes out, and nothing gets out of the folder."""
    pick = random.Random(8)
    base = archive(
        ("upload/bindist/x/p", b"data", {"pax_headers": {"mtime": "1.5", "comment": "x"}}),
        ("upload/bindist/x/l", b"", {"type": tarfile.SYMTYPE, "linkname": "p"}),
    )
    refused = 0
    for number in range(1500):
        data = bytearray(base)
        for _dummy in range(pick.randint(1, 6)):
            at = pick.choice([pick.randrange(len(data)), pick.randrange(512), 345, 124, 156])
            data[at] = pick.choice([pick.randrange(256), 0, 0x31, 0x67, 0x78, 0x53, 0xFF])
        if number % 5 == 0:
            del data[pick.randrange(len(data)) :]
        folder = place(tmp_path / str(number), bytes(data))
        for step in (lambda: unpack(folder, EXPECTED), lambda: repack(folder, {"bindist"})):  # noqa: B023
            try:
                step()
            except ArtifactError:
                refused += 1
        assert not [path for path in below(Path(folder)) if os.path.islink(tmp_path / path)]
    assert refused > 20
    assert {path.name for path in tmp_path.iterdir()} == {str(number) for number in range(1500)}
