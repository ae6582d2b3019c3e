# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller: a real HTTP(S) server that answers as brep does, its refusals included.

It can be a brep of several versions; see GENERATIONS.

``python -m helpers.controller --help`` runs one for those who are no Python tests.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import email.parser
import email.policy
import fnmatch
import hashlib
import http.server
import json
import secrets
import socket
import ssl
import struct
import subprocess
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.base64 import decode
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    ResultRequest,
    TaskRequest,
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status

# brep's default, in bytes.
TASK_LIMIT = 102400

VERSION = "0.17.0"

_Request = t.TypeVar("_Request", TaskRequest, ResultRequest)

# What a fault does instead of an answer, or to it.
Fault = t.Callable[["_Handler", bytes], None]


@dataclasses.dataclass(frozen=True)
class Generation:
    """What a brep of some versions knows: so many fields in a session, bytes of a result."""

    fields: int
    limit: int = 15 << 20
    checksums: bool = True
    interrupt: bool = True


GENERATIONS = {
    "0.6": Generation(5, 10240000, checksums=False, interrupt=False),
    "0.8": Generation(6, 10240000, checksums=False, interrupt=False),
    "0.13": Generation(7, 10240000, checksums=False, interrupt=False),
    "0.14": Generation(7, interrupt=False),
    "0.16": Generation(9),
    "today": Generation(9),
}


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and its key, files."""

    path: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, address: str = "127.0.0.1") -> Certificate:
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "cert.pem", folder / "cert.key")
        subject = ["-subj", "/CN=controller", "-addext", f"subjectAltName=IP:{address}"]
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            *subject,
        ]
        command += ["-out", str(made.path), "-keyout", str(made.key)]
        subprocess.run(command, check=True, capture_output=True)
        return made


@dataclasses.dataclass(frozen=True)
class AgentKey:
    """A private key of an agent, and its public half in a file of its own."""

    private: Path
    public: Path

    @classmethod
    def make(cls, folder: Path, bits: int = 2048) -> AgentKey:
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "agent.key", folder / "agent.pem")
        commands = [
            ["openssl", "genrsa", "-out", str(made.private), str(bits)],
            ["openssl", "pkey", "-in", str(made.private), "-pubout", "-out", str(made.public)],
        ]
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        made.private.chmod(0o600)
        return made

    def fingerprint(self) -> str:
        """By the openssl command, as brep's manual says."""
        command = ["openssl", "pkey", "-pubin", "-in", str(self.public), "-outform", "DER"]
        der = subprocess.run(command, check=True, capture_output=True).stdout
        return hashlib.sha256(der).hexdigest()

    def verify(self, answer: bytes) -> str:
        """What was signed, by the openssl command; empty if this key has not signed it."""
        command = ["openssl", "pkeyutl", "-verifyrecover", "-pubin", "-inkey", str(self.public)]
        done = subprocess.run(command, input=answer, check=False, capture_output=True)
        return done.stdout.decode("ascii", "replace") if done.returncode == 0 else ""


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A result that was accepted."""

    session: str
    result: Result
    text: str
    when: float


@dataclasses.dataclass(frozen=True)
class Upload:
    """An artifact that was accepted: the type, the form's fields, and the archive."""

    type: str
    fields: dict[str, str]
    name: str
    archive: bytes


@dataclasses.dataclass
class _Build:
    """A task that was given: `building` until its result has arrived. `given` is its first form."""

    task: Task
    given: Task
    challenge: str | None
    building: bool = True


@dataclasses.dataclass(frozen=True)
class Checksums:
    """Those of the last result of a package on a machine."""

    agent: str | None
    worker: str | None
    dependency: str | None

    @property
    def complete(self) -> bool:
        return None not in (self.agent, self.worker, self.dependency)


def _has_auxiliaries(request: TaskRequest, task: Task) -> bool:
    """Whether the task's auxiliary machines are offered: each takes one out, and its memory."""
    left = [each for each in request.machines if each.role == "auxiliary"]
    ram = request.auxiliary_ram
    for name in [*task.auxiliary_machines, *task.named_auxiliary_machines.values()]:
        chosen = next((each for each in left if each.name == name), None)
        if chosen is None:
            return False
        left.remove(chosen)
        if ram is not None:
            ram -= chosen.ram_minimum or 0
            if ram < 0:
                return False
    return True


