# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts by a real program for mail to a real SMTP server, and to webhooks that fail."""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller as SmtpServer
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import Leases
from bbot_alerts import main as _main
from bbot_alerts import ways as _ways
from bbot_alerts.clock import Moment
from bbot_alerts.message import Message
from bbot_alerts.outbox import Event
from bbot_alerts.ways import WayError, tell
from helpers.agents import COMMAND, engine
from helpers.ports import free_port

EVENT = Event(7, "began", "agent default, host", "agent default, host: no QEMU für uns", 1.7e9)
MESSAGE = Message("abc.mail.7-7", "build1", (EVENT,))
SECRET = "canary-in-a-url"


class Mailbox:
    """What an SMTP server was given; `refusal` is its answer instead."""

    def __init__(self) -> None:
        self.letters: list[email.message.EmailMessage] = []
        self.recipients: list[str] = []
        self.refusal = ""

    async def handle_DATA(self, _server: t.Any, _session: t.Any, envelope: t.Any) -> str:
        if self.refusal:
            return self.refusal
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(letter, email.message.EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        return "250 taken"


class Post:
    """The host's program for mail, msmtp, and the server that it hands mail to."""

    def __init__(self, root: Path) -> None:
        self.box = Mailbox()
        self.port = free_port()
        self._server: SmtpServer | None = None
        (root / "msmtprc").write_text(
            f"account default\nhost 127.0.0.1\nport {self.port}\nfrom agent@build1.example.org\n"
        )
        (root / "msmtprc").chmod(0o600)
        self.program = root / "sendmail"
        self.program.write_text(f'#!/bin/sh\nexec msmtp -C {root / "msmtprc"} "$@"\n')
        self.program.chmod(0o755)

    def open(self) -> None:
        self._server = SmtpServer(self.box, hostname="127.0.0.1", port=self.port)
        self._server.start()

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Post]:
    made = Post(tmp_path)
    monkeypatch.setattr(_ways, "SENDMAIL", str(made.program))
    made.open()
    try:
        yield made
    finally:
        made.close()


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what is posted, and fails as its path says."""

    got: t.ClassVar[list[dict[str, t.Any]]] = []
    asked: t.ClassVar[list[str]] = []
    mode: t.ClassVar[str] = ""
    over: t.ClassVar[threading.Event]

    def do_POST(self) -> None:
        Hook.asked.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = Hook.mode
        with contextlib.suppress(OSError):
            if mode in ("500", "404", "302", "308"):
                self.send_response(int(mode))
                self.send_header("Location", "/elsewhere")
                self.end_headers()
            elif mode == "hangs":
                Hook.over.wait(30)
            elif mode == "drips":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                while not Hook.over.wait(0.05):
                    self.wfile.write(b"x")
            elif mode == "hangs up":
                self.connection.shutdown(socket.SHUT_RDWR)
            elif mode == "garbage":
                self.wfile.write(b"\x00\xff what is HTTP?\r\n\r\n")
            elif mode == "floods":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000)
            else:
                # Before the answer: whoever has that looks at what was posted.
                Hook.got.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

    do_GET = do_POST

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> t.Iterator[str]:
    """A webhook, by TLS if it has a certificate: its URL."""
    Hook.got, Hook.asked, Hook.mode = [], [], ""
    Hook.over = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            scheme = "https" if certificate else "http"
            yield f"{scheme}://127.0.0.1:{server.server_address[1]}/{SECRET}"
        finally:
            Hook.over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def hook() -> t.Iterator[str]:
    with serving() as url:
        yield url


def test_a_letter_arrives_as_people_and_programs_read_it(post: Post) -> None:
    tell("mail", "root@example.org, other@example.org", MESSAGE)
    (letter,) = post.box.letters
    assert post.box.recipients == ["root@example.org", "other@example.org"]
    assert letter["Subject"] == (
        "bbot-agent on build1: wrong: agent default, host: no QEMU für uns"
    )
    assert letter["Message-ID"] == "<abc.mail.7-7@bbot-agent.invalid>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"]
    assert letter.get_content().splitlines() == [
        "2023-11-14T22:13:20Z wrong: agent default, host: no QEMU für uns"
    ]


def test_a_line_with_a_dot_ends_no_letter(post: Post) -> None:
    events = [Event(number, "ended", ".", ".", 0.0) for number in range(50)]
    tell("mail", "root@example.org", Message("i", "build1", events, 12))
    (letter,) = post.box.letters
    lines = letter.get_content().splitlines()
    assert len(lines) == 51
    assert lines[-1] == "12 events are left out: they came and went"
    assert letter["Subject"] == "bbot-agent on build1: over: . (and 49 more)"


SCRIPTS = {
    "nobody there": ("", "No such file or directory"),
    "fails": ("cat > /dev/null; echo mailbox full >&2; exit 75", "status 75: mailbox full"),
    "reads nothing": ("exit 1", "status 1"),
    "never ends": ("cat > /dev/null; exec sleep 60", "has not ended within 0.5 s"),
    "never reads": ("exec sleep 60", "has not ended within 0.5 s"),
    "is killed": ("kill -9 $$", "status -9"),
    "says a lot": ("cat > /dev/null; yes | head -c 1000000; exit 1", "status 1: y y"),
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_programs_for_mail_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    script, words = SCRIPTS[what]
    program = tmp_path / "sendmail"
    if script:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr(_ways, "SENDMAIL", str(program))
    monkeypatch.setattr(_ways, "PATIENCE", 0.5)
    events = [Event(number, "began", "k", "x" * 1000, 0.0) for number in range(50)]
    begun = time.monotonic()
    with pytest.raises(WayError, match=words):
        tell("mail", "root", Message("i", "build1", events))
    assert time.monotonic() - begun < 5


def test_who_delivers_after_the_program_has_ended_is_let_do_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/child\ncat > /dev/null\n")
    program.chmod(0o755)
    monkeypatch.setattr(_ways, "SENDMAIL", str(program))
    begun = time.monotonic()
    tell("mail", "root", MESSAGE)
    assert time.monotonic() - begun < 5
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_mail_that_is_refused_or_cannot_be_handed_on(post: Post) -> None:
    post.box.refusal = "550 no such person"
    with pytest.raises(WayError, match="550 no such person"):
        tell("mail", "root@example.org", MESSAGE)
    post.close()
    with pytest.raises(WayError, match="refused"):
        tell("mail", "root@example.org", MESSAGE)
    assert post.box.letters == []


def test_a_webhook_gets_what_people_and_programs_need(hook: str) -> None:
    tell("webhook", hook, MESSAGE)
    assert Hook.got == [
        {
            "id": "abc.mail.7-7",
            "host": "build1",
            "text": "bbot-agent on build1\n"
            "2023-11-14T22:13:20Z wrong: agent default, host: no QEMU für uns",
            "events": [
                {
                    "what": "began",
                    "key": "agent default, host",
                    "text": "agent default, host: no QEMU für uns",
                    "at": "2023-11-14T22:13:20Z",
                }
            ],
            "left_out": 0,
        }
    ]


FAILURES = {
    "500": "it answers with status 500",
    "404": "it answers with status 404",
    "302": "that it is elsewhere: give that address",
    "308": "that it is elsewhere: give that address",
    "hangs": "it has not answered within 0.5 s|timed out",
    "drips": "it has not answered within 0.5 s",
    "hangs up": "(?i)remote end closed|it does not speak HTTP",
    "garbage": "it does not speak HTTP|BadStatusLine",
    "floods": "it does not speak HTTP|LineTooLong",
}


@pytest.mark.parametrize("mode", FAILURES)
def test_webhooks_that_fail(hook: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ways, "PATIENCE", 0.5)
    Hook.mode = mode
    begun = time.monotonic()
    with pytest.raises(WayError, match=FAILURES[mode]) as caught:
        tell("webhook", hook, MESSAGE)
    assert time.monotonic() - begun < 3
    assert SECRET not in str(caught.value)
    # It is not led elsewhere, either.
    assert Hook.asked == [f"POST /{SECRET}"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}/{secret}", "refused"),
        ("https://127.0.0.1:{hook}/{secret}", "(?i)ssl|tls"),
        ("http://no-such-host.invalid/{secret}", "(?i)name|resolution"),
        ("ftp://127.0.0.1/{secret}", "neither of http nor of https"),
        ("file:///etc/passwd?{secret}", "neither of http nor of https"),
        ("{secret}", "ValueError"),
        ("http://127.0.0.1:x/{secret}", "InvalidURL|does not speak"),
        ("http://127.0.0.1:1/\n{secret}", "InvalidURL|does not speak"),
        ("http://[::1/{secret}", "ValueError"),
    ],
)
def test_addresses_at_which_nobody_is(hook: str, url: str, words: str) -> None:
    port = hook.split(":")[2].split("/")[0]
    address = url.format(port=free_port(), hook=port, secret=SECRET)
    with pytest.raises(WayError, match=words) as caught:
        tell("webhook", address, MESSAGE)
    assert SECRET not in str(caught.value)


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    place = tmp_path / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", tmp_path / "key", "-out", tmp_path / "certificate"),
        ],
        check=True,
        capture_output=True,
    )
    place.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "certificate").read_bytes())
    with serving(place) as url:
        with pytest.raises(WayError, match="certificate"):
            tell("webhook", url, MESSAGE)
        assert Hook.asked == []
        os.environ["SSL_CERT_FILE"] = str(tmp_path / "certificate")
        try:
            tell("webhook", url, MESSAGE)
        finally:
            del os.environ["SSL_CERT_FILE"]
        assert len(Hook.got) == 1


class Site:
    """A host whose agent notes its troubles in a real lease, read by the real command."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.moment = Moment("boot 1", 1000.0, 1.7e9)
        words = [f"--{name} {root / name}" for name in ("machines", "tftp", "state-dir", "log-dir")]
        (root / "places").write_text("\n".join(words) + "\n")
        (root / "default.options").write_text("")
        (root / "bin").mkdir()
        command = root / "bin" / "bbot-agent"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {COMMAND} "$@"\n')
        command.chmod(0o755)
        for name, value in engine(root).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr(_main.clock, "now", lambda: self.moment)
        leases = Leases(str(root / "state-dir" / "leases"))
        self.lease = leases.take(what="agent", toolchain="default", controllers=[])

    def round(self, seconds: float, webhook: str) -> int:
        moment = self.moment
        self.moment = Moment(moment.boot, moment.up + seconds, moment.wall + seconds)
        config = self.root / "alert.json"
        config.write_text(json.dumps({"webhook": webhook, "mail": "root@example.org"}))
        words = ["--options-file", str(self.root / "places"), "--config", str(config)]
        return _main.main([*words, "--state", str(self.root / "alert.state")])


