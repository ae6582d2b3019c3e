# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of containers in files, read by the builder of images: good ones, and such as lie."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

import archive as archives
import image
import kernel
import oci
import packages
import pytest
from helpers.archives import INDEX, Layout, archive, docker_archive, entry
from programs import BuildError
from streams import Budget
from target import ARCHITECTURES, target
from tree import Tree

LOWER = archive(entry("etc/"), entry("etc/old", "first"), entry("etc/kept", "2"))
UPPER = archive(entry("etc/.wh.old", ""), entry("etc/new", "3"))
AMD64 = {"os": "linux", "architecture": "amd64"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def unpack(layout: Path, root: Path, architecture: str = "amd64") -> list[str]:
    root.mkdir()
    oci.unpack(Tree(str(layout)), ARCHITECTURES[architecture], Tree(str(root)), Budget(4))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_layers_are_applied_in_their_order(layout: Layout, tmp_path: Path) -> None:
    layout.index(layout.image(LOWER, UPPER))
    assert oci.is_layout(Tree(str(layout.folder)))
    assert unpack(layout.folder, tmp_path / "root") == ["etc", "etc/kept", "etc/new"]


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("amd64", "etc/amd64"), ("arm64", "etc/arm64"), ("armhf", "etc/arm"), ("s390x", "etc/s390x")],
)
def test_the_image_of_the_architecture_is_chosen(
    layout: Layout, tmp_path: Path, architecture: str, name: str
) -> None:
    found = []
    for cpu, more in (
        ("amd64", {}),
        ("arm64", {"variant": "v8"}),
        ("arm", {"variant": "v6"}),
        ("arm", {"variant": "v7"}),
        ("s390x", {}),
    ):
        image = layout.image(archive(entry(f"etc/{cpu}", "1")), cpu=cpu, **more)
        found.append({**image, "platform": {"os": "linux", "architecture": cpu, **more}})
    found.append({**layout.image(LOWER), "platform": {"os": "unknown", "architecture": "unknown"}})
    nested = layout.blob({"manifests": [*found, layout.blob({}, "application/x-other")]}, INDEX)
    # The same one twice is one.
    layout.index(nested, nested)
    assert unpack(layout.folder, tmp_path / "root", architecture) == ["etc", name]


def test_what_docker_saves(tmp_path: Path) -> None:
    path, root, work = (tmp_path / name for name in ("saved.tar", "root", "work"))
    path.write_bytes(docker_archive(LOWER, UPPER))
    root.mkdir()
    work.mkdir()
    facts = (str(work), ARCHITECTURES["amd64"], 4)
    archives._unpack(str(path), Tree(str(root)), *facts)
    assert sorted(each.name for each in root.rglob("*")) == ["etc", "kept", "new"]


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def spoil_layer(layout: Layout) -> None:
    layout.path(hashlib.sha256(LOWER).hexdigest()).write_bytes(LOWER.replace(b"first", b"worst"))


def shorten_layer(layout: Layout) -> None:
    layout.path(hashlib.sha256(LOWER).hexdigest()).write_bytes(LOWER[:512])


def lose_layer(layout: Layout) -> None:
    layout.path(hashlib.sha256(LOWER).hexdigest()).unlink()


def lie_about_archive(layout: Layout) -> None:
    sums = {"diff_ids": [f"sha256:{'0' * 64}"]}
    layout.index(layout.image(LOWER, rootfs=sums))


def have_fewer_digests(layout: Layout) -> None:
    layout.index(layout.image(LOWER, UPPER, rootfs={"diff_ids": []}))


def have_no_digests(layout: Layout) -> None:
    layout.index(layout.image(LOWER, rootfs=[]))


def have_two(layout: Layout) -> None:
    layout.index(layout.image(LOWER), layout.image(UPPER))


def have_another(layout: Layout) -> None:
    layout.index(layout.image(LOWER, cpu="arm64", variant="v8"))


def lead_out(layout: Layout) -> None:
    layout.index({**layout.image(LOWER), "digest": "sha256:../../../etc/passwd"})


