# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of other people's root file systems, bootstrapped, with a task: both kinds of them."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.build_host import BuildHost, make_task
from helpers.roles import Play
from helpers.root_archives import build, debian_archive, oci_layout, odd_archive
from helpers.site import Site

WAITS = Waits(startup=300, total=600, retries=0, shutdown=60)
Files = dict[str, str]


def performed(site: Site, image: Path, files: Files, kind: str) -> dict[str, str]:
    """The logs of a task in the machine of the image, which is bootstrapped before that."""
    host, name = BuildHost(site), image.name
    path = host.volume / name / f"{name}-1.1"
    path.parent.mkdir()
    host.copy(image, path)
    host.link(name, 1)
    with site.namespace.entered():
        ensured = host.ensure(name, WAITS)
        assert ensured.failure is None, (host.lines, ensured.logs)
        outcome = host.perform(make_task(machine=name), files=files, waits=WAITS, ram=512 << 10)
        assert outcome.result.status is Status.SUCCESS, (outcome, host.lines)
        size = sum(each.lstat().st_blocks for each in image.rglob("*")) >> 11
        print(kind, name, size, "MiB", outcome.start, outcome.phases)
        host.assert_clean()
    return dict(outcome.result.logs)


def files(folder: Path, script: str) -> Files:
    return {"source.tar.gz": str(sources.pack(folder / "source.tar.gz", script))}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return oci_layout(tmp_path_factory.mktemp("oci"))


LAYERS = """\
[ "$1" = update ] || exit 0
echo "in /srv: $(busybox ls /srv | busybox tr '\\n' ' ')"
busybox stat -c '%n %u:%g %a' /srv/new /srv/linked
busybox cat /srv/new
echo
id -un
"""


@pytest.mark.parametrize("kind", [pytest.param("kvm", marks=pytest.mark.long), "nspawn"])
def test_an_image_in_layers(site: Site, layout: Path, tmp_path: Path, kind: str) -> None:
    image = build(layout, tmp_path / f"layers-{kind}", f"--type={kind}")
    if kind == "nspawn":
        srv = image / "tree/root/srv"
        assert sorted(os.listdir(srv)) == ["linked", "new"]
        assert os.getxattr(srv / "new", "user.note") == b"kept"
        assert (image / "tree").stat().st_mode & 0o777 == 0o700
    lines = performed(site, image, files(tmp_path, LAYERS), kind)["update"].splitlines()
    for line in (
        "in /srv: linked new ",
        "/srv/new 12:34 644",
        "/srv/linked 0:0 4755",
        "of the second layer",
        "build",
    ):
        assert line in lines


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_archive(tmp_path_factory.mktemp("odd"))


ODD = """\
[ "$1" = update ] || exit 0
busybox id -un
echo "python in $(command -v python3)"
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kvm", "nspawn"])
def test_a_system_like_no_debian(site: Site, odd: Path, tmp_path: Path, kind: str) -> None:
    image = build(odd, tmp_path / f"odd-{kind}", f"--type={kind}")
    lines = performed(site, image, files(tmp_path, ODD), kind)["update"].splitlines()
    assert {"build", "python in /usr/local/bin/python3"} <= set(lines)


@pytest.mark.long
@pytest.mark.parametrize("form", ["folder", "archive"])
def test_the_role_builds_it_once_for_each_state_of_it(
    play: Play, layout: Path, tmp_path: Path, form: str
) -> None:
    source = layout
    if form == "archive":
        source = tmp_path / "layout.tar"
        subprocess.run(["tar", "-c", "-C", layout, "-f", source, "."], check=True)
    facts = {
        "machine_image_variant": "archive",
        "machine_image_type": "nspawn",
        "machine_image_archive": str(source),
        "machine_image_dest": str(tmp_path / "image"),
        "__machine_image_builder": str(tmp_path / "builder"),
    }
    play("machine_image", **{**facts, "machine_image_archive": "oci"}, fails="has an absolute path")
    assert play("machine_image", "--check", **facts) > 0
    assert not (tmp_path / "image").exists()
    assert play("machine_image", **facts) > 0
    assert play("machine_image", **facts) == play("machine_image", "--check", **facts) == 0
    assert "name: archive-nspawn" in (tmp_path / "image" / "manifest").read_text().splitlines()
    assert (tmp_path / "image/tree/root/srv/new").exists()
    os.utime(layout / "index.json" if form == "folder" else source, (1, 1))
    assert play("machine_image", "--check", **facts) > 0


def test_what_there_is_not_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("no archive")
    for name, words in (
        ("none", f"there is no {tmp_path}/none on this host"),
        ("folder", "is no image of a container (it has no index.json): name such a folder, or an"),
        ("file", "/file is no archive of tar, or damaged"),
    ):
        with pytest.raises(subprocess.CalledProcessError) as raised:
            build(tmp_path / name, tmp_path / "image", "--type=nspawn", stderr=subprocess.PIPE)
        said = raised.value.stderr
        assert said.startswith(f"error: no image at {tmp_path}/image: ")
        assert words in said
        assert said.count("\n") == 1
        assert not (tmp_path / "image").exists()


HELLO = """\
[ "$1" = update ] || exit 0
printf '#include <stdio.h>\\nint main(void) { puts("compiled here"); return 0; }\\n' > hello.c
make hello
./hello
ls /dev/sda || echo "no disk of others"
grep ^VERSION_ID /etc/os-release
/usr/sbin/getcap /usr/bin/ping
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kvm", "nspawn"])
def test_a_debian_that_others_made(site: Site, tmp_path: Path, kind: str) -> None:
    image = build(debian_archive(), tmp_path / f"debian-{kind}", f"--type={kind}")
    lines = performed(site, image, files(tmp_path, HELLO), kind)["update"].splitlines()
    for line in (
        "compiled here",
        "no disk of others",
        'VERSION_ID="12"',
        "/usr/bin/ping cap_net_raw=ep",
    ):
        assert line in lines


@pytest.mark.long
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_others_write(layout: Path, tmp_path: Path, form: str) -> None:
    saved = tmp_path / "saved.tar"
    command = ["skopeo", "--insecure-policy", "copy", "--quiet"]
    subprocess.run([*command, f"oci:{layout}:test", f"{form}:{saved}:test:1"], check=True)
    trees: list[t.Any] = []
    for number, source in enumerate((layout, saved)):
        image = build(source, tmp_path / f"image-{number}", "--type=nspawn")
        root = image / "tree/root"
        trees.append({str(each.relative_to(root)): each.lstat() for each in root.rglob("*")})
    ours, theirs = trees
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"etc/hostname", "etc/hosts"}:
        facts = [(tree[name].st_mode, tree[name].st_uid, tree[name].st_size) for tree in trees]
        assert facts[0] == facts[1], name
