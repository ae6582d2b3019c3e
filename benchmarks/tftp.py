# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our TFTP server against tftpd-hpa: same machine, same client, same run, in turn.

Each figure is a ratio of medians, above 1 where we are the faster ones. Single-block
downloads are measured with curl too, because our own client, being slow there, would flatter
the slower server. Two idle-class processes keep the cores awake: without them each lone
datagram waits for a core to wake up, and that is all one would measure. Files lie in memory.

Needs Debian's tftpd-hpa and curl; root, as in.tftpd does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.bbot.agent.plugins.module_utils._tftp import Server
from ansible_collections.bbot.agent.plugins.module_utils._tftp_client import Client

MB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """A measured ratio. ``baseline`` and ``ours`` are in ``unit``, one value for each run."""

    name: str
    unit: str
    baseline: list[float]
    ours: list[float]
    wanted: float

    @property
    def ratio(self) -> float:
        base, ours = statistics.median(self.baseline), statistics.median(self.ours)
        return ours / base if self.unit == "MB/s" else base / ours


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


def wait_for(port: int, target: str) -> None:
    Client("127.0.0.1", port, window=1, give_up=10).get("small", target)


def curl(port: int, target: str) -> float:
    began = time.monotonic()
    url = f"tftp://127.0.0.1:{port}/large"
    subprocess.run(["curl", "-sSf", "--tftp-blksize", "1468", "-o", target, url], check=True)
    return time.monotonic() - began


def get(port: int, name: str, target: str, window: int) -> float:
    return Client("127.0.0.1", port, window=window).get(name, target).seconds


def put(port: int, source: str, window: int) -> float:
    return Client("127.0.0.1", port, window=window).put(source, "upload").seconds


def latency(port: int, target: str) -> float:
    """Microseconds for one small download, the median of many."""
    return 1e6 * statistics.median(get(port, "small", target, 1) for _dummy in range(100))


def measure(directory: Path, runs: int, large: int) -> list[Figure]:
    baseline, ours = free_port(), 0
    while ours in (0, baseline):
        ours = free_port()
    served, mine = directory / "served", directory / "mine"
    served.mkdir(mode=0o777)
    mine.mkdir()
    (served / "large").write_bytes(os.urandom(MB) * large)
    (served / "small").write_bytes(os.urandom(1024))
    upload = mine / "upload"
    upload.write_bytes(os.urandom(MB) * (large // 4))
    target = str(mine / "got")

    def rate(size: int, seconds: float) -> float:
        return size / seconds

    steps: list[tuple[str, str, t.Callable[[int], float], t.Callable[[int], float], float]] = [
        (
            f"B4a GET {large} MB, 1468/1, curl",
            "MB/s",
            lambda port: rate(large, curl(port, target)),
            lambda port: rate(large, curl(port, target)),
            0.8,
        ),
        (
            f"    GET {large} MB, 1468/1, our client",
            "MB/s",
            lambda port: rate(large, get(port, "large", target, 1)),
            lambda port: rate(large, get(port, "large", target, 1)),
            0.8,
        ),
        (
            f"B4b GET {large} MB, 1468/16 to its 1468/1",
            "MB/s",
            lambda port: rate(large, get(port, "large", target, 1)),
            lambda port: rate(large, get(port, "large", target, 16)),
            4.0,
        ),
        (
            f"    PUT {large // 4} MB, 1468/1, our client",
            "MB/s",
            lambda port: rate(large // 4, put(port, str(upload), 1)),
            lambda port: rate(large // 4, put(port, str(upload), 1)),
            0.8,
        ),
        (
            "B5a GET 1 KB, latency",
            "us",
            lambda port: latency(port, target),
            lambda port: latency(port, target),
            5.0,
        ),
    ]
    with contextlib.ExitStack() as stack:
        for _core in range(os.cpu_count() or 1):
            stack.enter_context(process(keep_awake))
        stack.enter_context(tftpd_hpa(baseline, str(served)))
        stack.enter_context(process(serve, ours, str(served)))
        for port in (baseline, ours):
            wait_for(port, target)
        values: list[tuple[list[float], list[float]]] = [([], []) for _step in steps]
        for _run in range(runs):
            for (_name, _unit, theirs, own, _wanted), (base, new) in zip(
                steps, values, strict=True
            ):
                base.append(theirs(baseline))
                new.append(own(ours))
    return [
        Figure(name, unit, base, new, wanted)
        for (name, unit, _theirs, _own, wanted), (base, new) in zip(steps, values, strict=True)
    ]


def cell(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare our TFTP server with tftpd-hpa.")
    parser.add_argument("--runs", type=int, default=5, help="repetitions (default: 5)")
    parser.add_argument(
        "--size", type=int, default=64, help="MB of the large download (default: 64)"
    )
    parser.add_argument("--json", metavar="FILE", help="write all values there")
    arguments = parser.parse_args()
    if shutil.which("curl") is None or not os.access("/usr/sbin/in.tftpd", os.X_OK):
        parser.error("curl or in.tftpd is missing; install the packages curl and tftpd-hpa")

    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tftp-benchmark-", dir=memory) as directory:
        os.chmod(directory, 0o755)
        figures = measure(Path(directory), arguments.runs, arguments.size)

    print(f"n = {arguments.runs}, load average before {before:.1f}, median (min–max)")
    print(f"{'':42} {'':5} {'tftpd-hpa':>18} {'ours':>18} {'ratio':>6} {'wanted':>7}")
    for figure in figures:
        print(
            f"{figure.name:42} {figure.unit:5} {cell(figure.baseline):>18}"
            f" {cell(figure.ours):>18} {figure.ratio:6.2f} {figure.wanted:7.1f}"
        )
    if arguments.json:
        report = {
            "runs": arguments.runs,
            "load": before,
            "figures": [asdict(figure) | {"ratio": figure.ratio} for figure in figures],
        }
        Path(arguments.json).write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
