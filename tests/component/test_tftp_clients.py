# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our server and the TFTP clients people have: tftp-hpa, atftp, curl, busybox."""

from __future__ import annotations

import random
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.tftp import RunningServer

SIZES = [0, 1, 511, 512, 513, 1467, 1468, 1469, 1468 * 16, 1468 * 32 + 7]


class Program:
    """One of the clients: the commands by which it gets and puts, in a directory."""

    def __init__(
        self,
        get: t.Callable[[int, str, str], list[str]],
        put: t.Callable[[int, str, str], list[str]],
    ) -> None:
        self._get, self._put = get, put

    def get(self, port: int, name: str, target: Path) -> subprocess.CompletedProcess[str]:
        return self._run(self._get(port, name, target.name), target.parent)

    def put(self, port: int, source: Path, name: str) -> subprocess.CompletedProcess[str]:
        return self._run(self._put(port, source.name, name), source.parent)

    @staticmethod
    def _run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=30, check=False
        )


def hpa(mode: str) -> Program:
    start = ["tftp", "-m", mode, "127.0.0.1"]
    return Program(
        lambda port, name, target: [*start, str(port), "-c", "get", name, target],
        lambda port, source, name: [*start, str(port), "-c", "put", source, name],
    )


def curl(*options: str) -> Program:
    start = ["curl", "-sSf", "--path-as-is", *options]
    return Program(
        lambda port, name, target: [*start, "-o", target, f"tftp://127.0.0.1:{port}/{name}"],
        lambda port, source, name: [*start, "-T", source, f"tftp://127.0.0.1:{port}/{name}"],
    )


def atftp(*options: str) -> Program:
    start = ["atftp"]
    for option in options:
        start += ["--option", option]
    where = "127.0.0.1"
    return Program(
        lambda port, name, target: [*start, "-g", "-r", name, "-l", target, where, str(port)],
        lambda port, source, name: [*start, "-p", "-l", source, "-r", name, where, str(port)],
    )


def busybox(*options: str) -> Program:
    start = ["busybox", "tftp", *options]
    where = "127.0.0.1"
    return Program(
        lambda port, name, target: [*start, "-g", "-r", name, "-l", target, where, str(port)],
        lambda port, source, name: [*start, "-p", "-l", source, "-r", name, where, str(port)],
    )


PROGRAMS = {
    "tftp-hpa": hpa("binary"),
    "tftp-hpa netascii": hpa("netascii"),
    "curl": curl(),
    "curl 1468": curl("--tftp-blksize", "1468"),
    "curl without options": curl("--tftp-no-options"),
    "curl netascii": curl("--use-ascii"),
    "atftp": atftp(),
    "atftp 1468": atftp("blksize 1468", "tsize", "timeout 2"),
    "atftp window 4": atftp("windowsize 4"),
    "atftp 1468 window 16": atftp("blksize 1468", "windowsize 16"),
    "busybox": busybox(),
    "busybox 1468": busybox("-b", "1468"),
}


@pytest.fixture
def server(tmp_path: Path) -> t.Iterator[RunningServer]:
    with RunningServer(tmp_path) as server:
        yield server


@pytest.fixture
def here(tmp_path: Path) -> Path:
    directory = tmp_path / "client"
    directory.mkdir()
    return directory


def text(size: int) -> bytes:
    """Something that netascii has to change, and that both kinds of transfer keep."""
    return bytes(random.Random(size).choices(b"ab\n", k=size))


@pytest.mark.parametrize("name", PROGRAMS)
def test_get_and_put(server, here, name):
    program = PROGRAMS[name]
    # curl turns netascii into text by itself, on downloads only.
    for size in SIZES:
        content = text(size)
        (server.get_root / "file").write_bytes(content)
        got = program.get(server.port, "file", here / "got")
        assert got.returncode == 0, (size, got.stderr)
        received = (here / "got").read_bytes() if size else content
        if name == "curl netascii":
            received = received.replace(b"\r\n", b"\n")
        assert received == content, f"get of {size} bytes"

        (here / "sent").write_bytes(content)
        sent = program.put(server.port, here / "sent", f"sub/{size}")
        assert sent.returncode == 0, (size, sent.stderr)
        # At once: the client has ended, so it must be there.
        assert (server.put_root / f"sub/{size}").read_bytes() == content, f"put of {size} bytes"
    assert {event.kind for event in server.settled()} == {"request", "done"}


@pytest.mark.parametrize("name", ["tftp-hpa", "curl", "atftp", "busybox"])
def test_forty_megabytes_in_blocks_of_512(server, here, name):
    """Beyond 65,535 blocks and 32 MB, both ways at once."""
    content = random.Random(40).randbytes(40_000_000)
    (server.get_root / "big").write_bytes(content)
    (here / "sent").write_bytes(content)
    program = PROGRAMS[name]
    with ThreadPoolExecutor() as pool:
        getting = pool.submit(program.get, server.port, "big", here / "got")
        putting = pool.submit(program.put, server.port, here / "sent", "big")
    assert getting.result().returncode == 0, getting.result().stderr
    assert putting.result().returncode == 0, putting.result().stderr
    assert (here / "got").read_bytes() == content
    assert (server.put_root / "big").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tftp-hpa", "no such file"),
        ("atftp", "no such file"),
        ("busybox", "no such file"),
    ],
)
def test_a_missing_file_is_said_to_be_missing(server, here, name, words):
    got = PROGRAMS[name].get(server.port, "nothing", here / "got")
    assert words in got.stdout + got.stderr
    assert [event.kind for event in server.settled()] == ["request", "refused"]


def test_curl_exits_as_the_worker_expects(server, here):
    """Its words for it vary: some versions overwrite them with a complaint of their own."""
    assert PROGRAMS["curl"].get(server.port, "nothing", here / "got").returncode == 68


@pytest.mark.parametrize("name", ["tftp-hpa", "curl", "atftp", "busybox"])
def test_no_client_gets_out_of_the_root(server, here, name):
    (server.get_root.parent / "secret").write_text("secret")
    (server.get_root / "link").symlink_to("../secret")
    (here / "sent").write_text("x")
    for target in ("../secret", "link"):
        PROGRAMS[name].get(server.port, target, here / "got")
        got = here / "got"
        assert not got.exists() or got.read_bytes() == b""
    PROGRAMS[name].put(server.port, here / "sent", "../secret")
    assert (server.get_root.parent / "secret").read_text() == "secret"
    assert {event.kind for event in server.settled()} == {"request", "refused"}
