# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page as a process: who is let in, and that whoever is slow, dead or hostile harms nobody."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
import typing as t
import urllib.parse
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import Journal
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.agents import COMMAND, engine
from helpers.web import WebHost, WebServer

HOSTILE = "</pre><script>document.title = 'taken over'</script>\x1b]0;x\x07\x1b[31m"


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[WebHost]:
    made = WebHost(tmp_path)
    made.machine("debian_12")
    made.ended()
    with contextlib.closing(made):
        yield made


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_whoever_looks_changes_nothing(host: WebHost) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.lstat().st_mtime_ns, path.lstat().st_size)
            for path in host.root.rglob("*")
            if "/engine" not in str(path)
        }

    host.running("12:00:00 phase work\n")
    before = state()
    with WebServer(host) as server:
        for address in ("/", "/history", "/trends", "/task/1", "/task/2", "/task/1/log/update.log"):
            answer = server.get(address)
            assert answer.status == 200, address
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            only_head = server.get(address, "HEAD")
            assert (only_head.status, only_head.body) == (200, "")
            assert only_head.headers["Content-Length"]
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
            answer = server.get("/", method)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert state() == before


def test_it_may_be_below_a_path_of_a_proxy(host: WebHost) -> None:
    host.running("12:00:00 phase work\n")
    base = "http://h/builds/1/"
    wrong = {base + path for path in ("task/99", "task/1/log/none.log", "a/b/c/d", "trends?days=5")}
    asked, seen = [base, *wrong], set[str]()
    with WebServer(host) as server:
        while asked:
            address = asked.pop()
            if address in seen:
                continue
            seen.add(address)
            assert address.startswith(base), address
            if "/events" in address:
                continue
            page = server.get("/" + address.removeprefix(base))
            assert (page.status == 404) == (address in wrong), address
            for path in re.findall(r'(?:href|action|src|data-live)="([^"#]+)', page.body):
                if not path.startswith("data:"):
                    asked.append(urllib.parse.urljoin(address, path.replace("&amp;", "&")))
    # What is live, too.
    live = {f"{base}events", f"{base}task/2/events?from=20"}
    assert live <= seen and f"{base}task/1/raw/update.log" in seen


def test_other_names_are_not_ours(host: WebHost) -> None:
    with WebServer(host, "--name", "ci.example.org") as server:
        for name in ("localhost", "127.0.0.1:1", socket.gethostname(), "ci.example.org:443"):
            assert server.get(Host=name).status == 200, name
        answer = server.get(Host="rebound.example.org")
        assert answer.status == 421
        assert "hello" not in answer.body and "--name" in answer.body


