# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our server and our client, over good and bad networks, up to the limits."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.client import Client
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import FULL, NOT_FOUND
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import (
    Event,
    Limits,
    TftpError,
)
from helpers.tftp import BadNetwork, RunningServer


def client_of(port: int, **options: t.Any) -> Client:
    return Client("127.0.0.1", port, **options)


@pytest.fixture
def server(tmp_path: Path) -> t.Iterator[RunningServer]:
    with RunningServer(tmp_path) as server:
        yield server


def there_and_back(port: int, server: RunningServer, content: bytes, **options: t.Any) -> None:
    """Put the content, then get it again, and compare it each time."""
    directory = server.put_root.parent
    (directory / "source").write_bytes(content)
    client = client_of(port, **options)
    client.put(str(directory / "source"), "file")
    assert (server.put_root / "file").read_bytes() == content
    os.replace(server.put_root / "file", server.get_root / "file")
    client.get("file", str(directory / "got"))
    assert (directory / "got").read_bytes() == content


@pytest.mark.parametrize("mode", ["octet", "netascii"])
@pytest.mark.parametrize("rollover", [None, 0, 1])
@pytest.mark.parametrize(
    ("block", "window"), [(8, 1), (512, 1), (512, 32), (1468, 16), (8192, 4), (65464, 32)]
)
def test_every_combination(server, block, window, rollover, mode):
    options = {"block": block, "window": window, "rollover": rollover, "mode": mode}
    for size in (0, 1, block - 1, block, block + 1, block * window, 3000):
        content = random.Random(size).randbytes(size)
        there_and_back(server.port, server, content, **options)


@pytest.mark.parametrize("rollover", [0, 1])
def test_roll_over_in_windows(server, rollover):
    content = random.Random(1).randbytes(512 * 70_000 + 1)
    there_and_back(server.port, server, content, block=512, window=32, rollover=rollover)


def test_what_was_agreed_on_is_returned(server, tmp_path):
    (server.get_root / "file").write_bytes(bytes(5000))
    outcome = client_of(server.port, block=2000, window=64).get("file", str(tmp_path / "got"))
    assert (outcome.bytes, outcome.terms.block, outcome.terms.window) == (5000, 2000, 32)
    assert outcome.terms.tsize == 5000


@pytest.mark.parametrize("window", [1, 16])
@pytest.mark.parametrize(
    "damage",
    [
        {"loss": 0.05},
        {"repeat": 0.2},
        {"reorder": 0.1},
        {"loss": 0.03, "repeat": 0.1, "reorder": 0.05},
    ],
    ids=["loss", "repetition", "disorder", "all"],
)
def test_a_bad_network(server, damage, window):
    content = random.Random(9).randbytes(150_000)
    with BadNetwork(server.port, seed=5, **damage) as network:
        there_and_back(network.port, server, content, window=window)
    assert network.lost + network.repeated + network.reordered > 0


@pytest.mark.parametrize("command", ["curl", "tftp", "busybox"])
def test_a_bad_network_and_other_peoples_clients(server, command, tmp_path):
    content = random.Random(9).randbytes(100_000)
    (server.get_root / "file").write_bytes(content)
    with BadNetwork(server.port, seed=3, loss=0.02, repeat=0.05) as network:
        port = str(network.port)
        arguments = {
            "curl": ["curl", "-sSf", "-o", "got", f"tftp://127.0.0.1:{port}/file"],
            "tftp": ["tftp", "-m", "binary", "127.0.0.1", port, "-c", "get", "file", "got"],
            "busybox": ["busybox", "tftp", "-g", "-r", "file", "-l", "got", "127.0.0.1", port],
        }
        subprocess.run(arguments[command], cwd=tmp_path, check=True, timeout=30)
        assert (tmp_path / "got").read_bytes() == content
    assert network.lost > 0


def test_repetitions_do_not_breed(server, tmp_path):
    """Each datagram that arrives twice may cost a window more, never all that follow."""
    (server.get_root / "file").write_bytes(bytes(512 * 400))
    with BadNetwork(server.port, seed=2, repeat=0.02) as network:
        passed = 0
        pass_on = network._pass_on

        def count(*arguments: t.Any) -> None:
            nonlocal passed
            passed += 1
            pass_on(*arguments)

        network._pass_on = count  # type: ignore[method-assign]
        client_of(network.port, block=512, window=1).get("file", str(tmp_path / "got"))
    assert network.repeated > 5
    assert passed < 2 * 401 + 2 * network.repeated + 20


