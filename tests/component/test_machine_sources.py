# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role machine with images from elsewhere, and its way back."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.roles import Play, make_image


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of the test's folder."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        threading.Thread(target=made.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}"
        finally:
            made.shutdown()


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def archive(image: Path, name: str) -> Path:
    path = image.parent / name
    run("tar", "--create", "--auto-compress", "--sparse", f"--file={path}", "-C", image, ".")
    return path


def test_an_archive_is_installed_once_and_rolled_back_by_link(
    play: Play, volume: Path, tmp_path: Path, server: str
) -> None:
    machine, facts = volume / "tiny", {"machine_name": "tiny", "machine_volume": str(volume)}
    make_image(tmp_path / "image", "1")
    first = archive(tmp_path / "image", "first.tar.xz")
    assert play("machine", machine_source=str(first), **facts) > 0
    assert play("machine", machine_source=str(first), **facts) == 0
    assert os.readlink(machine / "tiny-1") == "tiny-1.1"

    make_image(tmp_path / "image", "2")
    second = archive(tmp_path / "image", "second.tar.gz")
    url, checksum = f"{server}/second.tar.gz", sha256(second)
    play("machine", machine_source=url, **facts, fails="machine_checksum, of 64 hexadecimal digits")
    wrong = {"machine_source": url, "machine_checksum": "0" * 64}
    play("machine", **wrong, **facts, fails="The checksum for")
    fetched = {"machine_source": url, "machine_checksum": checksum}
    assert play("machine", **fetched, **facts) > 0
    assert (
        play("machine", **fetched, **facts) == play("machine", "--check", **fetched, **facts) == 0
    )
    assert os.readlink(machine / "tiny-1") == "tiny-1.2"
    assert "id: 2" in (machine / "tiny-1" / "manifest").read_text()

    # Back by number, forth by name, back by what is wanted.
    assert play("machine", machine_revision="1", **facts) == 1
    assert os.readlink(machine / "tiny-1") == "tiny-1.1"
    play("machine", machine_revision="previous", **facts, fails="no revision previous")
    assert play("machine", machine_revision="2", **facts) == 1
    assert play("machine", "--check", machine_revision="previous", **facts) == 1
    assert play("machine", machine_source=str(first), **facts) == 1
    assert os.readlink(machine / "tiny-1") == "tiny-1.1"
    names = {".tiny-1.1.image", ".tiny-1.2.image", "tiny-1", "tiny-1.1", "tiny-1.2"}
    assert set(os.listdir(machine)) == names


def test_a_stream_is_received(play: Play, volume: Path, tmp_path: Path) -> None:
    facts = {"machine_name": "tiny", "machine_volume": str(volume)}
    original = volume / "original"
    run("btrfs", "subvolume", "create", original)
    make_image(original, "7")
    run("btrfs", "property", "set", original, "ro", "true")
    run("btrfs", "send", "-f", tmp_path / "tiny.btrfs", original)
    source = {"machine_source": str(tmp_path / "tiny.btrfs")}
    assert play("machine", **source, **facts) > 0
    assert play("machine", **source, **facts) == 0
    run("btrfs", "subvolume", "delete", original)
    assert "id: 7" in (volume / "tiny" / "tiny-1.1" / "manifest").read_text()
    assert set(os.listdir(volume / "tiny")) == {".tiny-1.1.image", "tiny-1", "tiny-1.1"}


def test_an_archive_of_another_machine_leaves_nothing(
    play: Play, volume: Path, tmp_path: Path
) -> None:
    make_image(tmp_path / "image", "1")
    path = archive(tmp_path / "image", "image.tar")
    facts = {"machine_volume": str(volume), "machine_source": str(path), "machine_name": "other"}
    play("machine", **facts, fails="is the image of a machine tiny, not of other")
    assert os.listdir(volume / "other") == []
