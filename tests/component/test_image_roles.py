# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles toolchain and machine, run by ansible-playbook on this host's own file systems."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from helpers.roles import ROOT, Play, make_image


def visible(machine: Path) -> list[str]:
    """What is in the machine's directory without the role's own notes."""
    return sorted(name for name in os.listdir(machine) if not name.startswith("."))


@pytest.mark.parametrize("role", ["toolchain", "machine_image", "machine"])
def test_documented_defaults_are_the_defaults(role: str) -> None:
    directory = ROOT / "roles" / role
    specification = yaml.safe_load((directory / "meta" / "argument_specs.yml").read_text())
    options = specification["argument_specs"]["main"]["options"]
    documented = {
        name: option["default"] for name, option in options.items() if "default" in option
    }
    assert documented == yaml.safe_load((directory / "defaults" / "main.yml").read_text())


@pytest.mark.long
def test_a_toolchain_comes_changes_and_goes(play: Play, tmp_path: Path) -> None:
    tftp = tmp_path / "tftp"
    link = tftp / "toolchains" / "default"
    facts = {"toolchain_tftp": str(tftp)}

    assert play("toolchain", "--check", **facts) > 0
    assert not tftp.exists()
    assert play("toolchain", **facts) > 0
    assert play("toolchain", **facts) == play("toolchain", "--check", **facts) == 0

    sums = (link / "sha256sums").read_bytes()
    for line in sums.decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((link / name).read_bytes()).hexdigest() == digest
    identity, versions = parse((link / "toolchain.manifest").read_bytes())
    assert identity.pairs[0].value == hashlib.sha256(sums).hexdigest()
    assert [pair.name for pair in versions] == ["bbot-version"]
    first = os.readlink(link)
    assert first == f".default-{identity.pairs[0].value[:12]}"

    setup = tmp_path / "setup.sh"
    seen = [first]
    for text in ("one", "two"):
        setup.write_text(f"echo {text}\n")
        files = [{"name": "setup", "src": str(setup)}]
        assert play("toolchain", **facts, toolchain_files=files) > 0
        assert (link / "setup").read_text() == f"echo {text}\n"
        seen.append(os.readlink(link))
    assert len(set(seen)) == 3
    assert sorted(os.listdir(link.parent)) == sorted(["default", *seen[1:]])

    assert play("toolchain", **facts, toolchain_state="absent") > 0
    assert os.listdir(link.parent) == []
    assert play("toolchain", **facts, toolchain_state="absent") == 0


def test_a_toolchain_refuses_names_that_mean_something(play: Play, tmp_path: Path) -> None:
    files = [{"name": "manifest", "src": "/etc/hostname"}]
    play("toolchain", fails="reserved", toolchain_tftp=str(tmp_path), toolchain_files=files)


def test_an_image_refuses_flavours_that_there_are_not(play: Play, tmp_path: Path) -> None:
    facts = {
        "machine_image_dest": str(tmp_path / "image"),
        "machine_image_flavours": ["c", "fortran"],
    }
    play(
        "machine_image", **facts, fails="value of machine_image_flavours must be one or more of: c,"
    )


@pytest.mark.long
@pytest.mark.parametrize("kind", ["btrfs", "directory"])
def test_a_machine_comes_changes_and_goes(
    play: Play, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    volume: Path = tmp_path / "plain"
    volume.mkdir()
    if kind == "btrfs":
        volume = request.getfixturevalue("volume")
    image, machine = tmp_path / "image", volume / "tiny"
    facts = {"machine_name": "tiny", "machine_volume": str(volume), "machine_source": str(image)}
    play("machine", **facts, fails="nor a directory that has a readable manifest")
    # In check mode the image may be one that is yet to be built.
    assert play("machine", "--check", **facts) == 1

    make_image(image, "1")
    assert play("machine", "--check", **facts) == 1
    assert not machine.exists()
    assert play("machine", **facts) > 0
    assert play("machine", **facts) == play("machine", "--check", **facts) == 0
    assert os.readlink(machine / "tiny-1") == "tiny-1.1"
    info = make_storage(kind).info(str(machine / "tiny-1.1"))
    assert info is not None
    assert info.read_only
    assert (machine / "tiny-1.1" / "disk.img").stat().st_blocks == 0

    for identity in ("2", "3"):
        make_image(image, identity)
        if kind == "directory":
            # One that is a subvolume itself: its mark is not taken over.
            image = tmp_path / f"image-{identity}"
            make_storage(kind).create(str(image))
            make_image(image, identity)
            facts["machine_source"] = str(image)
        assert play("machine", **facts) > 0
    assert visible(machine) == ["tiny-1", "tiny-1.2", "tiny-1.3"]
    assert os.readlink(machine / "tiny-1") == "tiny-1.3"

    # A machine that runs: QEMU's directory is its snapshot's.
    with subprocess.Popen(["sleep", "600"], cwd=machine / "tiny-1.3") as process:
        play("machine", **facts, machine_state="absent", fails=f"running (process {process.pid})")
        process.kill()
    assert visible(machine) == ["tiny-1.2", "tiny-1.3"]
    assert play("machine", **facts, machine_state="absent") > 0
    assert os.listdir(volume) == []
    assert play("machine", **facts, machine_state="absent") == 0


@pytest.mark.long
def test_a_container_comes_with_its_owners(play: Play, tmp_path: Path) -> None:
    volume, image = tmp_path / "plain", tmp_path / "image"
    volume.mkdir()
    facts = {
        "machine_image_dest": str(image),
        "machine_image_variant": "tiny",
        "machine_image_type": "nspawn",
    }
    assert play("machine_image", **facts) > 0
    assert play("machine_image", "--check", **facts) == 0

    facts = {"machine_name": "tiny-nspawn", "machine_volume": str(volume)}
    assert play("machine", **facts, machine_source=str(image)) > 0
    tree = volume / "tiny-nspawn" / "tiny-nspawn-1.1" / "tree"
    assert (tree.stat().st_uid, tree.stat().st_mode & 0o777) == (0, 0o700)
    assert (tree / "root" / "home" / "build").stat().st_uid == 1000
    assert (tree / "root" / "tmp").stat().st_mode & 0o7777 == 0o1777

    archive = tmp_path / "image.tar"
    subprocess.run(["tar", "--create", "-C", str(image), "-f", str(archive), "."], check=True)
    play("machine", **facts, machine_source=str(archive), fails="would lose their owners")


def test_a_machine_is_not_installed_under_another_name(
    play: Play, volume: Path, tmp_path: Path
) -> None:
    make_image(tmp_path / "image", "1")
    facts = {"machine_volume": str(volume), "machine_source": str(tmp_path / "image")}
    play("machine", machine_name="other", fails="is the image of a machine tiny, not", **facts)
    assert os.listdir(volume) == []
