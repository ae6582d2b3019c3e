# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.files import (
    TEMPORARY,
    Blocks,
    NetasciiBlocks,
    Upload,
    open_download,
    split_name,
    translate,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import (
    ACCESS,
    FULL,
    NOT_FOUND,
    UNDEFINED,
    TftpError,
    encode_netascii,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def download(root: Path, name: str) -> bytes:
    descriptor = open_download(str(root), name)
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def upload(root: Path, name: str, content: bytes = b"new", *, netascii: bool = False) -> None:
    target = Upload(str(root), name, netascii=netascii)
    try:
        target.write(memoryview(content))
        target.publish()
    finally:
        target.discard()


def refusal(root: Path, name: str, *, put: bool = False) -> int:
    with pytest.raises(TftpError) as caught:
        if put:
            upload(root, name)
        else:
            download(root, name)
    assert str(root) not in str(caught.value), "paths of this host are nobody's business"
    return caught.value.code


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a",)),
        ("/a", ("a",)),
        ("//a//b/./c", ("a", "b", "c")),
        ("a..b/..c/d..", ("a..b", "..c", "d..")),
        ("sub dir/ünï", ("sub dir", "ünï")),
    ],
)
def test_good_names(name, parts):
    assert split_name(name) == parts


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        ".",
        "a/",
        "..",
        "../secret",
        "/../secret",
        "a/../../secret",
        "a/..",
        "a\0b",
        "a\nb",
        "a\x1b[2Jb",
        "x" * 256,
        "/".join("x" * 17),
        "x/" * 600 + "y",
        TEMPORARY + "0",
        "a/" + TEMPORARY + "0",
    ],
)
@pytest.mark.parametrize("put", [False, True])
def test_bad_names(root, name, put):
    before = tree(root.parent)
    assert refusal(root, name, put=put) == ACCESS
    assert tree(root.parent) == before


@given(st.text(max_size=80))
def test_any_name_is_split_or_refused(name):
    try:
        parts = split_name(name)
    except TftpError:
        return
    assert parts
    assert not {"", ".", ".."} & set(parts)
    assert not any("/" in part or "\0" in part for part in parts)


def test_a_file_and_one_in_a_directory_are_read(root):
    (root / "sub").mkdir()
    (root / "a").write_text("A")
    (root / "sub/b").write_text("B")
    assert download(root, "/a") == b"A"
    assert download(root, "sub/b") == b"B"


def test_links_inside_the_root_are_followed(root):
    (root / "real").mkdir()
    (root / "real/a").write_text("A")
    (root / "link").symlink_to("real")
    (root / "absolute").symlink_to(root / "real/a")
    (root / "real/up").symlink_to("../real/a")
    assert download(root, "link/a") == download(root, "absolute") == b"A"
    assert download(root, "real/up") == b"A"


def test_a_root_that_is_a_link_is_fine(root):
    (root / "a").write_text("A")
    link = root.parent / "link"
    link.symlink_to(root)
    assert download(link, "a") == b"A"
    upload(link, "b")
    assert (root / "b").read_bytes() == b"new"


def test_links_out_of_the_root_are_refused(root):
    (root / "file").symlink_to("../secret")
    (root / "absolute").symlink_to(root.parent / "secret")
    (root / "directory").symlink_to("..")
    (root / "proc").symlink_to("/proc/self")
    (root / "loop").symlink_to("loop")
    for name in ("file", "absolute", "directory/secret", "proc/status", "loop"):
        assert refusal(root, name) == ACCESS


def test_a_neighbour_with_a_longer_name_is_outside(root):
    (root.parent / "root2").mkdir()
    (root.parent / "root2/a").write_text("A")
    (root / "a").symlink_to("../root2/a")
    assert refusal(root, "a") == ACCESS


def test_only_regular_files_are_read(root):
    (root / "directory").mkdir()
    os.mkfifo(root / "fifo")  # opening it would block for ever
    os.mknod(root / "null", 0o666 | 0o020000, os.makedev(1, 3))
    for name in ("directory", "fifo", "null"):
        assert refusal(root, name) == ACCESS


def test_what_is_missing_is_not_found(root):
    assert refusal(root, "nothing") == NOT_FOUND
    assert refusal(root, "nowhere/nothing") == NOT_FOUND


@pytest.mark.parametrize("put", [False, True])
def test_a_root_that_is_gone(root, put):
    root.rmdir()
    assert refusal(root, "a", put=put) == ACCESS


def test_half_an_upload_cannot_be_read_by_a_link(root):
    (root / (TEMPORARY + "0")).write_text("half")
    (root / "link").symlink_to(TEMPORARY + "0")
    assert refusal(root, "link") == ACCESS


def test_an_upload_appears_whole_and_at_once(root):
    target = Upload(str(root), "a")
    target.write(memoryview(b"x" * 65464))
    target.write(memoryview(b"y" * 65464))
    target.write(memoryview(b"z" * 65464))
    assert not (root / "a").exists()
    assert all(name.startswith(TEMPORARY) for name in tree(root))
    target.publish()
    assert tree(root) == {"a"}
    assert (root / "a").read_bytes() == b"x" * 65464 + b"y" * 65464 + b"z" * 65464
    target.discard()
    assert tree(root) == {"a"}