def lead_out_by_a_link(layout: Layout) -> None:
    path = layout.path(hashlib.sha256(LOWER).hexdigest())
    outside = layout.folder.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)


def say_another_kind(layout: Layout) -> None:
    layout.index({**layout.image(LOWER), "size": "large"})


def nest(layout: Layout) -> None:
    descriptor = layout.image(LOWER)
    for _level in range(7):
        descriptor = layout.blob({"manifests": [descriptor]}, INDEX)
    layout.index(descriptor)


def have_many(layout: Layout) -> None:
    leaf = layout.blob({"manifests": []}, INDEX)
    twig = layout.blob({"manifests": [leaf] * 100}, INDEX)
    layout.index(*[layout.blob({"manifests": [twig] * 100}, INDEX)] * 100)


def be_no_json(layout: Layout) -> None:
    (layout.folder / "index.json").write_text("[" * 100_000)


def be_a_list(layout: Layout) -> None:
    (layout.folder / "index.json").write_text("[]")


def be_of_another_version(layout: Layout) -> None:
    (layout.folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "2.0.0"}))


def be_huge(layout: Layout) -> None:
    with (layout.folder / "index.json").open("r+b") as file:
        file.truncate(1 << 30)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_layer, "is damaged: its bytes are not those of its name"),
        (shorten_layer, "is damaged: its bytes are not those of its name"),
        (lose_layer, "which is not in this layout"),
        (lie_about_archive, "its archive is not the one of SHA-256 0000"),
        (have_fewer_digests, "2 layers with 0 digests; there have to be as many"),
        (have_no_digests, "has no field rootfs, or one of another kind"),
        (have_two, "there are 2 images for linux/amd64 in this layout: copy the one that is meant"),
        (have_another, "no image for linux/amd64 in this layout; there are: linux/arm64/v8"),
        (lead_out, "'sha256:../../../etc/passwd' is no digest of the kind sha256"),
        (lead_out_by_a_link, "which is not in this layout"),
        (say_another_kind, "index.json has no field size, or one of another kind"),
        (nest, "more than 4 indices in one another"),
        (have_many, "more than 256 images in this layout"),
        (be_no_json, "index.json is no JSON"),
        (be_a_list, "index.json is not what an image has"),
        (be_of_another_version, "is of a version '2.0.0', which is not known here"),
        (be_huge, "index.json is not in this layout, or too long"),
    ],
)
def test_what_lies_is_refused(
    layout: Layout, tmp_path: Path, spoil: t.Callable[[Layout], None], words: str
) -> None:
    layout.index(layout.image(LOWER))
    spoil(layout)
    with pytest.raises(BuildError) as raised:
        unpack(layout.folder, tmp_path / "root")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_image_that_docker_saves_is_refused_where_it_lies(tmp_path: Path) -> None:
    good = docker_archive(LOWER)
    for number, (data, words) in enumerate(
        [
            (good.replace(b"first", b"worst"), "its archive is not the one of SHA-256"),
            (good.replace(b"diff_ids", b"diff_idz"), "its bytes are not those of its name"),
            (good.replace(b'0/layer.tar"', b'../../../et"'), "which is not in this archive"),
            (docker_archive(LOWER, cpu="s390x"), "this image is for linux/s390x, not for"),
            (archive(entry("manifest.json", "[{}, {}]")), "manifest.json is not of one image"),
        ]
    ):
        place = tmp_path / str(number)
        (place / "root").mkdir(parents=True)
        (place / "saved.tar").write_bytes(data)
        facts = (str(place), ARCHITECTURES["amd64"], 4)
        with pytest.raises(BuildError, match=words):
            archives._unpack(str(place / "saved.tar"), Tree(str(place / "root")), *facts)


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01" + bytes(12) + machine.to_bytes(2, "little")


SYSTEM = {"bin/sh": elf(62), "usr/bin/python3": elf(62), "usr/lib/python3.11/os.py": b""}


