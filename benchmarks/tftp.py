# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B4 and B5: our TFTP server against tftpd-hpa, with the same client.

Single-block downloads are measured with curl too, because our own client, being slow there,
would flatter the slower server; and latency with the bare exchange of datagrams, because our
client takes as long over the file that it makes as a server over the request.

Idle-class processes keep the cores awake: without them each lone datagram waits for a core to
wake up, and that is all one would measure. Files lie in memory.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import random
import select
import socket
import statistics
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.client import Client
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import (
    DATA,
    HEADER,
    OACK,
    Request,
    build_ack,
    build_request,
    opcode_of,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Server

from .figures import Figure, interleave, timed

MB = 1 << 20
# Bytes of the file whose latency is measured.
SMALL = 1024


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keep_awake() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() != 1:
        for _dummy in range(1_000_000):
            pass


def serve(port: int, directory: str) -> None:
    with Server("127.0.0.1", port, get_root=directory, put_root=directory) as server:
        while os.getppid() != 1:
            server.serve(1.0)


def lose(port: int, server: int, share: float) -> None:
    """Pass datagrams on between ``port`` and ``server``, but for this share of them."""
    chance = random.Random(1)
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(("127.0.0.1", port))
    backs: dict[t.Any, socket.socket] = {}
    clients: dict[socket.socket, t.Any] = {}
    targets: dict[socket.socket, t.Any] = {}
    while os.getppid() != 1:
        for ready in select.select([front, *clients], [], [], 1.0)[0]:
            data, sender = ready.recvfrom(65536)
            if ready is front:
                if sender not in backs:
                    back = backs[sender] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    clients[back], targets[back] = sender, ("127.0.0.1", server)
                out, to = backs[sender], targets[backs[sender]]
            else:
                # A server may answer from a port of its own.
                targets[ready] = sender
                out, to = front, clients[ready]
            if chance.random() >= share:
                out.sendto(data, to)


@contextlib.contextmanager
def process(target: t.Callable[..., None], *args: object) -> t.Iterator[None]:
    child = multiprocessing.get_context("fork").Process(target=target, args=args, daemon=True)
    child.start()
    try:
        yield
    finally:
        child.kill()
        child.join()


@contextlib.contextmanager
def tftpd_hpa(port: int, directory: str) -> t.Iterator[None]:
    command = ["/usr/sbin/in.tftpd", "-L", "-a", f"127.0.0.1:{port}", "-u", "root", "-c", "-p"]
    child = subprocess.Popen([*command, "--secure", directory])
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def curl(port: int, target: str) -> None:
    url = f"tftp://127.0.0.1:{port}/large"
    subprocess.run(["curl", "-sSf", "--tftp-blksize", "1468", "-o", target, url], check=True)


def get(port: int, name: str, target: str, window: int) -> float:
    return Client("127.0.0.1", port, window=window, give_up=60).get(name, target).seconds


def exchange(port: int, name: str, size: int) -> float:
    """Seconds for a download of a single block, from the request to its last acknowledgement."""
    request = build_request(Request("get", name, "octet", {"blksize": "1468"}))
    first, last = build_ack(0), build_ack(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        began = time.perf_counter()
        sock.sendto(request, ("127.0.0.1", port))
        answer, peer = sock.recvfrom(2048)
        if opcode_of(answer) == OACK:
            sock.sendto(first, peer)
            answer, peer = sock.recvfrom(2048)
        sock.sendto(last, peer)
        seconds = time.perf_counter() - began
    if opcode_of(answer) != DATA or len(answer) != HEADER.size + size:
        raise AssertionError(f"the server at port {port} sent {answer[:50]!r}")
    return seconds


def latency(port: int) -> float:
    """Seconds for one small download, the median of many."""
    return statistics.median(exchange(port, "small", SMALL) for _dummy in range(200))


class _Measure:
    """What is measured of the server at one port."""

    def __init__(self, port: int, lossy: int, directory: Path, large: int, window: int) -> None:
        self._port = port
        self._lossy = lossy
        self._target = str(directory / "got")
        self._upload = str(directory / "upload")
        self._large = large
        self._window = window

    def __call__(self) -> dict[str, float]:
        port, target, large = self._port, self._target, self._large
        with timed() as by_curl:
            curl(port, target)
        put = Client("127.0.0.1", port, window=1).put(self._upload, "upload").seconds
        return {
            "curl": large / by_curl[0],
            "single": large / get(port, "large", target, 1),
            "window": large / get(port, "large", target, self._window),
            "put": large / 4 / put,
            "latency": 1e6 * latency(port),
            "loss": get(self._lossy, "half", target, 1),
        }


def measure(runs: int, large: int = 64) -> list[Figure]:
    """Both figures, with downloads of ``large`` MB."""
    ports: list[int] = []
    while len(ports) < 4:
        if (port := free_port()) not in ports:
            ports.append(port)
    theirs, ours, their_lossy, our_lossy = ports
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bbot-bench-", dir=memory))
        directory = Path(folder)
        directory.chmod(0o755)
        served = directory / "served"
        served.mkdir(mode=0o777)
        (served / "large").write_bytes(os.urandom(MB) * large)
        (served / "half").write_bytes(os.urandom(MB // 2))
        (served / "small").write_bytes(os.urandom(SMALL))
        (directory / "upload").write_bytes(os.urandom(MB) * (large // 4))
        for _core in range(os.cpu_count() or 1):
            stack.enter_context(process(keep_awake))
        stack.enter_context(tftpd_hpa(theirs, str(served)))
        stack.enter_context(process(serve, ours, str(served)))
        stack.enter_context(process(lose, their_lossy, theirs, 0.01))
        stack.enter_context(process(lose, our_lossy, ours, 0.01))
        for port in ports:
            Client("127.0.0.1", port, window=1, give_up=10).get("small", str(directory / "got"))
        steps = {
            "tftpd-hpa": _Measure(theirs, their_lossy, directory, large, 1),
            "our TFTP server": _Measure(ours, our_lossy, directory, large, 16),
        }
        values = interleave(runs, steps)
    base, product = values["tftpd-hpa"], values["our TFTP server"]
    figure = functools.partial(Figure, theirs="tftpd-hpa", ours="our server")
    return [
        figure("B4a", f"GET {large} MB, 1468/1, curl", "MB/s", "rate",
               baseline=base["curl"], product=product["curl"], goal=0.8),
        figure("B4a", "the same, our client", "MB/s", "rate",
               baseline=base["single"], product=product["single"], goal=0.8),
        figure("B4b", f"GET {large} MB, 1468/16 to its 1468/1", "MB/s", "rate",
               baseline=base["single"], product=product["window"], goal=4),
        figure("B4", f"PUT {large // 4} MB, 1468/1", "MB/s", "rate",
               baseline=base["put"], product=product["put"]),
        figure("B5a", "GET 1 KB, latency", "µs", "times",
               baseline=base["latency"], product=product["latency"], goal=5),
        figure("B5b", "GET 512 KB, 1 % loss", "s", "times",
               baseline=base["loss"], product=product["loss"], goal=8),
    ]  # fmt: skip