def test_only_those_with_a_password(host: WebHost, tmp_path: Path) -> None:
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "secret"], capture_output=True, text=True, check=True
    )
    users = tmp_path / "users"
    users.write_text(f"anna:{hashed.stdout}")
    with WebServer(host, "--password-file", str(users)) as server:
        for path in ("/", "/task/1/raw/update.log", "/events", "/nope"):
            answer = server.get(path)
            assert answer.status == 401 and "hello" not in answer.body
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        began = time.monotonic()
        assert server.get(Authorization=basic("anna:wrong")).status == 401
        # Nobody guesses quickly.
        assert time.monotonic() - began >= 1
        assert server.get(Authorization=basic("anna:secret")).status == 200


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext"]
    command += ["subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_tls(host: WebHost, certificate: Path) -> None:
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    trusting = ssl.create_default_context(cafile=cert)
    with WebServer(host, "--certificate", cert, "--key", key) as server:
        assert server.url.startswith("https://")
        assert server.get(tls=trusting).status == 200
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"hello" not in plain.recv(65536)
        # One that never shakes hands holds up nobody.
        with socket.create_connection(("127.0.0.1", server.port)):
            assert server.get(tls=trusting).status == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--listen", "0.0.0.0:0"], "--anybody"),
        (["--listen", "[::]:0", "--password-file", "users"], "--certificate and --key"),
        (["--certificate", "x"], "give both"),
        (["--certificate", "x", "--key", "y"], "cannot use the certificate x with the key y"),
        (["--listen", "localhost"], "is not ADDRESS:PORT"),
        (["--listen", "127.0.0.1:99999"], "is not ADDRESS:PORT"),
        (["--listen", "192.0.2.1:80", "--anybody"], "cannot listen on 192.0.2.1, port 80"),
        (["--password-file", "none"], "cannot read the passwords"),
    ],
)
def test_what_is_not_meant_is_refused(host: WebHost, options: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, str(COMMAND), "web", *options, *host.places],
        env=engine(host.root),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_without_jinja_one_sentence_says_so(host: WebHost, tmp_path: Path) -> None:
    (tmp_path / "shadow" / "jinja2").mkdir(parents=True)
    (tmp_path / "shadow" / "jinja2" / "__init__.py").write_text("raise ImportError\n")
    done = subprocess.run(
        [sys.executable, str(COMMAND), "web", *host.places],
        env={**engine(host.root), "PYTHONPATH": str(tmp_path / "shadow")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "install the package python3-jinja2" in done.stderr and done.stderr.count("\n") == 1


def test_anybody_may_see_it_if_that_is_meant(host: WebHost) -> None:
    with WebServer(host, "--listen", "0.0.0.0:0", "--anybody") as server:
        assert server.get().status == 200


class Client:
    """Somebody who speaks by hand."""

    def __init__(self, server: WebServer, text: bytes = b"") -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.sendall(text)

    def rest(self) -> bytes:
        """All until the server closes."""
        found = b""
        while data := self.sock.recv(65536):
            found += data
        return found


ASK = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_the_slow_and_the_dead_hold_up_nobody(host: WebHost) -> None:
    place = Path(host.journal.get(1).logs)  # type: ignore[union-attr, arg-type]
    with (place / "huge.log").open("wb") as file:
        file.truncate(1 << 30)
    host.running("12:00:00 phase work\n")
    with WebServer(host) as server, contextlib.ExitStack() as stack:
        before = server.resident

        def dead(text: bytes) -> None:
            stack.enter_context(contextlib.closing(Client(server, text).sock))

        for _number in range(60):
            dead(b"")
            dead(b"GET / HT")
            # They never read what they have asked for.
            dead(ASK % b"/task/1/raw/huge.log")
            dead(ASK % b"/events")
            dead(ASK % b"/task/2/events?from=0")
        for address in ("/", "/history", "/task/1", "/trends"):
            began = time.monotonic()
            assert server.get(address).status == 200
            assert time.monotonic() - began < 2, address
        # An agent goes on meanwhile: nobody has the journal to himself.
        began = time.monotonic()
        host.ended()
        assert time.monotonic() - began < 5
        assert server.resident - before < 60 << 20


def test_one_who_never_asks_is_let_go(host: WebHost) -> None:
    with WebServer(host) as server:
        began = time.monotonic()
        idle, dripping = Client(server), Client(server, b"GET / HTTP/1.1\r\n")
        while time.monotonic() - began < 8:
            dripping.sock.sendall(b"A: b\r\n")
            time.sleep(1)
        assert idle.rest() == b"" == dripping.rest()
        assert 9 < time.monotonic() - began < 20
        long = Client(server, b"GET / HTTP/1.1\r\nA: " + b"b" * 30_000 + b"\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert long.rest().startswith(b"HTTP/1.1 431 ")


def test_too_many_at_once_are_told_so(host: WebHost) -> None:
    with WebServer(host) as server, contextlib.ExitStack() as stack:
        for _number in range(520):
            stack.enter_context(contextlib.closing(Client(server).sock))
        answer = server.get()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        stack.close()
        time.sleep(0.5)
        assert server.get().status == 200


def test_a_browser_that_goes_is_not_sent_to(host: WebHost) -> None:
    with WebServer(host) as server:
        for _number in range(300):
            client = Client(server, ASK % b"/events")
            assert client.sock.recv(15) == b"HTTP/1.1 200 OK"
            client.sock.close()
        time.sleep(3)
        assert server.get().status == 200
        client = Client(server, ASK % b"/events")
        assert client.sock.recv(15) == b"HTTP/1.1 200 OK"


def events(client: Client, count: int) -> list[dict[str, t.Any]]:
    """So many events, as they come."""
    found: list[dict[str, t.Any]] = []
    with client.sock.makefile("rb") as file:
        kind = ""
        while len(found) < count:
            line = file.readline().decode()
            assert line, found
            if line.startswith("event: "):
                kind = line[7:].strip()
            elif line.startswith("data: "):
                found.append({"kind": kind, **json.loads(line[6:])})
    return found


def test_a_task_is_followed_to_its_end(host: WebHost) -> None:
    number = host.running("12:00:00 phase work\n")
    log = Path(host.journal.get(number).logs) / "agent.log"  # type: ignore[union-attr, arg-type]
    with WebServer(host) as server:
        page = server.get(f"/task/{number}").body
        assert f'data-live="{number}/events?from=20"' in page
        client = Client(server, ASK % b"/task/%d/events?from=20" % number)
        with log.open("a") as file:
            file.write(f"12:00:01 | {HOSTILE}\n")
        first, second = events(client, 2)
        assert (first["kind"], first["id"]) == ("part", "facts")
        cleaned = HOSTILE.replace("\x1b]0;x\x07", "").replace("\x1b[31m", "")
        assert (second["kind"], second["text"]) == ("lines", f"12:00:01 | {cleaned}\n")
        entry = host.journal.get(number)
        assert entry is not None
        host.journal.set_aside(number, "enough")
        # One who comes again goes on where he was.
        again = Client(
            server,
            b"GET /task/%d/events HTTP/1.1\r\nHost: x.localhost\r\n\r\n" % number,
        )
        assert again.rest().startswith(b"HTTP/1.1 421 ")
        assert events(client, 1)[-1]["kind"] in ("part", "ended")


@pytest.mark.parametrize("hidden", ["link.log", "linked/passwd", "..%2f..%2fsecret", "pipe.log"])
def test_nothing_else_is_handed_out(host: WebHost, hidden: str) -> None:
    place = Path(host.journal.get(1).logs)  # type: ignore[union-attr, arg-type]
    (host.root / "secret").write_text("canary")
    (place / "link.log").symlink_to(host.root / "secret")
    (place / "linked").symlink_to("/etc")
    os.mkfifo(place / "pipe.log")
    with WebServer(host) as server:
        for kind in ("raw", "log", "file/artifacts/.."):
            answer = server.get(f"/task/1/{kind}/{hidden}")
            assert answer.status == 404 and "canary" not in answer.body
        assert hidden not in server.get("/task/1").body
        raw = server.get("/task/1/raw/update.log")
        assert raw.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "sandbox" in raw.headers["Content-Security-Policy"]


def test_a_million_hostile_lines_are_quick(host: WebHost) -> None:
    line = f"error: {HOSTILE} \xff".encode("latin-1")
    number = host.ended(
        Status.ERROR, {"update": (Status.ERROR, "x\n")}, culprit="task", reason="<b>" * 500
    )
    place = Path(host.journal.get(number).logs)  # type: ignore[union-attr, arg-type]
    (place / "update.log").write_bytes((line + b"\n") * 1_000_000 + b"x" * 10_000_000)
    with WebServer(host) as server:
        before = server.resident
        for address in ("", "/log/update.log", "/log/update.log?at=0", "/log/update.log?first=1"):
            began = time.monotonic()
            answer = server.get(f"/task/{number}{address}")
            assert time.monotonic() - began < 1, address
            assert answer.status == 200 and len(answer.body) < 400_000
            assert "<script>document" not in answer.body and "\x1b" not in answer.body
        assert server.resident - before < 20 << 20


def test_a_log_that_is_cut_while_it_is_sent(host: WebHost) -> None:
    place = Path(host.journal.get(1).logs)  # type: ignore[union-attr, arg-type]
    with (place / "huge.log").open("wb") as file:
        file.truncate(256 << 20)
    with WebServer(host) as server:
        client = Client(server, ASK % b"/task/1/raw/huge.log")
        client.sock.recv(4096)
        os.truncate(place / "huge.log", 0)
        with contextlib.suppress(ConnectionResetError):
            assert len(client.rest()) < 256 << 20
        assert server.get().status == 200


def test_a_journal_that_somebody_writes_to(host: WebHost) -> None:
    with WebServer(host) as server:
        with contextlib.closing(sqlite3.connect(host.journal.path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            assert server.get("/history").status == 200
            db.execute("ROLLBACK")
        Path(host.journal.path).write_bytes(b"no journal at all" * 99)
        answer = server.get("/history")
        assert answer.status == 500 and "cannot be read" in answer.body
        time.sleep(1.1)
        assert "cannot be read" in server.get("/").body


def test_ten_thousand_tasks_and_fifty_that_run(host: WebHost) -> None:
    for number in range(50):
        host.running(f"12:00:00 phase work\n12:00:01 | line {number}\n" * 500)
    host.multiply(10_000)
    assert len(Journal(host.journal.path).latest(20_000)) == 10_050
    with WebServer(host) as server:
        before = server.resident
        page = server.get("/").body
        assert page.count('<article class="running">') == 50
        for address in ("/", "/history", "/history?q=x&outcome=bad", "/trends", "/task/10050"):
            assert server.get(address).status == 200
        assert server.resident - before < 60 << 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_though_somebody_looks(host: WebHost, number: signal.Signals) -> None:
    with WebServer(host) as server:
        client = Client(server, ASK % b"/events")
        client.sock.recv(100)
        server.process.send_signal(number)
        assert server.process.wait(5) == 0