def test_an_upload_makes_directories_and_replaces_files(root):
    upload(root, "/x/y/z", b"1")
    upload(root, "x/y/z", b"2")
    assert tree(root) == {"x", "x/y", "x/y/z"}
    assert (root / "x/y/z").read_bytes() == b"2"


def test_a_discarded_upload_leaves_nothing(root):
    (root / "there").mkdir()
    target = Upload(str(root), "there/new/newer/a")
    target.write(memoryview(b"x" * 60000))
    target.discard()
    target.discard()
    assert tree(root) == {"there"}


def test_a_discarded_upload_leaves_what_others_put_there(root):
    target = Upload(str(root), "new/a")
    upload(root, "new/b")
    target.discard()
    assert tree(root) == {"new", "new/b"}


def test_descriptors_are_returned(root):
    before = len(os.listdir("/proc/self/fd"))
    for _dummy in range(3):
        upload(root, "x/y/a")
        Upload(str(root), "new/newer/b").discard()
        refusal(root, "x/y", put=True)
        refusal(root, "missing")
        download(root, "x/y/a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_upload_follows_no_links(root):
    (root / "link").symlink_to("../secret")
    (root / "dangling").symlink_to("../new")
    (root / "directory").symlink_to("..")
    for name in ("link", "dangling", "directory/secret", "directory/new"):
        assert refusal(root, name, put=True) == ACCESS
    assert (root.parent / "secret").read_text() == "secret"
    assert tree(root) == {"link", "dangling", "directory"}


def test_an_upload_replaces_nothing_but_files(root):
    (root / "directory").mkdir()
    os.mkfifo(root / "fifo")
    for name in ("directory", "fifo", "fifo/below"):
        assert refusal(root, name, put=True) == ACCESS
    assert tree(root) == {"directory", "fifo"}


def test_an_obstacle_that_comes_later_is_refused_too(root):
    target = Upload(str(root), "a")
    (root / "a").symlink_to("../secret")
    with pytest.raises(TftpError):
        target.publish()
    target.discard()
    assert tree(root) == {"a"}
    assert (root.parent / "secret").read_text() == "secret"


def test_a_netascii_upload_is_translated(root):
    upload(root, "a", encode_netascii(b"one\ntwo\r"), netascii=True)
    assert (root / "a").read_bytes() == b"one\ntwo\r"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, NOT_FOUND),
        (errno.EACCES, ACCESS),
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, FULL),
        (errno.EIO, UNDEFINED),
    ],
)
def test_system_errors_become_tftp_errors(number, code):
    assert translate(OSError(number, "", "/a/path")).code == code


def all_packets(blocks: Blocks, window: int) -> list[bytes]:
    got: list[bytes] = []
    while not got or len(got) < (blocks.last or 1 << 60):
        view, count = blocks.packets(len(got) + 1, window)
        got += [
            bytes(view[start : start + blocks.stride])
            for start in range(0, len(view), blocks.stride)
        ]
        assert count >= 1
    blocks.close()
    return got


def descriptor_of(content: bytes) -> int:
    descriptor = os.memfd_create("content")
    os.write(descriptor, content)
    return descriptor


@given(
    content=st.binary(max_size=3000),
    block=st.sampled_from([8, 100, 512, 1468, 65464]),
    window=st.integers(1, 40),
    netascii=st.booleans(),
)
def test_a_file_is_cut_into_blocks(content, block, window, netascii):
    kind = NetasciiBlocks if netascii else Blocks
    blocks = kind(descriptor_of(content), block=block, window=window)
    sent = encode_netascii(content) if netascii else content
    packets = all_packets(blocks, window)
    assert b"".join(packet[4:] for packet in packets) == sent
    assert [len(packet) - 4 for packet in packets[:-1]] == [block] * (len(packets) - 1)
    assert len(packets[-1]) - 4 == len(sent) % block
    assert blocks.payload(len(packets)) == len(sent)
    assert all(
        packet[:4] == bytes([0, 3, *number.to_bytes(2, "big")])
        for number, packet in enumerate(packets, 1)
    )


@pytest.mark.parametrize("kind", [Blocks, NetasciiBlocks])
def test_any_later_block_can_be_asked_for_again(kind):
    content = bytes(range(32, 256)) * 2000
    blocks = kind(descriptor_of(content), block=512, window=4)
    for first in (1, 1, 3, 4, 4, *range(5, 800, 3)):
        view, count = blocks.packets(first, 4)
        assert count == 4
        start = (first - 1) * 512
        payload = b"".join(bytes(view[i * 516 + 4 : (i + 1) * 516]) for i in range(4))
        assert payload == content[start : start + 2048]
    blocks.close()


@pytest.mark.parametrize("kind", [Blocks, NetasciiBlocks])
def test_a_file_that_grows_is_sent_as_it_was(kind):
    descriptor = descriptor_of(b"x" * 1000)
    blocks = kind(descriptor, block=512, window=1)
    os.pwrite(descriptor, b"y" * 9000, 1000)
    assert b"".join(packet[4:] for packet in all_packets(blocks, 1)) == b"x" * 1000


@pytest.mark.parametrize("kind", [Blocks, NetasciiBlocks])
def test_a_file_that_shrinks_ends_early(kind):
    descriptor = descriptor_of(b"x" * 1_000_000)
    blocks = kind(descriptor, block=512, window=1)
    os.ftruncate(descriptor, 1000)
    assert b"".join(packet[4:] for packet in all_packets(blocks, 1)) == b"x" * 1000