def test_an_upload_is_never_seen_half(server, tmp_path):
    (tmp_path / "source").write_bytes(bytes(20_000_000))
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError):
                seen.add((server.put_root / "file").stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        client_of(server.port, window=8).put(str(tmp_path / "source"), "file")
        assert (server.put_root / "file").stat().st_size == 20_000_000
    finally:
        stop.set()
        watcher.join()
    assert seen <= {20_000_000}


def test_an_aborted_upload_leaves_the_old_file(server, tmp_path):
    (server.put_root / "file").write_text("old")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest:
        guest.connect(("127.0.0.1", server.port))
        guest.send(b"\0\2file\0octet\0")
        guest.recv(100)
        guest.send(b"\0\3\0\1" + bytes(512))
        guest.recv(100)
        assert len(server.uploads()) == 2
        guest.send(b"\0\5\0\0enough\0")
        assert server.wait_for("failed").error == "the peer ended it with error 0: enough"
    assert server.uploads() == ["file"]
    assert (server.put_root / "file").read_text() == "old"


def test_closing_during_an_upload_leaves_nothing(tmp_path):
    with (
        RunningServer(tmp_path) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as guest,
    ):
        guest.connect(("127.0.0.1", server.port))
        guest.send(b"\0\2sub/file\0octet\0")
        guest.recv(100)
        guest.send(b"\0\3\0\1" + bytes(512))
        guest.recv(100)
    assert server.uploads() == []
    assert server.wait_for("failed").error == "the server was closed"


def test_clients_at_once(server, tmp_path):
    contents = [random.Random(number).randbytes(400_000 + number) for number in range(6)]
    failures: list[Exception] = []

    def work(number: int) -> None:
        client = client_of(server.port, window=1 + 5 * (number % 2))
        source, got = tmp_path / f"source{number}", tmp_path / f"got{number}"
        source.write_bytes(contents[number])
        try:
            client.put(str(source), f"file{number}")
            client.get(f"same{number}", str(got))
        except Exception as error:
            failures.append(error)

    for number, content in enumerate(contents):
        (server.get_root / f"same{number}").write_bytes(content)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for number, content in enumerate(contents):
        assert (server.put_root / f"file{number}").read_bytes() == content
        assert (tmp_path / f"got{number}").read_bytes() == content


def test_the_client_says_what_went_wrong(server, tmp_path):
    with pytest.raises(TftpError, match=r"cannot get 'x': .* error 1: no such file") as caught:
        client_of(server.port).get("x", str(tmp_path / "got"))
    assert caught.value.code == NOT_FOUND
    with pytest.raises(TftpError, match=r"cannot read .*/nothing: No such file"):
        client_of(server.port).put(str(tmp_path / "nothing"), "x")
    assert not (tmp_path / "got").exists()
    assert not list(tmp_path.glob(".tftp*"))


def test_the_client_gives_up(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(TftpError, match=f"no TFTP server answers on 127.0.0.1:{port}"):
            client_of(port, give_up=0.3).get("x", str(tmp_path / "got"))
    assert list(tmp_path.iterdir()) == []


class ClosingServer(RunningServer):
    """Closes as soon as there is progress."""

    def _note(self, event: Event) -> None:
        if event.kind == "progress":
            self.server.close()


def test_the_client_notices_that_the_server_has_gone(tmp_path):
    with ClosingServer(tmp_path) as server:
        (server.get_root / "file").write_bytes(bytes(100_000_000))
        began = time.monotonic()
        with pytest.raises(TftpError, match=r"server was closed|has gone away"):
            client_of(server.port, block=512, window=1).get("file", str(tmp_path / "got"))
        assert time.monotonic() - began < 5
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("options", [{}, {"mode": "netascii"}], ids=["announced", "unannounced"])
def test_an_upload_above_the_limit(tmp_path, options):
    (tmp_path / "source").write_bytes(bytes(100_001))
    with RunningServer(tmp_path, limits=Limits(upload_bytes=100_000)) as server:
        with pytest.raises(TftpError, match="error 3"):
            client_of(server.port, **options).put(str(tmp_path / "source"), "file")
        assert server.uploads() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> t.Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk, tmp_path):
    (tmp_path / "source").write_bytes(bytes(1_000_000))
    with RunningServer(small_disk) as server:
        with pytest.raises(TftpError, match="error 3: the disk is full"):
            client_of(server.port).put(str(tmp_path / "source"), "sub/file")
        assert server.wait_for("failed").error == "the disk is full"
        assert server.uploads() == []
        (tmp_path / "source").write_bytes(bytes(100_000))
        client_of(server.port).put(str(tmp_path / "source"), "sub/file")
    assert server.uploads() == ["sub", "sub/file"]


def test_the_clients_own_disk_is_full(server, small_disk):
    (server.get_root / "file").write_bytes(bytes(1_000_000))
    with pytest.raises(TftpError, match="the disk is full") as caught:
        client_of(server.port).get("file", str(small_disk / "got"))
    assert caught.value.code in (0, FULL)
    assert list(small_disk.iterdir()) == []
    assert "the disk is full" in server.wait_for("failed").error


SMALL_MTU = """
import sys
from pathlib import Path
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.client import Client
from helpers.tftp import RunningServer

directory = Path(sys.argv[1])
with RunningServer(directory) as server:
    for block in (1468, 1469, 8192):
        content = bytes(range(251)) * 4000
        (server.get_root / "file").write_bytes(content)
        client = Client("127.0.0.1", server.port, block=block)
        client.get("file", str(directory / "got"))
        assert (directory / "got").read_bytes() == content
        client.put(str(directory / "got"), "file")
        assert (server.put_root / "file").read_bytes() == content
    assert server.server._wire._unsegmented == {1473, 8196}, server.server._wire._unsegmented
"""


def test_blocks_above_the_mtu(tmp_path):
    """There the kernel refuses to segment, and windows go out packet by packet."""
    inside = f"ip link set lo up mtu 1500 && exec {sys.executable} -c '{SMALL_MTU}' {tmp_path}"
    subprocess.run(
        ["unshare", "--net", "sh", "-c", inside],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=30,
    )
