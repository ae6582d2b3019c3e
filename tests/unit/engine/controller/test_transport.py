# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an acknowledgement is, how controllers are reached, and what is told of them."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.connection import (
    connect,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.transport import (
    ControllerError,
    Transport,
    explain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.urls import masked
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.version import (
    StandardVersion,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskRequest,
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    MachineHeader,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task

QUICK = Transport(request_timeout=5, connect_timeout=2)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PAGE = b"<!DOCTYPE html><title>Log in</title>"


def answer(body: bytes, kind: str | None, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    if kind:
        head += f"Content-Type: {kind}\r\n"
    return head.encode() + b"\r\n" + body


class Raw:
    """A server that reads `most` bytes of each request, or all of it, and gives an answer."""

    def __init__(self, *answers: bytes, most: int | None = None) -> None:
        self.answers = list(answers)
        self.received: list[bytes] = []
        self._most = most
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/?build-result"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for each in self.answers:
            try:
                connection, _address = self._server.accept()
            except OSError:
                # Closed: there is no further request.
                return
            with connection:
                connection.settimeout(5)
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                head, _empty, body = data.partition(b"\r\n\r\n")
                wanted = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                while len(body) < (wanted if self._most is None else self._most):
                    body += connection.recv(65536)
                self.received.append(body)
                connection.sendall(each)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()


@pytest.mark.parametrize(
    ("given", "good"),
    [
        (answer(b"", None), True),
        (answer(b"", "text/html"), True),
        (answer(b"", None, "204 No Content"), True),
        (answer(b": 1\nsession: s\n", "text/manifest;charset=utf-8"), True),
        (answer(b"thanks", "text/plain"), True),
        (answer(b"thanks", "text/html; charset=utf-8"), False),
        (answer(PAGE, None), False),
        (answer(b"\r\n " + PAGE.lower(), "text/plain"), False),
        (answer(b"<HTML>", "application/octet-stream"), False),
        (answer(b"<p>", "application/xhtml+xml"), False),
    ],
)
def test_a_page_is_no_acknowledgement(given: bytes, good: bool, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(b"x")
    for upload in (
        lambda url: QUICK.upload_result(url, "text"),
        lambda url: QUICK.upload_artifact(url, {}, str(archive)),
    ):
        with Raw(given) as server:
            try:
                upload(server.url)
            except ControllerError as error:
                assert not good
                assert "a page of HTML" in str(error)
            else:
                assert good


@pytest.mark.parametrize("status", ["302 Found", "303 See Other", "307 Temporary Redirect"])
def test_a_redirection_to_a_login_page_is_no_acknowledgement(status: str) -> None:
    with Raw(answer(PAGE, "text/html")) as login:
        redirection = answer(b"", None, f"{status}\r\nLocation: {login.url}")
        with Raw(redirection) as server, pytest.raises(ControllerError):
            QUICK.upload_result(server.url, "text")


WHOLE = answer(b": 1\nstatus: 200\n", "text/manifest")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"


@pytest.mark.parametrize("whole", [WHOLE, CHUNKED], ids=["length", "chunked"])
def test_no_part_of_an_acknowledgement_is_one(whole: bytes) -> None:
    parts = [whole[:size] for size in range(len(whole))]
    # What is missing at the end of these is nothing but the line ends of the last chunk.
    harmless = [whole[:-end] for end in range(1, 5)] if whole is CHUNKED else []
    for part in parts:
        with Raw(part) as server:
            try:
                QUICK.upload_result(server.url, "text")
            except ControllerError:
                continue
            assert part in harmless
    with Raw(whole) as server:
        QUICK.upload_result(server.url, "text")


def test_an_answer_that_comes_before_the_request_was_read_is_read() -> None:
    """A proxy answers 413 at once and hangs up; the rest of the body has nowhere to go."""
    body = "x" * (16 << 20)
    refusal = answer(b"too large", "text/plain", "413 Request Entity Too Large")
    for _dummy in range(5):
        with Raw(refusal, most=1) as server, pytest.raises(ControllerError) as caught:
            QUICK.upload_result(server.url, body)
        assert caught.value.status == 413 or caught.value.reset


def test_an_early_answer_of_a_server_that_stays_is_read() -> None:
    """It does not read on, and it does not hang up either."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer(b"", None, "413 Request Entity Too Large"))
                time.sleep(3)

        threading.Thread(target=serve, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(ControllerError) as caught:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            Transport(request_timeout=20, connect_timeout=2).upload_result(url, "x" * (64 << 20))
        assert caught.value.status == 413
        assert time.monotonic() - began < 3


def test_the_time_is_limited_in_any_thread() -> None:
    """Bytes that drip do not prolong it, nor does a thread that is not the main one matter."""
    words: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.05)
                except OSError:
                    pass

        def ask() -> None:
            try:
                url = f"http://127.0.0.1:{server.getsockname()[1]}/"
                Transport(request_timeout=0.5, connect_timeout=2).upload_result(url, "x")
            except ControllerError as error:
                words.append(str(error))

        threading.Thread(target=serve, daemon=True).start()
        thread = threading.Thread(target=ask)
        began = time.monotonic()
        thread.start()
        thread.join(10)
        assert time.monotonic() - began < 5
    assert words == ["there was no complete answer within 0.5 s"]


def test_a_form_is_sent_without_being_read_whole(tmp_path: Path) -> None:
    archive = tmp_path / "debian.tar"
    with open(archive, "wb") as file:
        file.truncate(48 << 20)
    length = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal length
            left = length = int(self.headers["Content-Length"])
            assert "Transfer-Encoding" not in self.headers
            start = b""
            while left:
                piece = self.rfile.read(min(left, 65536))
                start = start or piece[:600]
                left -= len(piece)
            boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
            head = (
                b'--%s\r\nContent-Disposition: form-data; name="session"\r\n\r\ns\r\n'
                b'--%s\r\nContent-Disposition: form-data; name="archive"; '
                b'filename="debian.tar"\r\n\r\n' % (boundary, boundary)
            )
            self.send_response(200 if start.startswith(head) else 400)
            self.end_headers()

        def log_message(self, format: str, *arguments: t.Any) -> None:  # noqa: A002
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        tracemalloc.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/"
            Transport(request_timeout=60).upload_artifact(url, {"session": "s"}, str(archive))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            server.shutdown()
    assert length > 48 << 20
    assert peak < 8 << 20


def resolves(patch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    found = [
        (
            socket.AF_INET6 if ":" in address else socket.AF_INET,
            socket.SOCK_STREAM,
            6,
            "",
            (address, port, 0, 0) if ":" in address else (address, port),
        )
        for address, port in addresses
    ]
    patch.setattr(socket, "getaddrinfo", lambda *_args: found)


def test_addresses_are_tried_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never answers costs a quarter of a second, one that refuses nothing."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("127.0.0.2", 0), backlog=0) as full,
    ):
        dead, good = full.getsockname()[1], server.getsockname()[1]
        # A full backlog: further connections are not answered.
        fillers = [socket.socket() for _dummy in range(3)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(("127.0.0.2", dead))
        resolves(monkeypatch, ("127.0.0.2", dead), ("127.0.0.3", 9), ("127.0.0.1", good))
        began = time.monotonic()
        with connect("name.invalid", good, 20) as sock:
            assert sock.getpeername() == ("127.0.0.1", good)
        assert time.monotonic() - began < 2
        resolves(monkeypatch, ("127.0.0.2", dead))
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connect("name.invalid", good, 0.5)
        assert 0.4 < time.monotonic() - began < 2
        for each in fillers:
            each.close()


def test_nobody_at_any_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch, ("::1", 9), ("127.0.0.1", 9))
    with pytest.raises(ConnectionRefusedError):
        connect("name.invalid", 9, 5)
    before = len(os.listdir("/proc/self/fd"))
    for _dummy in range(20):
        with pytest.raises(OSError, match=r".+"):
            connect("name.invalid", 9, 5)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://x/?build-task", "https://x/?build-task"),
        ("https://u:p@x:1/?build-task", "https://***@x:1/?build-task"),
        ("https://x/a?build-result&token=abc&x=1", "https://x/a?build-result&token=***&x=***"),
        ("https://x/?upload=bindist", "https://x/?upload=bindist"),
        ("see https://u@x/?k=v: it is gone", "see https://***@x/?k=*** it is gone"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_secrets_are_masked(given: str, shown: str) -> None:
    assert masked(given) == shown


def test_no_secret_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for url in (
        f"http://agent:secret@127.0.0.1:{port}/?build-task&token=secret",
        "http://agent:secret@127.0.0.1:99999/?token=secret",
        "http://agent:secret@nowhere.invalid/?token=secret",
        "http://agent:secret@[::1/?token=secret",
    ):
        with pytest.raises(ControllerError) as caught:
            QUICK.upload_result(url, "x")
        assert "secret" not in explain(caught.value, url)


@pytest.mark.parametrize("where", ["result", "bindist"])
def test_a_safe_controller_refers_to_safe_places(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(name="hello", version="1.0", repository_url="https://x/", machine="tiny")
    urls = {"result": "https://x/r", "bindist": "https://x/u"}

    def ask(url: str) -> TaskResponse:
        response = TaskResponse(
            "s", task, result_url=urls["result"], upload_urls={"bindist": urls["bindist"]}
        )
        text = response.to_text().encode()
        monkeypatch.setattr(Transport, "_post", lambda *_args, **_more: text)
        header = MachineHeader(id="tiny-1", name="tiny", summary="A tiny machine")
        request = TaskRequest("here", "default", StandardVersion.parse("0.1.0"), (header,))
        return QUICK.request_task(url, request)

    assert ask("https://x/").task is not None
    urls[where] = "http://169.254.169.254/latest"
    with pytest.raises(ControllerError, match="refers from https to http://169"):
        ask("https://x/")
    assert ask("http://x/").task is not None
