# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive may cost: memory and time of the worker, and room on the disk."""

from __future__ import annotations

import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from bbot_worker.account import Account
from bbot_worker.errors import NotHere, WorkerError
from bbot_worker.sources import place, tar
from bbot_worker.sources.archive import unpack

REG, DIR, LNK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE


def unpacked(folder: Path, account: Account, data: bytes) -> Path:
    (folder / "archive").write_bytes(data)
    return Path(unpack(str(folder / "archive"), str(folder / "tree"), account))


def members(*entries: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mtime = kind, link, 1e9
            archive.addfile(info)
    return buffer.getvalue()


def extended(body: bytes) -> bytes:
    """A file whose extended header is this."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("header")
        info.type, info.size = b"x", len(body)
        archive.addfile(info, io.BytesIO(body))
        archive.addfile(tarfile.TarInfo("p/a"))
    return buffer.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_zips_that_are_unpacked_in_memory(
    tmp_path: Path, account: Account, method: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("p/zeros", bytes(1000))
    with pytest.raises(WorkerError, match=f"'p/zeros' .* by method {method}: .* or 'deflate'"):
        unpacked(tmp_path, account, buffer.getvalue())


@pytest.mark.parametrize(
    "body",
    [
        b"1" * 150_000,
        b"150014 comment=" + b"1" * 149_998 + b"\n",
        b"3 a" * 300 + b"=",
        b"0 a=b\n",
        b"99 a=b\n",
        b"6 a=b",
        b"9 abcdef\n",
        b"x a=b\n",
    ],
    ids=["digits", "digits in a value", "no ends", "empty", "long", "cut", "no value", "no length"],
)
def test_extended_headers_that_are_none(tmp_path: Path, account: Account, body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(WorkerError, match=r"unreadable: (invalid|too long a number in an) ext"):
        unpacked(tmp_path, account, extended(body))
    assert time.process_time() - began < 5


def test_extended_headers_as_they_are_usual(tmp_path: Path, account: Account) -> None:
    data = extended(b"30 mtime=1234567890.123456789\n" + b"12 comment=\n" * 50)
    assert (unpacked(tmp_path, account, data) / "a").stat().st_mtime == 1234567890.123456789


def test_the_sum_of_names(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "_NAMES_MOST", 10_000)
    data = members(*((f"{number:0200}/a", REG, "") for number in range(60)))
    with pytest.raises(WorkerError, match="has too many directories"):
        unpacked(tmp_path, account, data)


def test_the_same_directory_again_and_again(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar, "MEMBERS_MOST", 99)
    data = members(*[("p", DIR, "")] * 100)
    with pytest.raises(WorkerError, match="has more than 99 members"):
        unpacked(tmp_path, account, data)


def test_what_is_told_to_be_too_large_is_not_begun(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "free", lambda _: (4 << 20, None))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("p/holes")
        info.size = 1
        info.pax_headers = {"GNU.sparse.size": str(2**50), "GNU.sparse.numblocks": "1"}
        info.pax_headers["GNU.sparse.map"] = "0,1"
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(NotHere, match="unpacks to more than the 4 MB"):
        unpacked(tmp_path, account, buffer.getvalue())
    assert os.listdir(tmp_path / "tree/p") == []


def test_a_file_that_was_packed_twice(tmp_path: Path, account: Account) -> None:
    tree = unpacked(tmp_path, account, members(("p/a", REG, ""), ("p/./a", LNK, "p/a")))
    assert os.listdir(tree) == ["a"]


def test_a_link_to_itself_alone(tmp_path: Path, account: Account) -> None:
    with pytest.raises(WorkerError, match="a hard link to 'p/a', which is no file before it"):
        unpacked(tmp_path, account, members(("p/a", LNK, "p/a")))