@pytest.mark.parametrize("broken", ["mail", "webhook"])
def test_one_on_a_fault_and_one_on_its_end_with_one_way_broken_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, post: Post, hook: str, broken: str
) -> None:
    site = Site(tmp_path, monkeypatch)
    assert site.round(30, hook) == 0

    def break_it() -> None:
        if broken == "mail":
            post.close()
        else:
            Hook.mode = "500"

    def mend_it() -> None:
        Hook.mode = ""
        if broken == "mail":
            post.open()

    def heard() -> dict[str, list[str]]:
        return {
            "mail": [line for each in post.box.letters for line in each.get_content().splitlines()],
            "webhook": [
                f"{each['at']} {'wrong' if each['what'] == 'began' else 'over'}: {each['text']}"
                for message in Hook.got
                for each in message["events"]
            ],
        }

    site.lease.note(troubles={"host": "no QEMU"})
    break_it()
    for _round in range(20):
        # An hour in all, in which the fault ends.
        assert site.round(180, hook) == 1
        if _round == 10:
            site.lease.note(troubles={})
    other = "webhook" if broken == "mail" else "mail"
    assert len(heard()[other]) == 2
    assert heard()[broken] == []
    mend_it()
    for _round in range(8):
        site.round(180, hook)
    assert site.round(180, hook) == 0
    assert heard()["mail"] == heard()["webhook"]
    began, ended = heard()["mail"]
    assert began.endswith("wrong: agent default, host: no QEMU")
    assert ended.endswith("over: agent default, host: no QEMU")
    site.lease.end()
