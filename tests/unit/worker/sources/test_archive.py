# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of every kind become trees, whole and as they were meant, or are refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import inspect, main
from bbot_worker.account import Account
from bbot_worker.errors import NotHere, WorkerError
from bbot_worker.sources import place
from bbot_worker.sources.archive import unpack

REG, DIR, SYM, LNK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


class Unpack:
    def __init__(self, folder: Path, account: Account) -> None:
        self.folder, self.account, self.number = folder, account, 0

    def __call__(self, data: bytes) -> Path:
        self.number += 1
        path = self.folder / f"archive{self.number}"
        path.write_bytes(data)
        return Path(unpack(str(path), str(self.folder / f"tree{self.number}"), self.account))


@pytest.fixture(name="unpacked")
def unpacked_fixture(tmp_path: Path, account: Account) -> Unpack:
    return Unpack(tmp_path, account)


def compress(data: bytes, kind: str) -> bytes:
    program = {"zst": "zstd", "lz": "lzip", "gz": "gzip", "bz2": "bzip2", "xz": "xz"}.get(kind)
    if program is None:
        return data
    return subprocess.run([program, "-c"], input=data, capture_output=True, check=True).stdout


KINDS = ["tar", "gz", "bz2", "xz", "zst", "lz"]


@pytest.fixture(params=KINDS)
def hello(request: pytest.FixtureRequest, archives: Any) -> bytes:
    # Incompressible enough for a cut to be one.
    content = b"".join(b"%d %x\n" % (number, hash(number * 7919)) for number in range(4000))
    data = archives.tar(
        (archives.member("hello-1.0/src/main.c"), content),
        (archives.member("hello-1.0/link", SYM, "src/main.c"), b""),
        (archives.member("hello-1.0/hard", LNK, "hello-1.0/src/main.c"), b""),
        mode="w",
    )
    return compress(data, request.param)


def test_every_compression(unpacked: Unpack, hello: bytes) -> None:
    tree = unpacked(hello)
    assert tree.name == "hello-1.0"
    assert (tree / "hard").read_bytes() == (tree / "src/main.c").read_bytes()
    assert (tree / "hard").stat().st_ino == (tree / "src/main.c").stat().st_ino
    assert os.readlink(tree / "link") == "src/main.c"