class Controller:
    """Runs from a with statement. Its lists and dicts say what has happened.

    ``tasks`` are those to give, in this order, each to the first agent with its machine, of
    which a task may name several by a pattern: the first one offered is taken.
    ``keys`` are those of known agents; without any nobody has to authenticate.
    ``version`` is one of GENERATIONS. ``checksums`` are kept by package, version and machine.
    ``faults`` spoil the next exchanges, one each. ``told`` is called with the kind of each
    exchange, `task` or `result` or `upload`, before and, with ``done``, after it.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        certificate: Certificate | None = None,
        keys: t.Sequence[AgentKey] = (),
        upload_types: t.Sequence[str] = (),
        version: str = "today",
    ) -> None:
        self.tasks: list[Task] = []
        self.requests: list[TaskRequest] = []
        self.arrivals: list[Arrival] = []
        self.uploads: list[Upload] = []
        self.interrupted: list[Task] = []
        self.rejected: list[str] = []
        self.refused: list[tuple[int, str]] = []
        self.headers: list[dict[str, str]] = []
        self.faults: collections.deque[tuple[str, Fault]] = collections.deque()
        self.given: dict[str, _Build] = {}
        self.disabled = False
        self.generation = GENERATIONS[version]
        self.result_limit = self.generation.limit
        self.checksums: dict[tuple[str, str, str], Checksums] = {}
        self.told: t.Callable[[str, bool], None] = lambda _kind, _done: None
        self._keys = {key.fingerprint(): key for key in keys}
        self._upload_types = upload_types
        self._lock = threading.Lock()
        self._server = _Server((address, port), _Handler)
        self._server.controller = self
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.path, certificate.key)
            # The handshake is for the exchange's own thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._scheme = "https"

    @property
    def base(self) -> str:
        """The beginning of all its URLs."""
        host, port = self._server.server_address[:2]
        return f"{self._scheme}://{host!s}:{port}/"

    @property
    def url(self) -> str:
        """Where to ask for tasks."""
        return f"{self.base}?build-task"

    def __enter__(self) -> Controller:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def outstanding(self) -> list[str]:
        """The sessions whose result has not arrived."""
        with self._lock:
            return [session for session, build in self.given.items() if build.building]

    def fault(self, kind: str, fault: Fault) -> None:
        """Have the next exchange of this kind spoiled."""
        self.faults.append((kind, fault))

    def take_fault(self, kind: str) -> Fault | None:
        with self._lock:
            if self.faults and self.faults[0][0] == kind:
                return self.faults.popleft()[1]
        return None

    def give(self, body: bytes) -> bytes:
        """The answer to a task request; Refusal for one that brep refuses."""
        if self.disabled:
            raise Refusal(501, "building disabled")
        request = self._parsed(TaskRequest, body)
        with self._lock:
            self.requests.append(request)
            if self._keys and request.fingerprint is None:
                raise Refusal(401, "unauthorized")
            for header in request.machines:
                if header.role == "auxiliary" and "-" not in header.name:
                    raise Refusal(400, f"no target architecture in machine name '{header.name}'")
            offered = [each.name for each in request.machines if each.role != "auxiliary"]
            found = self._choose(offered, request)
            if found is None:
                return TaskResponse("").to_text().encode()
            given, machine = found
            self.tasks.remove(given)
            kept = self.checksums.get((given.name, given.version, machine))
            task = dataclasses.replace(given, machine=machine)
            if kept is not None:
                task = dataclasses.replace(
                    task, worker_checksum=kept.worker, dependency_checksum=kept.dependency
                )
            session = self._session(task)
            challenge = None
            if request.fingerprint is not None:
                # Of a stranger, too: it may be a custom bot's.
                challenge = hashlib.sha256(secrets.token_bytes(64)).hexdigest()
            self.given[session] = _Build(task, given, challenge)
        response = TaskResponse(
            session,
            task,
            challenge=challenge,
            result_url=f"{self.base}?build-result",
            upload_urls={each: f"{self.base}?upload={each}" for each in self._upload_types},
            agent_checksum=kept.agent if kept is not None else None,
        )
        return response.to_text().encode()

    def _choose(self, offered: list[str], request: TaskRequest) -> tuple[Task, str] | None:
        """The first task that is for a machine of these, and the first machine it is for."""
        for task in self.tasks:
            if not _has_auxiliaries(request, task):
                continue
            for name in offered:
                if fnmatch.fnmatchcase(name, task.machine):
                    return task, name
        return None

    def _session(self, task: Task) -> str:
        """A session as brep of that version makes it up; no two are the same."""
        unique = f"public-{secrets.token_hex(6)}"
        fields = [task.name, task.version, task.machine, unique, VERSION]
        match self.generation.fields:
            case 6:
                fields.insert(0, "")
            case 7:
                fields = ["", *fields[:2], task.target or "x86_64-linux-gnu", *fields[2:]]
            case 9:
                fields = ["", *fields[:2], task.target or "x86_64-linux-gnu", "default", ""]
                fields += [unique, VERSION, "1"]
        return "/".join(fields)

    def take(self, body: bytes) -> bytes:
        """Accept a result; Refusal for one that brep refuses aloud."""
        request = self._parsed(ResultRequest, body)
        with self._lock:
            build = self.given.get(request.session)
            result = request.result
            if build is None:
                self.rejected.append(f"unknown session {request.session}")
                return b""
            task = build.task
            if (result.name, result.version) != (task.name, task.version):
                raise Refusal(400, "package name or version mismatch")
            self._check_known(request)
            place = (task.name, task.version, task.machine)
            kept = self.checksums.get(place)
            sums = Checksums(
                request.agent_checksum, result.worker_checksum, result.dependency_checksum
            )
            if result.status is Status.SKIP and (kept is None or not kept.complete or sums != kept):
                raise Refusal(400, "unexpected skip task status")
            if not build.building:
                self.rejected.append(f"not building: {request.session}")
                return b""
            reason = self._objection(build.challenge, request.challenge)
            if reason:
                self.rejected.append(reason)
                return b""
            build.building = False
            if result.status is Status.INTERRUPT:
                # It is queued again, as if nobody had had it.
                self.interrupted.append(build.given)
                self.tasks.insert(0, build.given)
                return b""
            self.checksums[place] = sums
            self.arrivals.append(Arrival(request.session, result, body.decode(), time.time()))
        return b""

    def _check_known(self, request: ResultRequest) -> None:
        """Refuse what a brep of that version does not know."""
        result = request.result
        if not self.generation.checksums:
            for value in (request.agent_checksum, result.worker_checksum):
                if value is not None or result.dependency_checksum is not None:
                    raise Refusal(400, "unknown name in manifest")
        if result.status is Status.INTERRUPT and not self.generation.interrupt:
            raise Refusal(400, "invalid task result status 'interrupt'")

    def upload(self, kind: str, content_type: str, body: bytes) -> bytes:
        """Accept an artifact; Refusal for one that brep refuses."""
        if kind not in self._upload_types:
            raise Refusal(404, f"{kind} upload disabled")
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        fields: dict[str, str] = {}
        archive, name = b"", ""
        for part in form.iter_parts():
            field = str(part.get_param("name", header="content-disposition"))
            content = part.get_payload(decode=True) or b""
            if field == "archive":
                archive, name = bytes(content), str(part.get_filename())
            else:
                fields[field] = bytes(content).decode()
        for needed in ("session", "instance", "sha256sum"):
            if not fields.get(needed):
                raise Refusal(400, f"upload {needed} expected")
        if hashlib.sha256(archive).hexdigest() != fields["sha256sum"]:
            raise Refusal(422, "upload archive checksum mismatch")
        with self._lock:
            build = self.given.get(fields["session"])
            answer = decode(fields["challenge"]) if "challenge" in fields else None
            if build is None or not build.building or self._objection(build.challenge, answer):
                self.rejected.append(f"upload {kind} {fields['instance']}")
            else:
                self.uploads.append(Upload(kind, fields, name, archive))
        return b": 1\nstatus: 200\nmessage: queued\nreference: 1\n"

    def _objection(self, challenge: str | None, answer: bytes | None) -> str:
        """Why brep drops a result silently; empty if it does not."""
        if challenge is None:
            return "unexpected challenge" if answer is not None else ""
        if answer is None:
            return "challenge is expected"
        signed = any(key.verify(answer) == challenge for key in self._keys.values())
        return "" if signed else "challenge mismatch"

    @staticmethod
    def _parsed(kind: type[_Request], body: bytes) -> _Request:
        try:
            return kind.parse(body, "request", strict=True)
        except ManifestError as error:
            raise Refusal(400, str(error)) from error


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _Server(http.server.ThreadingHTTPServer):
    controller: Controller
    daemon_threads = True

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Say nothing of agents that hang up: tests have them killed."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        controller = self.server.controller
        self.close_connection = True
        query = urllib.parse.parse_qs(
            urllib.parse.urlsplit(self.path).query, keep_blank_values=True
        )
        kinds = {"build-task": "task", "build-result": "result", "upload": "upload"}
        kind = next((kinds[name] for name in query if name in kinds), "")
        controller.headers.append({name.lower(): text for name, text in self.headers.items()})
        controller.told(kind, False)
        fault = controller.take_fault(kind)
        length = int(self.headers.get("Content-Length", 0))
        limit = TASK_LIMIT if kind == "task" else controller.result_limit
        body = self.rfile.read(length)
        if fault is not None:
            fault(self, body)
            return
        try:
            if not kind or len(query) > 1:
                raise Refusal(400, f"unexpected parameter in {self.path}")
            if kind != "upload" and length > limit:
                raise Refusal(413, "payload too large")
            if kind == "task":
                answer = controller.give(body)
            elif kind == "result":
                answer = controller.take(body)
            else:
                content_type = self.headers.get("Content-Type", "")
                answer = controller.upload(query["upload"][0], content_type, body)
        except Refusal as refusal:
            controller.refused.append((refusal.status, refusal.text))
            self.answer(refusal.text.encode(), refusal.status, "text/plain")
        else:
            self.answer(answer)
        controller.told(kind, True)

    def answer(
        self, body: bytes, status: int = 200, kind: str = "text/manifest;charset=utf-8", **more: str
    ) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, text in more.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *arguments: t.Any) -> None:  # noqa: A002
        """Log nothing."""


def reset(handler: _Handler, _body: bytes) -> None:
    """Break the connection."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


