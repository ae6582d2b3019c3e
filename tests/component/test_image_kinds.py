# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of other releases and architectures, built by the role."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.images import BUILDER, mirror
from helpers.roles import Play

FACTS = ["--name", "x", "--id", "x-1", "--summary", "A test", "--fingerprint", "f"]


def facts(place: Path, **more: str) -> dict[str, object]:
    """The role's variables, for an image and a builder in the folder ``place``."""
    return {
        "machine_image_variant": "tiny",
        "machine_image_dest": str(place / "image"),
        "machine_image_sources": [f"deb {mirror()} bookworm main"],
        "__machine_image_builder": str(place / "builder"),
        **more,
    }


@pytest.mark.long
def test_an_image_of_another_architecture_is_built_once(play: Play, tmp_path: Path) -> None:
    wanted = facts(tmp_path, machine_image_architecture="arm64", machine_image_release="12")
    assert play("machine_image", "--check", **wanted) > 0
    assert not (tmp_path / "image").exists()
    assert play("machine_image", **wanted) > 0
    assert play("machine_image", **wanted) == 0
    lines = (tmp_path / "image" / "manifest").read_text().splitlines()
    assert "name: aarch64-linux_debian_12-tiny" in lines
    assert "console=ttyAMA0" in "\n".join(lines)
    # What it is not any more would be built again.
    assert play("machine_image", "--check", **{**wanted, "machine_image_release": "13"}) > 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"machine_image_architecture": "mips"}, "value of machine_image_architecture must be"),
        ({"machine_image_release": "10"}, "value of machine_image_release must be one of"),
        (
            {"machine_image_architecture": "s390x", "machine_image_name": "debian"},
            "and begins with 's390x-' if its architecture is s390x",
        ),
    ],
)
def test_what_cannot_be_asked_for(
    play: Play, tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    play("machine_image", **facts(tmp_path, **variables), fails=words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--architecture", "riscv64", "--source", f"deb {mirror()} bookworm main"],
            "the mirror has no Debian bookworm for riscv64, but for all, amd64, arm64",
        ),
        (
            ["--release", "buzz", "--source", f"deb {mirror()} buzz main"],
            "no package lists of Debian buzz for amd64",
        ),
        (["--architecture", "mips"], "no images are built of Debian's architecture mips"),
    ],
    ids=["a release without it", "a release that is gone", "none of ours"],
)
def test_what_there_is_not_is_told_with_the_way_out(
    tmp_path: Path, options: list[str], words: str
) -> None:
    command = [sys.executable, str(BUILDER), "--variant", "tiny", "--disk-size", "96", *FACTS]
    done = subprocess.run(
        [*command, *options, str(tmp_path / "image")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "machine_image_sources" in done.stderr or "there are: amd64" in done.stderr
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
