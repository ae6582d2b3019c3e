# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives and layers of others, laid out by the builder of images: good ones, and hostile ones."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import layers
import pytest
import streams
from helpers.archives import archive, entry, hard, link
from programs import BuildError
from tree import Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty tree, beside what nobody may touch."""
    (tmp_path / "root").mkdir()
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "kept").write_text("kept")
    os.utime(tmp_path / "victim", (5, 5))
    return tmp_path / "root"


def lay_out(root: Path, *archives: bytes, whiteouts: bool = True, megabytes: int = 4) -> int:
    """Lay the archives out in ``root``, one over the other: how many devices were left out."""
    budget = streams.Budget(megabytes)
    made = layers.Layers(Tree(str(root)), budget)
    for number, data in enumerate(archives):
        path = root.parent / f"{number}.tar"
        path.write_bytes(data)
        with streams.opened(str(path), f"layer {number}", budget) as stream:
            made.apply(stream, whiteouts=whiteouts)
    victim = root.parent / "victim"
    assert (victim / "kept").read_text() == "kept"
    assert os.listdir(victim) == ["kept"]
    assert victim.stat().st_mtime == 5
    assert victim.stat().st_mode & 0o7777 == 0o755
    return made.left_out


def found(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


CAPABILITY = b"\x01\0\0\x02\x00\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
PLAIN = archive(
    entry("./", mode=0o755),
    entry("./bin/"),
    entry("./bin/ping", "ping", mode=0o4755, uid=7, gid=9, mtime=1e9),
    hard("./bin/pong", "bin/ping"),
    link("./bin/pang", "/bin/ping"),
    entry(
        "./bin/cap",
        "cap",
        pax_headers={
            "SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape"),
            "SCHILY.xattr.user.note": "here",
            "SCHILY.xattr.trusted.overlay.redirect": "/etc",
            "SCHILY.xattr.user.overlay.opaque": "y",
        },
    ),
    entry("./tmp/", mode=0o1777, mtime=1e9),
    entry("./tmp/zeros", bytes(1 << 20)),
    entry("/absolute", "x"),
)


@pytest.mark.parametrize("program", ["cat", "gzip", "zstd", "xz", "bzip2", "lzip"])
def test_what_is_in_an_archive_is_what_is_laid_out(root: Path, program: str) -> None:
    packed = subprocess.run([program], input=PLAIN, capture_output=True, check=True).stdout
    assert lay_out(root, packed, whiteouts=False) == 0
    ping = (root / "bin/ping").stat()
    assert (ping.st_mode & 0o7777, ping.st_uid, ping.st_gid) == (0o4755, 7, 9)
    assert (ping.st_mtime, ping.st_nlink) == (1e9, 2)
    assert (root / "bin/pong").samefile(root / "bin/ping")
    assert os.readlink(root / "bin/pang") == "/bin/ping"
    assert os.getxattr(root / "bin/cap", "security.capability") == CAPABILITY
    assert sorted(os.listxattr(root / "bin/cap")) == ["security.capability", "user.note"]
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "tmp").stat().st_mtime == 1e9
    assert (root / "tmp/zeros").read_bytes() == bytes(1 << 20)
    assert (root / "tmp/zeros").stat().st_blocks == 0
    assert (root / "absolute").read_text() == "x"


LOWER = archive(
    entry("a/"),
    entry("a/one", "1"),
    entry("a/two", "2"),
    entry("a/b/c/deep", "3"),
    entry("file", "f"),
    link("link", "a"),
)


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ([entry("a/.wh.one", "")], ["a/b", "a/b/c", "a/b/c/deep", "a/two", "file", "link"]),
        ([entry(".wh.a", "")], ["file", "link"]),
        ([entry(".wh.link", "")], ["a/b", "a/b/c", "a/b/c/deep", "a/one", "a/two", "file"]),
        ([entry(".wh.none", ""), entry(".wh.a", "")], ["file", "link"]),
        # What a layer brings itself is not meant, wherever in it that is.
        (
            [entry("a/new", "n"), entry("a/.wh..wh..opq", ""), entry("a/b/other", "o")],
            ["a/b", "a/b/other", "a/new", "file", "link"],
        ),
        (
            [entry("a/b/c/new", "n"), entry("a/.wh..wh..opq", "")],
            ["a/b", "a/b/c", "a/b/c/new", "file", "link"],
        ),
        ([entry("a/", mode=0o700), entry(".wh.a", "")], ["file", "link"]),
        # A folder in place of a file, a file in place of a folder, a folder in place of a link.
        (
            [entry("file/"), entry("file/x", "x"), entry("a", "now a file"), entry("link/")],
            ["file", "file/x", "link"],
        ),
        ([entry(".wh..wh.plnk/"), entry("link/through", "t")], None),
    ],
)
def test_layers_over_one_another(
    root: Path, upper: list[tuple[tarfile.TarInfo, bytes]], left: list[str] | None
) -> None:
    lay_out(root, LOWER, archive(*upper))
    if left is None:
        assert (root / "a/through").read_text() == "t"
        assert not (root / ".wh..wh.plnk").exists()
        return
    assert [name for name in found(root) if name != "a"] == left


def test_names_of_whiteouts_are_files_elsewhere(root: Path) -> None:
    lay_out(root, archive(entry("a", "1"), entry(".wh.a", "2")), whiteouts=False)
    assert found(root) == [".wh.a", "a"]


OUT = "../../victim"


@pytest.mark.parametrize(
    ("entries", "place"),
    [
        # Links lead to where they would in the machine.
        ([link("l", "/"), entry("l/etc/x", "1")], "etc/x"),
        ([link("l", OUT), entry("l/new", "1")], "victim/new"),
        ([link("a/l", "../../../../../victim"), entry("a/l/new", "1")], "victim/new"),
        ([link("l", "/victim"), entry(".wh.x", ""), entry("l/.wh.kept", "")], ""),
        ([link("l", OUT), entry("l/.wh..wh..opq", "")], ""),
        ([link("l", OUT), link("m", "l/kept"), entry("m", "overwritten")], "m"),
        ([entry("a/b/", mtime=7), entry(".wh.x", ""), link("a", OUT)], "a"),
        # Its time is set at the end, when what is above it is a link.
        ([entry("a/victim/", mtime=7), link("a", "..")], "a"),
        ([link("l", "../victim"), entry("l/", mode=0o777)], "l"),
    ],
)
def test_no_link_leads_out(
    root: Path, entries: list[tuple[tarfile.TarInfo, bytes]], place: str
) -> None:
    lay_out(root, archive(*entries))
    assert os.path.lexists(root / place)


def sparse(name: str, size: int) -> tuple[tarfile.TarInfo, bytes]:
    headers = {"GNU.sparse.map": f"{size - 1},1", "GNU.sparse.size": str(size)}
    return entry(name, "x", pax_headers={**headers, "GNU.sparse.numblocks": "1"})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (archive(entry("../x", "1")), "its path '../x' leads out of it"),
        (archive(entry("/a/../../x", "1")), "leads out of it"),
        (archive(hard("x", "../victim/kept")), "to which 'x' is linked, leads out of it"),
        (
            archive(link("l", OUT), hard("x", "l/kept")),
            "/x is linked to /l/kept, which is no file in it",
        ),
        (archive(link("l", "l"), entry("l/x", "1")), "leads round in a circle of links"),
        (archive(entry("a/.wh...", "")), "has a whiteout '.wh...' of no file"),
        (archive(entry("a/.wh.", "")), "has a whiteout '.wh.' of no file"),
        (archive(link(".", "/etc")), "its root is no folder"),
        (archive(entry("a", "1"), entry("a/b", "2")), "cannot make the folder /a: File exists"),
        (archive(entry("a" * 300, "1")), "File name too long"),
        (archive(entry("a/" * 300 + "b", "1")), "is more than 200 folders deep"),
        (archive(entry("x" * 5000, "1")), "a path is too long"),
        (archive(entry("x", "1", uid=70000)), "is owned by 70000:0, and machines have users"),
        (archive(entry("x", "1", pax_headers={"uid": "-1"})), "is owned by -1:0"),
        (archive(entry("x", bytes(5 << 20))), "more than the 4 MB of the machine's disk"),
        (archive(sparse("x", 1 << 40)), "more than the 4 MB of the machine's disk"),
        (archive(entry("x", "1", pax_headers={"c": "y" * (5 << 20)})), "it has a header of"),
        (archive(entry("x", "1", pax_headers={"size": "-700"})), "layer 0"),
        (archive(entry("x", bytes(5000)))[:3000], "no archive of tar, or damaged"),
        (archive(entry("x", "1"))[:512], "layer 0"),
        (archive(entry("x", "1"))[:1024] + b"junk" * 256, "it ends in the midst"),
        (b"no archive", "no archive of tar, or damaged"),
        (b"", "no archive of tar, or damaged"),
        (b"\x1f\x8b\x08junk", "damaged"),
        (b"\x28\xb5\x2f\xfdjunk", "damaged"),
    ],
)
def test_what_is_hostile_or_damaged_is_refused(root: Path, data: bytes, words: str) -> None:
    with pytest.raises(BuildError) as raised:
        lay_out(root, data)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert os.listdir(root.parent / "victim") == ["kept"]


def test_files_without_end_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_MOST_FILES", 3)
    with pytest.raises(BuildError, match="more than 3 files"):
        lay_out(root, archive(*(entry(str(number), "") for number in range(4))))


def test_devices_are_left_out(root: Path) -> None:
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    entries = [entry(f"dev/{kind.decode()}", type=kind, devmajor=1) for kind in kinds]
    assert lay_out(root, archive(entry("dev/"), *entries)) == 3
    assert found(root) == ["dev"]


def test_a_program_that_is_missing_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = subprocess.run(["zstd"], input=PLAIN, capture_output=True, check=True).stdout
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match="by zstd, which is not on this host: install the package"):
        lay_out(root, packed)