def system(tmp_path: Path, files: dict[str, bytes]) -> Tree:
    tree = Tree(str(tmp_path))
    for path, content in files.items():
        tree.write(path, content, 0o755)
    return tree


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bin/sh": None}, "this system has no /bin/sh"),
        ({"usr/bin/python3": None}, "this system has no python3, on which the worker runs: add"),
        (
            {"usr/lib/python3.11/os.py": None, "usr/lib/python3.8/os.py": b""},
            "is Python 3.8, and the worker needs 3.9 or later",
        ),
        ({"usr/bin/python3": elf(183)}, "/usr/bin/python3 of this system is not of the arch"),
        ({"bin/sh": elf(22)}, "/bin/sh of this system is not of the architecture amd64"),
    ],
)
def test_what_a_system_lacks_is_told(
    tmp_path: Path, changes: dict[str, bytes | None], words: str
) -> None:
    archives._check(system(tmp_path / "good", SYSTEM), ARCHITECTURES["amd64"])
    files = {
        path: content for path, content in {**SYSTEM, **changes}.items() if content is not None
    }
    with pytest.raises(BuildError, match=words):
        archives._check(system(tmp_path / "bad", files), ARCHITECTURES["amd64"])


def test_files_of_ours_stay_in_a_tree_whose_folders_are_links(tmp_path: Path) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    root.mkdir()
    victim.mkdir()
    for name in ("etc", "usr", "var"):
        (root / name).symlink_to("../victim")
    tree = Tree(str(root))
    (victim / "passwd").write_text("of the host")
    archives._add_user(tree)
    image.install_guest_files(str(root), "x")
    assert [path.name for path in victim.iterdir()] == ["passwd"]
    assert (victim / "passwd").read_text() == "of the host"
    assert {"bbot", "hosts", "passwd", "sbin"} <= {
        path.name for path in (root / "victim").iterdir()
    }


@pytest.mark.parametrize("kind", ["kvm", "nspawn"])
def test_nobody_else_sees_a_tree_while_it_is_laid_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    modes = []

    def look(root: str, *_: object) -> None:
        modes.append(os.stat(os.path.dirname(root)).st_mode & 0o777)
        raise BuildError("seen enough")

    monkeypatch.setattr(archives, "build_root", look)
    monkeypatch.setattr(packages, "busybox", lambda _apt, _work: "")
    monkeypatch.setattr(kernel, "unpack", lambda *_: None)
    facts = {"name": "x", "identity": "x-1", "summary": "x", "fingerprint": "f", "disk_size": 96}
    wanted = image.Image(target("", ""), "archive", **facts, archive="x", kind=kind)
    with pytest.raises(BuildError, match="seen enough"):
        image.build(wanted, str(tmp_path / "image"))
    assert modes == [0o700]


@pytest.mark.parametrize(
    ("files", "passwd", "group"),
    [
        ({}, "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000", "root:x:0:\nbuild:x:1000:\n"),
        # No line break at the end, a number that is taken, a group of the name.
        (
            {"etc/passwd": b"u:x:1000:5::/:/bin/sh", "etc/group": b"g:x:1001:\nbuild:x:77:\n"},
            "u:x:1000:5::/:/bin/sh\nbuild:x:1002:77",
            "g:x:1001:\nbuild:x:77:\n",
        ),
        ({"etc/passwd": b"build:x:5:5::/b:/bin/sh\n"}, "build:x:5:5::/b", "root:x:0:\n"),
        ({"etc/group": b"build:x:99999999:\n"}, "root:x:0", "build:x:99999999:\nbuild:x:1000:\n"),
    ],
)
def test_the_user_of_builds_is_added_once(
    tmp_path: Path, files: dict[str, bytes], passwd: str, group: str
) -> None:
    tree = system(tmp_path, files)
    for _time in range(2):
        archives._add_user(tree)
        assert (tmp_path / "etc/passwd").read_text().startswith(passwd)
        assert (tmp_path / "etc/passwd").read_text().count("build:x") == 1
        assert (tmp_path / "etc/group").read_text() == group
