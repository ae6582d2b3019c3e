# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B14: the page about a host with 10,000 tasks of history and 50 that run.

The baseline is what serves files in Python, with the same bytes in one.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.waiting import until
from helpers.web import WebHost, WebServer

from .figures import Figure, interleave, say

_TASKS, _RUNNING, _SLOW = 10_000, 50, 100
_PAGES = {
    "now": "/",
    "history": "/history",
    "a search": "/history?q=none+like+it&outcome=bad",
    "trends": "/trends",
    "a task": "/task/1",
}
_LINE = "12:00:01 | gcc -DHAVE_CONFIG_H -I. -I.. -g -O2 -c -o lib/progname.o ../lib/progname.c\n"


def _furnish(host: WebHost) -> None:
    say(f"a host with {_TASKS} tasks, of which {_RUNNING} run")
    for number in range(20):
        host.machine(f"debian_{number}")
    log = "checking for gcc... gcc\n" * 2000
    host.ended(Status.ERROR, {"update": (Status.ERROR, f"{log}x.c:1: error: x\n")}, culprit="task")
    for _number in range(9):
        host.ended(operations={"update": (Status.SUCCESS, log), "test": (Status.SUCCESS, log)})
    for _number in range(_RUNNING):
        host.running("12:00:00 phase work\n" + _LINE * 2000)
    host.multiply(_TASKS)


def _first_byte(port: int, address: str) -> float:
    """The seconds from a connection to the first byte of the answer."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        first = sock.recv(1)
        passed = time.perf_counter() - began
        answer = first
        while data := sock.recv(65536):
            answer += data
    if not re.match(rb"HTTP/1\.[01] 200 ", answer):
        raise AssertionError(answer[:200])
    return passed


@contextlib.contextmanager
def _file_server(folder: Path) -> t.Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: not _is_closed(port), "it serves")
            yield port
        finally:
            process.kill()


def _is_closed(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def measure(runs: int) -> list[Figure]:
    """The figures."""
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="web-")))
        host = stack.enter_context(contextlib.closing(WebHost(root)))
        _furnish(host)
        server = stack.enter_context(WebServer(host))
        (root / "files").mkdir()
        for name, address in _PAGES.items():
            (root / "files" / name.replace(" ", "_")).write_text(server.get(address).body)
        files = stack.enter_context(_file_server(root / "files"))

        def ours() -> dict[str, float]:
            # So long it would say what it has seen last.
            time.sleep(1.1)
            return {name: _first_byte(server.port, address) for name, address in _PAGES.items()}

        def theirs() -> dict[str, float]:
            return {name: _first_byte(files, f"/{name.replace(' ', '_')}") for name in _PAGES}

        values = interleave(runs, {"files": theirs, "page": ours})
        slow = contextlib.ExitStack()
        with slow:
            for _number in range(_SLOW):
                sock = slow.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                sock.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            beside = interleave(runs, {f"page beside {_SLOW} that do not read": ours})
        (crowded,) = beside.values()
        memory = server.resident / (1 << 20)
    return [
        *(_figure(name, values["files"][name], values["page"][name]) for name in _PAGES),
        _figure(f"now, beside {_SLOW} that do not read", values["files"]["now"], crowded["now"]),
        Figure("B14", "memory of its own", "MB", "alone", "", "the server", [], [memory], 60),
    ]


def _figure(name: str, theirs: list[float], ours: list[float]) -> Figure:
    return Figure(
        "B14",
        f"first byte of {name}",
        "s",
        "alone",
        "the same as a file",
        "page",
        theirs,
        ours,
        0.1,
    )
