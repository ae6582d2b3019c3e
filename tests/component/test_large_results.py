# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results meant to take the agent's memory and time: of 256 MiB, and just under the limit."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.arrived import RESULT_LIMIT
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.agents import RunningAgent
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.waiting import until

HEAD = b": 1\nname: hello\nversion: 1.0\nstatus: success\n"
LOG = HEAD + b"update-status: success\nupdate-log: "

# What each byte of costs a parser most, one way or another.
CRASHERS = {
    "pairs": (b": 1\n", b"a:\n"),
    "manifests": (b": 1\n", b":\n"),
    "operations": (HEAD, b":\nupdate-status: error\n"),
    "one line": (LOG, b"x"),
    "lines of a value": (LOG + b"\\\n", b"x\n"),
    "zeros": (b"", b"\0"),
    "line ends": (HEAD, b"\n"),
    "not UTF-8": (LOG, b"\xff"),
}
# In KiB: what it may take to receive and to read a result of ten megabytes.
MOST_MEMORY = 160 << 10


class Memory(threading.Thread):
    """The most memory that a process and those it forks ever have, each by itself, in KiB."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.most = 0
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            children = Path("/proc", str(self._pid), "task", str(self._pid), "children")
            for pid in [str(self._pid), *children.read_text().split()]:
                try:
                    text = Path("/proc", pid, "status").read_text()
                except OSError:
                    continue
                for line in text.splitlines():
                    if line.startswith("VmHWM:"):
                        self.most = max(self.most, int(line.split()[1]))

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def write(path: Path, begin: bytes, piece: bytes, size: int) -> None:
    block = piece * ((1 << 20) // len(piece))
    with path.open("wb") as file:
        file.write(begin)
        while file.tell() + len(block) <= size:
            file.write(block)
        file.write(piece * ((size - file.tell()) // len(piece)))


def put(path: Path, port: str) -> int:
    """Upload a file as the result, with large blocks; curl's exit status."""
    url = f"tftp://127.0.0.1:{port}/manifest"
    command = ["curl", "--silent", "--tftp-blksize", "65464", "--upload-file", str(path), url]
    return subprocess.run(command, check=False, timeout=300).returncode


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(256 << 20, id="256 MiB"),
        pytest.param(RESULT_LIMIT - 10, id="under the limit", marks=pytest.mark.long),
    ],
)
def test_memory_and_time_stay_level(host: BuildHost, tmp_path: Path, size: int) -> None:
    header = tmp_path / "machine.manifest"
    header.write_text(": 1\nid: hand-1\nname: hand\nsummary: By hand\n")
    good, odd = tmp_path / "good", tmp_path / "odd"
    good.write_bytes(HEAD)
    seconds: dict[str, float] = {}
    with (
        Controller() as controller,
        RunningAgent(host, controller, fake_machine=header) as agent,
        Memory(agent.process.pid) as memory,
    ):
        for number, (name, (begin, piece)) in enumerate(CRASHERS.items(), 1):
            write(odd, begin, piece, size)
            controller.tasks.append(make_task(machine="hand"))
            port = agent.says("is in .* and at 127.0.0.1:", count=number).rsplit(":", 1)[1]
            began = time.monotonic()
            status = put(odd, port)
            if size > RESULT_LIMIT:
                # Refused long before its end, and the worker may send another one.
                assert status != 0, name
                assert put(good, port) == 0, name
            else:
                assert status == 0, name
            until(lambda n=number: len(controller.arrivals) == n, f"{name}: a result", 240)  # type: ignore[misc]
            seconds[name] = round(time.monotonic() - began, 1)
            assert memory.most < MOST_MEMORY, (name, memory.most)
        found = [arrival.result.status for arrival in controller.arrivals]
    print(seconds, memory.most, found)
    if size > RESULT_LIMIT:
        assert set(found) == {Status.SUCCESS}
    else:
        # A log of ten megabytes is a log; all else is no result of a worker in its senses.
        kinds = dict(zip(CRASHERS, found, strict=True))
        logs = {"one line", "lines of a value", "line ends"}
        expected = {name: Status.SUCCESS if name in logs else Status.ABNORMAL for name in CRASHERS}
        assert kinds == expected