def status(number: int, text: str = "") -> Fault:
    """Answer with this status."""
    return lambda handler, _body: handler.answer(text.encode(), number, "text/plain")


def raw(data: bytes) -> Fault:
    """Answer 200 with ``data``."""
    return lambda handler, _body: handler.answer(data)


def half(handler: _Handler, _body: bytes) -> None:
    """Promise more than what comes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b": 1\nsession:")
    handler.wfile.flush()


def drip(seconds: float) -> Fault:
    """Answer a byte at a time, headers included, for so long."""

    def fault(handler: _Handler, _body: bytes) -> None:
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while time.monotonic() < end:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)

    return fault


def redirect(number: int, target: str) -> Fault:
    """Redirect to ``target``."""
    return lambda handler, _body: handler.answer(b"", number, "text/plain", Location=target)


def main() -> None:
    """Give the tasks in files until all results have arrived, and print those."""
    parser = argparse.ArgumentParser(prog="helpers.controller", description=main.__doc__)
    parser.add_argument("tasks", nargs="+", type=Path, metavar="TASK", help="a task manifest")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=600, help="seconds, for all of them")
    options = parser.parse_args()
    with Controller(address=options.address, port=options.port) as controller:
        for path in options.tasks:
            controller.tasks.append(Task.parse(path.read_bytes(), str(path)))
        print(json.dumps({"url": controller.url}), flush=True)
        deadline = time.monotonic() + options.timeout
        told = 0
        while told < len(options.tasks) and time.monotonic() < deadline:
            for arrival in controller.arrivals[told:]:
                print(json.dumps(arrival.result.to_mapping()), flush=True)
                told += 1
            time.sleep(0.1)
    if told < len(options.tasks):
        raise SystemExit(f"{len(options.tasks) - told} results have not arrived in time")


if __name__ == "__main__":
    main()
