# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's TFTP client with the agent's server, tftp-hpa's, and servers of odd behaviour."""

from __future__ import annotations

import contextlib
import io
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bbot_worker import tftp
from bbot_worker.tftp import Tftp, TftpError
from helpers.tftp import BadNetwork, RunningServer

# Nothing, around a block, around a window, and beyond the numbers of blocks (below).
SIZES = [0, 1, 1467, 1468, 1469, 16 * 1468 - 1, 16 * 1468, 17 * 1468 + 5, 1_000_000]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path) as server:
        yield server


@contextlib.contextmanager
def running(step: Callable[[], None]) -> Iterator[None]:
    """Repeat the step in a thread."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            step()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def tftpd(tmp_path: Path) -> Iterator[int]:
    """tftp-hpa's server, over one directory for both ways: its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["/usr/sbin/in.tftpd", "--listen", "--foreground", "--address", f"127.0.0.1:{port}"]
    options = ["--create", "--permissive", "--user", "root", "--secure", str(tmp_path)]
    process = subprocess.Popen([*command, *options])
    time.sleep(0.3)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("size", SIZES)
def test_get_and_put(server: RunningServer, size: int) -> None:
    there_and_back(server.port, server.get_root, server.put_root, size)


@pytest.mark.parametrize("size", SIZES)
def test_get_and_put_with_tftp_hpa(tftpd: int, tmp_path: Path, size: int) -> None:
    there_and_back(tftpd, tmp_path, tmp_path, size)


def there_and_back(port: int, get: Path, put: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    (get / "file").write_bytes(data)
    tftp = Tftp("127.0.0.1", port)
    file = io.BytesIO()
    assert tftp.get("file", file) == size
    assert file.getvalue() == data
    tftp.put("back", io.BytesIO(data))
    assert (put / "back").read_bytes() == data


def test_block_numbers_roll_over(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tftp, "BLOCK_SIZE", 16)
    there_and_back(server.port, server.get_root, server.put_root, 16 * 70_000)


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_line(server: RunningServer, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tftp, "_REPEAT_AFTER", 0.05)
    monkeypatch.setattr(tftp, "_REPEAT_MOST", 0.2)
    with BadNetwork(server.port, seed=seed, loss=0.05, repeat=0.03, reorder=0.03) as network:
        there_and_back(network.port, server.get_root, server.put_root, 300_000 + seed)
        assert network.lost and network.repeated and network.reordered


def test_a_file_that_is_not_there(server: RunningServer) -> None:
    with pytest.raises(TftpError, match=r"refuses 'nothing'.*TFTP error 1") as caught:
        Tftp("127.0.0.1", server.port).get("nothing", io.BytesIO())
    assert (caught.value.code, caught.value.status) == (1, "error")


def test_nobody_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        started = time.monotonic()
        with pytest.raises(TftpError, match="no answer about 'x' from") as caught:
            Tftp("127.0.0.1", silent.getsockname()[1]).get("x", io.BytesIO(), 1.5)
        assert 1.5 <= time.monotonic() - started < 10
        assert (caught.value.code, caught.value.status) == (None, "abort")
        requests = [silent.recv(600) for _dummy in range(2)]
        assert requests[0] == requests[1]  # Repeated after a second, from the same port.


def answering(
    script: Callable[[socket.socket, bytes, tuple[str, int]], None],
) -> contextlib.AbstractContextManager[int]:
    """A server made of one function: its port."""

    @contextlib.contextmanager
    def serve() -> Iterator[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.settimeout(0.05)

            def step() -> None:
                with contextlib.suppress(TimeoutError):
                    packet, sender = listener.recvfrom(65536)
                    script(listener, packet, sender)

            with running(step):
                yield listener.getsockname()[1]

    return serve()


def test_a_server_that_minds_options() -> None:
    def script(listener: socket.socket, packet: bytes, sender: tuple[str, int]) -> None:
        if b"blksize" in packet:
            listener.sendto(struct.pack("!HH", 5, 8) + b"no options\0", sender)
        elif packet[1] == 1:
            listener.sendto(struct.pack("!HH", 3, 1) + b"plain", sender)

    with answering(script) as port:
        file = io.BytesIO()
        Tftp("127.0.0.1", port).get("x", file)
        assert file.getvalue() == b"plain"


@pytest.mark.parametrize(
    "options", [b"blksize\x009000\0", b"windowsize\x000\0", b"blksize\0many\0"]
)
def test_a_server_that_promises_too_much(options: bytes) -> None:
    def script(listener: socket.socket, packet: bytes, sender: tuple[str, int]) -> None:
        if packet[1] == 1:
            listener.sendto(struct.pack("!H", 6) + options, sender)

    with answering(script) as port, pytest.raises(TftpError, match="options") as caught:
        Tftp("127.0.0.1", port).get("x", io.BytesIO())
    assert caught.value.code == 8


def test_an_answer_from_another_address_counts_and_a_third_party_does_not() -> None:
    refusals: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as real:
        real.bind(("127.0.0.2", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as intruder:
            intruder.bind(("127.0.0.3", 0))
            intruder.settimeout(10)
            real.settimeout(10)

            def script(_dummy: socket.socket, packet: bytes, sender: tuple[str, int]) -> None:
                if packet[1] != 1:
                    return
                real.sendto(struct.pack("!H", 6) + b"blksize\x008\0", sender)
                real.recv(100)
                intruder.sendto(struct.pack("!HH", 3, 1) + b"intruder", sender)
                refusals.append(intruder.recv(100))
                real.sendto(struct.pack("!HH", 3, 1) + b"real", sender)

            with answering(script) as port:
                file = io.BytesIO()
                Tftp("127.0.0.1", port).get("x", file)
    assert file.getvalue() == b"real"
    assert refusals[0][:4] == struct.pack("!HH", 5, 5)


def test_it_waits_for_a_line_that_is_not_there_yet() -> None:
    with pytest.raises(TftpError, match=r"no answer about 'x' .*seconds [(].*[)]"):
        Tftp("255.255.255.255", 1).get("x", io.BytesIO(), 0.2)