def test_what_is_cut_off_is_refused(unpacked: Unpack, hello: bytes) -> None:
    # A plain archive ends with more zeros than need to be there.
    whole = len(hello) if hello[257:262] != b"ustar" else len(hello.rstrip(b"\0")) + 1
    for size in [0, 1, whole // 3, whole // 2, whole - 1024, whole - 9, whole - 1]:
        with pytest.raises(WorkerError) as caught:
            unpacked(hello[:size])
        assert caught.value.status == "error"


def test_a_changed_byte_of_compressed_content_is_noticed(unpacked: Unpack, hello: bytes) -> None:
    if hello[257:262] == b"ustar":
        return  # Only headers have checksums there.
    changed = bytearray(hello)
    changed[len(hello) // 2] ^= 1
    with pytest.raises(WorkerError, match="unreadable"):
        unpacked(bytes(changed))


def test_a_plain_archive_cut_between_members_is_refused(unpacked: Unpack, archives: Any) -> None:
    data = archives.tar((archives.member("a"), b"1"), (archives.member("b"), b"2"), mode="w")
    with pytest.raises(WorkerError, match="cut off: it has no end"):
        unpacked(data[:1024])


def test_a_damaged_header_is_no_end(unpacked: Unpack, archives: Any) -> None:
    data = bytearray(
        archives.tar((archives.member("a"), b"1"), (archives.member("b"), b"2"), mode="w")
    )
    data[1024] ^= 1
    with pytest.raises(WorkerError, match="bad checksum"):
        unpacked(bytes(data))


@pytest.mark.parametrize(("kind", "program"), [("zst", "zstd"), ("lz", "lzip")])
def test_a_missing_program_is_named(
    unpacked: Unpack, archives: Any, kind: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = compress(archives.tar((archives.member("a"), b"1"), mode="w"), kind)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotHere, match=f"no {program} here: Debian's package {program}"):
        unpacked(data)


def test_what_another_machine_may_know_is_not_looked_into(
    tmp_path: Path, archives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hello.tar.zst"
    content = b"project('hello', 'c')"
    data = archives.tar((archives.member("meson.build"), content), mode="w")
    path.write_bytes(compress(data, "zst"))
    assert json.loads(inspect.inspect(str(path), ""))["driver"] == "meson"
    monkeypatch.setenv("PATH", "/nonexistent")
    assert json.loads(inspect.inspect(str(path), "")) == {}


def interpreters() -> list[str]:
    """Every Python from 3.9 on that is here: guests have others than we do."""
    folders = [*os.environ["PATH"].split(":"), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    names = [f"python3.{minor}" for minor in range(9, 20)]
    paths = {name: shutil.which(name, path=":".join(reversed(folders))) for name in names}
    return [path for path in paths.values() if path] + [sys.executable]


@pytest.mark.parametrize("python", interpreters())
@pytest.mark.parametrize("kind", KINDS)
def test_every_python(python: str, kind: str, archives: Any, tmp_path: Path) -> None:
    info = archives.member("hello-1/" + "long" * 50)
    content = b"project('hello', 'c')"
    data = archives.tar((info, b"1"), (archives.member("hello-1/meson.build"), content), mode="w")
    path = tmp_path / "archive"
    path.write_bytes(compress(data, kind))
    worker = Path(main.__file__).parents[1]
    command = [python, "-I", "-S", "-B", str(worker), "--inspect", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["driver"] == "meson"


def zipped(*members: tuple[str, bytes, int], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6))
            info.external_attr, info.create_system, info.compress_type = (
                mode << 16 | 0x20,
                3,
                method,
            )
            archive.writestr(info, data)
    return buffer.getvalue()


def test_zip(unpacked: Unpack) -> None:
    tree = unpacked(
        zipped(
            ("p-1/run", b"#!", stat.S_IFREG | 0o4775),
            ("p-1/plain", b"x", 0),
            ("p-1/link", b"/usr/share/x", stat.S_IFLNK | 0o777),
            ("p-1/é", b"x", stat.S_IFREG | 0o400),
        )
    )
    assert tree.name == "p-1"
    assert stat.S_IMODE((tree / "run").stat().st_mode) == 0o755
    assert (tree / "run").stat().st_mtime == 1580702706
    assert stat.S_IMODE((tree / "plain").stat().st_mode) == 0o644
    assert stat.S_IMODE((tree / "é").stat().st_mode) == 0o600
    assert os.readlink(tree / "link") == "/usr/share/x"


def test_a_damaged_zip_is_refused(unpacked: Unpack) -> None:
    data = zipped(("a", b"content", 0), method=zipfile.ZIP_STORED)
    for bad in (data.replace(b"content", b"CONTENT"), data[:-5], data[:40]):
        with pytest.raises(WorkerError):
            unpacked(bad)


def test_names_of_a_zip_keep_their_bytes(unpacked: Unpack) -> None:
    tree = unpacked(zipped(("aXb/c", b"", 0)).replace(b"aXb", b"a\xe4b"))
    assert os.fsencode(tree).endswith(b"a\xe4b")


def test_a_gem(unpacked: Unpack, archives: Any) -> None:
    data = archives.tar((archives.member("lib/a.rb"), b"puts 1"))
    gem = archives.tar(
        *((archives.member(name), content) for name, content in (
            ("metadata.gz", b"m"), ("data.tar.gz", data), ("checksums.yaml.gz", b"c")
        )),
        mode="w",
    )  # fmt: skip
    tree = unpacked(gem)
    assert sorted(os.listdir(tree)) == ["lib", "metadata.gz"]
    assert (tree / "lib/a.rb").read_bytes() == b"puts 1"


def test_a_gem_whose_data_is_a_link(unpacked: Unpack, archives: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.tar.gz"
    other.write_bytes(archives.tar((archives.member("secret"), b"1")))
    links = [(archives.member("metadata.gz"), b""), (archives.member("data.tar.gz"), b"")]
    links[1] = (archives.member("data.tar.gz", SYM, str(other)), b"")
    with pytest.raises(WorkerError):
        unpacked(archives.tar(*links, mode="w"))


@pytest.mark.parametrize(
    ("names", "project"),
    [
        (["p/a", "p/b/c"], "p"),
        (["./p/a"], ""),
        (["p/a", "q"], ""),
        (["p"], ""),
        (["p/a", "pax"], ""),
    ],
)
def test_a_single_folder_at_the_top_is_the_project(
    unpacked: Unpack, archives: Any, names: list[str], project: str
) -> None:
    tree = unpacked(archives.tar(*((archives.member(name), b"") for name in names)))
    assert tree == tree.parent / (project or "tree1")


def test_modes_and_times(unpacked: Unpack, archives: Any) -> None:
    members = []
    for number, mode in enumerate([0o777, 0o4755, 0o444, 0o2070, 0]):
        info = archives.member(f"p/{number}")
        info.mode, info.mtime = mode, 1_000_000_000 + number
        members.append((info, b""))
    folder = archives.member("p/d", DIR)
    folder.mode, folder.mtime = 0o1522, 1_000_000_009
    tree = unpacked(archives.tar((folder, b""), (archives.member("p/d/x"), b""), *members))
    modes = [stat.S_IMODE((tree / str(number)).stat().st_mode) for number in range(5)]
    assert modes == [0o755, 0o755, 0o644, 0o650, 0o600]
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o700
    assert (tree / "4").stat().st_mtime == 1_000_000_004
    assert (tree / "d").stat().st_mtime == 1_000_000_009


@pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "-5", str(2**63), "1e400"])
def test_odd_times_are_made_to_fit(unpacked: Unpack, archives: Any, mtime: str) -> None:
    info = archives.member("p/a")
    info.pax_headers = {"mtime": mtime}
    tree = unpacked(archives.tar((info, b"x")))
    assert 0 <= (tree / "a").stat().st_mtime <= 2**34


def test_all_is_the_build_users(
    unpacked: Unpack, archives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned: dict[str, tuple[int, int]] = {}

    def chown(path: str, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        assert not follow_symlinks
        owned[os.fsdecode(path)] = (uid, gid)

    monkeypatch.setattr(os, "chown", chown)
    unpacked.account.ids = (1234, 5678)
    tree = unpacked(
        archives.tar(
            (archives.member("p/deep/sub", DIR), b""),
            (archives.member("p/deep/file"), b""),
            (archives.member("p/link", SYM, "deep"), b""),
        )
    )
    inside = [str(path) for path in tree.rglob("*")]
    assert len(inside) == 4
    assert set(owned) == {str(tree.parent), str(tree), *inside}
    assert set(owned.values()) == {(1234, 5678)}


def test_links_are_kept_wherever_they_lead(unpacked: Unpack, archives: Any) -> None:
    targets = ["/usr/share/automake/install-sh", "../../outside", "nowhere", "."]
    links = [(archives.member(f"p/{n}", SYM, target), b"") for n, target in enumerate(targets)]
    tree = unpacked(archives.tar(*links))
    assert [os.readlink(tree / str(number)) for number in range(4)] == targets


def test_a_file_takes_the_place_of_a_link(unpacked: Unpack, archives: Any, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    link = archives.member("p/a", SYM, str(tmp_path / "outside"))
    tree = unpacked(archives.tar((link, b""), (archives.member("p/a"), b"theirs")))
    assert (tmp_path / "outside").read_text() == "mine"
    assert (tree / "a").read_bytes() == b"theirs"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("/etc/passwd", REG, "")], "'/etc/passwd', outside of its root"),
        ([("../escaped", REG, "")], "'../escaped', outside"),
        ([("..", DIR, "")], "'..', outside"),
        ([("a/../../escaped", REG, "")], "outside"),
        ([("a", SYM, "/tmp"), ("a/escaped", REG, "")], "'a' is a directory .*, and a file or link"),
        ([("a", SYM, "."), ("a/", DIR, "")], "and a file or link"),
        ([("a", REG, ""), ("a/b", REG, "")], "and a file or link"),
        ([("a/b", REG, ""), ("a", REG, "")], "'a' is a directory in the sources' archive, too"),
        ([("a", LNK, "../outside")], "outside"),
        ([("a", LNK, "/etc/passwd")], "outside"),
        ([("a", LNK, "b"), ("b", REG, "")], "a hard link to 'b', which is no file before it"),
        ([("s", SYM, "/etc"), ("a", LNK, "s/passwd")], "which is no file before it"),
        ([("d", DIR, ""), ("a", LNK, "d")], "which is no file before it"),
        ([("a", tarfile.CHRTYPE, "")], "'a' .* is no file, directory or link"),
        ([("a", tarfile.FIFOTYPE, "")], "is no file, directory or link"),
        ([("n" * 300, REG, "")], "File name too long"),
        ([("/".join(["n" * 200] * 30), REG, "")], "File name too long"),
        ([("/".join("n" * 300), REG, "")], "is deeper than 200 directories"),
        ([("", REG, "")], "without a name"),
    ],
)
def test_what_may_not_be_in_an_archive(
    unpacked: Unpack,
    archives: Any,
    tmp_path: Path,
    members: list[tuple[str, bytes, str]],
    message: str,
) -> None:
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(WorkerError, match=message) as caught:
        unpacked(archives.tar(*((archives.member(*member), b"") for member in members)))
    assert caught.value.status == "error"
    assert sorted(os.listdir(tmp_path)) == ["archive1", "outside", "tree1"]
    assert (tmp_path / "outside").read_text() == "mine"


def test_a_zero_byte_in_a_name(unpacked: Unpack, archives: Any) -> None:
    info = archives.member("a")
    info.pax_headers = {"path": "p/Make\0file"}
    with pytest.raises(WorkerError, match=r"'p/Make\\x00file' .* has a zero byte"):
        unpacked(archives.tar((info, b"")))


def test_names_keep_their_bytes(unpacked: Unpack, archives: Any) -> None:
    tree = unpacked(archives.tar((archives.member("p/a\udce4"), b"")))
    assert os.listdir(os.fsencode(tree)) == [b"a\xe4"]


@pytest.mark.parametrize("data", [b"nonsense" * 200, b"<!DOCTYPE html>", b"\0" * 10240])
def test_what_is_no_archive(unpacked: Unpack, data: bytes) -> None:
    with pytest.raises(WorkerError, match=r"the archive of the sources is (unreadable|empty)"):
        unpacked(data)


def test_what_is_too_large_for_the_disk(
    unpacked: Unpack, archives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "free", lambda _: (3 << 20, None))
    bomb = archives.tar((archives.member("zeros"), bytes(4 << 20)))
    assert len(bomb) < 10_000
    with pytest.raises(WorkerError, match="more than the 3 MB that are free"):
        unpacked(bomb)
    many = archives.tar(*((archives.member(f"p/{n}"), b"") for n in range(800)))
    with pytest.raises(WorkerError, match="more than the 3 MB that are free"):
        unpacked(many)


def test_too_many_members(unpacked: Unpack, archives: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MEMBERS_MOST", 9)
    with pytest.raises(WorkerError, match="more than 9 members"):
        unpacked(archives.tar((archives.member("1/2/3/4/5/6/7/8/9/10"), b"")))


def test_whatever_a_library_raises_is_the_archives_fault(
    unpacked: Unpack, archives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archives.tar((archives.member("a"), b""))
    for error in (ValueError("odd"), OverflowError("odd"), MemoryError(), RecursionError("odd")):

        def fail(*_dummy: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(tarfile.TarFile, "next", fail)
        with pytest.raises(WorkerError, match=f"unreadable: (odd|{type(error).__name__})"):
            unpacked(data)
