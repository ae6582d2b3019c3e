# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files come whole from servers that have a bad moment, or there is a sentence."""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.errors import WorkerError
from bbot_worker.log import Log
from bbot_worker.sources import transfer
from bbot_worker.tftp import TftpError

Fetch = Callable[..., Path]


class Server:
    """Answers each request with the next of the raw answers, the last one again and again.

    Of a tuple the parts are sent with pauses of 0.2 seconds between.
    """

    def __init__(self, *answers: bytes | tuple[bytes, ...]) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.requests.append(connection.recv(65536).decode().split(" ")[1])
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            for part in answer if isinstance(answer, tuple) else (answer,):
                connection.sendall(part)
                time.sleep(0.2 if isinstance(answer, tuple) else 0)
            connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, "Connection: close"]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture(name="serve")
def serve_fixture() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(*answers: bytes | tuple[bytes, ...]) -> Server:
        servers.append(Server(*answers))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between tries; that takes no time here."""
    waited: list[float] = []
    monkeypatch.setattr(transfer, "pause_for", waited.append)
    return waited


@pytest.fixture(name="data")
def data_fixture(archives: Any) -> bytes:
    return bytes(archives.tar((archives.member("p/a"), b"content"), mode="w"))


def test_a_server_that_drips(
    fetch: Fetch, serve: Callable[..., Server], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_SLOW_SECONDS", 0.3)
    whole = answer(data)
    drip = (whole[:200], *(whole[number : number + 1] for number in range(200, 230)))
    assert (fetch(f"{serve(drip, whole).url}/x") / "a").read_bytes() == b"content"
    with pytest.raises(WorkerError, match=r"fewer than 100 bytes a second come \(given up"):
        fetch(f"{serve(drip).url}/x")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_an_archive_comes_by_http(fetch: Fetch, serve: Callable[..., Server], data: bytes) -> None:
    server = serve(answer(data))
    # Neither the name nor the task's type says what it is.
    assert (fetch(f"{server.url}/download?id=5") / "a").read_bytes() == b"content"
    assert server.requests == ["/download?id=5"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda data: answer(data[:1024], length=len(data)), "1024 of 10240 bytes have come"),
        (lambda data: CHUNKED + b"2000\r\n" + data[:1024], "IncompleteRead"),
        (lambda data: CHUNKED + b"400\r\n" + data[:1024] + b"\r\n", "IncompleteRead"),
        (lambda _: answer(b"", "503 Busy"), "the server says 503 Busy"),
        (lambda _: answer(b"", "429 Slow", "Retry-After: 7"), "the server says 429 Slow"),
        (lambda _: b"", "closed connection without response"),
        (lambda _: b"SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
    ],
)
def test_a_bad_moment_passes(
    fetch: Fetch,
    serve: Callable[..., Server],
    data: bytes,
    log: Log,
    pauses: list[float],
    bad: Callable[[bytes], bytes],
    reason: str,
) -> None:
    server = serve(bad(data), bad(data), answer(data))
    assert (fetch(server.url + "/x.tar") / "a").read_bytes() == b"content"
    assert pauses == ([7, 7] if "429" in reason else [1, 2])
    assert log.close().count(reason) == 2


@pytest.mark.parametrize("delay", ["1e9", "99999999", "-1", "Wed, 21 Oct 2115 07:28:00 GMT"])
def test_pauses_are_bounded(
    fetch: Fetch, serve: Callable[..., Server], pauses: list[float], delay: str
) -> None:
    server = serve(answer(b"", "503 Busy", f"Retry-After: {delay}"))
    with pytest.raises(WorkerError) as caught:
        fetch(server.url + "/x.tar")
    assert caught.value.status == "error"
    assert str(caught.value) == (
        f"cannot fetch {server.url}/x.tar: the server says 503 Busy (given up after 4 tries)"
    )
    assert pauses == ([30, 30, 30] if delay == "99999999" else [1, 2, 4])


def test_no_try_begins_late(
    fetch: Fetch, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_PATIENCE", 0.5)
    with pytest.raises(WorkerError, match="given up after 1 tries"):
        fetch(serve(answer(b"", "503 Busy")).url)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(b"", "404 Not Found"), "the server says 404 Not Found"),
        (answer(b"", "401 Who"), "the server says 401 Who"),
        (answer(b"", "302 There", "Location: file:///etc/passwd"), "302"),
        (answer(b"", "302 There", "Location: http://[::1/x"), "Invalid"),
    ],
)
def test_what_no_other_try_mends(
    fetch: Fetch, serve: Callable[..., Server], pauses: list[float], given: bytes, reason: str
) -> None:
    server = serve(given)
    with pytest.raises(WorkerError, match=f"^cannot fetch {server.url}/x: .*{reason}"):
        fetch(server.url + "/x")
    assert pauses == []


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999/", "http://a b/", "http://[/"])
def test_what_is_no_address(fetch: Fetch, url: str) -> None:
    with pytest.raises(WorkerError, match=r"^cannot fetch ") as caught:
        fetch(url)
    assert caught.value.status == "error"


def test_a_server_that_is_not_there(fetch: Fetch, pauses: list[float]) -> None:
    with pytest.raises(WorkerError, match=r"127.0.0.1:9/x: .*refused \(given up after 4 tries\)"):
        fetch("http://127.0.0.1:9/x")
    assert len(pauses) == 3


@pytest.mark.parametrize(
    "parts",
    [
        (answer(b"", length=10**6), *[b"x"] * 100),
        (b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 100),
        tuple(b"HTTP/1.1 200 OK\r\n" * 9),
    ],
    ids=["body", "headers", "bytes"],
)
def test_the_time_limit_holds_for_a_server_that_drips(
    fetch: Fetch, serve: Callable[..., Server], parts: Any
) -> None:
    slow = tuple(bytes([part]) if isinstance(part, int) else part for part in parts)
    started = time.monotonic()
    with pytest.raises(WorkerError, match="not there after 1 seconds") as caught:
        fetch(serve(slow).url, timeout=1)
    assert caught.value.status == "abort"
    assert 0.9 < time.monotonic() - started < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_body_without_an_end(
    fetch: Fetch, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "free", lambda _: (1 << 20, None))
    with pytest.raises(WorkerError, match="has more than the 1 MB that are free"):
        fetch(serve(answer(bytes(2 << 20))).url)


@pytest.mark.parametrize("where", ["field", "fragment", "both"])
def test_checksums(fetch: Fetch, serve: Callable[..., Server], data: bytes, where: str) -> None:
    right, wrong = hashlib.sha256(data).hexdigest(), "0" * 64
    server = serve(answer(data))

    def ask(digest: str) -> Path:
        fragment = f"#sha256={digest.upper()}" if where != "field" else ""
        more = [("repository-checksum", f"sha256:{digest}")] if where != "fragment" else []
        return fetch(f"{server.url}/x.tar{fragment}", *more)

    with pytest.raises(WorkerError, match=f"the SHA-256 checksum {right}, and {wrong} is expected"):
        ask(wrong)
    assert (ask(right) / "a").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("fragment", "field", "message"),
    [
        ("", "md5:0", "repository-checksum 'md5:0': sha256: and 64"),
        ("#v1", "", "the fragment '#v1' of an archive's address"),
        ("#sha256=" + "0" * 64, "sha256:" + "1" * 64, "are not the same"),
    ],
)
def test_checksums_that_are_none(fetch: Fetch, fragment: str, field: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        fetch("tftp:x.tar" + fragment, ("repository-checksum", field), files={"x.tar": b""})


def test_a_checksum_where_none_can_be_checked(fetch: Fetch, tmp_path: Path) -> None:
    for url in (str(tmp_path), f"file://{tmp_path}/x.git"):
        with pytest.raises(WorkerError, match="repository-checksum is for archives"):
            fetch(url, ("repository-checksum", "sha256:" + "0" * 64))


def test_tftp_has_the_same_rule(fetch: Fetch, data: bytes, pauses: list[float]) -> None:
    lost = TftpError("no answer about 'x'")
    assert (fetch("tftp:/x", files={"x": [lost, lost, data]}) / "a").read_bytes() == b"content"
    assert pauses == [1, 2]
    with pytest.raises(WorkerError, match=r"^cannot fetch tftp:x: no answer .*after 4 tries"):
        fetch("tftp:x", files={"x": [lost] * 4})
    pauses.clear()
    with pytest.raises(WorkerError, match=r"^cannot fetch tftp:y: no such file") as caught:
        fetch("tftp:y")
    assert (caught.value.status, pauses) == ("error", [])


def test_an_archive_or_directory_of_the_machine(fetch: Fetch, data: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(data)
    assert (fetch(f"file://{archive}") / "a").read_bytes() == b"content"
    with pytest.raises(WorkerError, match=f"{archive} has the SHA-256 checksum"):
        fetch(f"file://{archive}", ("repository-checksum", "sha256:" + "0" * 64))


def test_the_time_limit_holds_while_something_is_unpacked(
    fetch: Fetch, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tarfile.TarFile, "next", lambda _: time.sleep(60))
    with pytest.raises(WorkerError, match="not there after 1 seconds") as caught:
        fetch("tftp:x", files={"x": data}, timeout=1)
    assert caught.value.status == "abort"


def test_a_directory_is_not_entered(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "tree/only").mkdir(parents=True)
    (tmp_path / "tree/only/a").write_text("x")
    assert (fetch(str(tmp_path / "tree")) / "only/a").read_text() == "x"


def test_a_directory_that_is_not_there(fetch: Fetch) -> None:
    with pytest.raises(WorkerError, match="no directory /no/such/directory in this machine"):
        fetch("/no/such/directory")


@pytest.mark.parametrize("url", ["ftp://x/y", "svn+ssh://x", ""])
def test_addresses_of_other_kinds(fetch: Fetch, url: str) -> None:
    with pytest.raises(
        WorkerError, match=f"cannot fetch {re.escape(url)}: known" if url else "no repo"
    ):
        fetch(url)
