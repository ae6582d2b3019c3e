# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exchange with controllers, good, bad and ugly ones, over real sockets."""

from __future__ import annotations

import dataclasses
import random
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.auth import (
    AuthError,
    Identity,
    Key,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.generation import (
    knows_checksums,
    knows_interrupt,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.transport import (
    ControllerError,
    Transport,
    explain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.base64 import decode
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.version import (
    StandardVersion,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    ResultRequest,
    TaskRequest,
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    MachineHeader,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.build_host import make_task, run
from helpers.controller import (
    AgentKey,
    Certificate,
    Controller,
    Fault,
    drip,
    half,
    raw,
    redirect,
    reset,
    status,
)

HEADER = MachineHeader(id="tiny-1", name="tiny", summary="A tiny machine")
REQUEST = TaskRequest("here", "default", StandardVersion.parse("0.1.0"), (HEADER,))
QUICK = Transport(request_timeout=5, connect_timeout=2)


@pytest.fixture
def controller() -> t.Iterator[Controller]:
    with Controller() as made:
        yield made


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> AgentKey:
    return AgentKey.make(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


def refusal(controller: Controller, transport: Transport = QUICK) -> str:
    """What is said of a controller that gives no task; AssertionError unless it is a line."""
    with pytest.raises((ControllerError, ManifestError)) as caught:
        transport.request_task(controller.url, REQUEST)
    words = explain(caught.value, controller.url)
    assert "\n" not in words
    assert words.isprintable()
    return words.removeprefix(f"unable to request task from {controller.url}: ")


def test_a_task_and_its_result(controller: Controller) -> None:
    assert QUICK.request_task(controller.url, REQUEST) == TaskResponse("")
    controller.tasks += [make_task()]
    response = QUICK.request_task(controller.url, REQUEST)
    assert response.task is not None
    assert response.task.to_text() == make_task().to_text()
    assert response.result_url is not None
    request = ResultRequest(response.session, Result.for_task(response.task))
    QUICK.upload_result(response.result_url, request.to_text())
    assert [each.result.status for each in controller.arrivals] == [Status.ABORT]
    for headers in controller.headers:
        assert headers["content-type"] == "text/manifest"
        assert headers["user-agent"] == "bbot-agent/0.1.0"
        assert "authorization" not in headers


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (reset, "Connection reset by peer"),
        (half, "12 "),
        (status(500, "it\nbroke\x1b[31m"), "HTTP 500 Internal Server Error: it broke?[31m"),
        (status(413), "HTTP 413 Request Entity Too Large"),
        (status(204), "start of task response manifest expected"),
        (redirect(303, "/"), "HTTP 303 See Other"),
        (redirect(307, "ftp://x/"), "it redirects to no usable URL: 'ftp://x/' is not a URL"),
        (redirect(302, "?build-task"), "it redirects more than 10 times"),
        (raw(b""), "start of task response manifest expected"),
        (raw(b"<html>"), ":1:7: error: ':' expected after name"),
        (raw(b"x" * (2 << 20)), "the answer has more than 1048576 bytes"),
        (raw(b": 1\nsession: s\n"), "no task response result url specified"),
        (raw(b": 1\nsession: s\nresult-url: file:/etc\n:\n" + make_task().to_text()[4:].encode()),
         "the answer refers to no usable URL: 'file:/etc'"),
    ],
)  # fmt: skip
def test_faults(controller: Controller, fault: Fault, words: str) -> None:
    for _dummy in range(10 if "10 times" in words else 1):
        controller.fault("task", fault)
    assert words in refusal(controller)
    # It goes on as if nothing had been.
    assert QUICK.request_task(controller.url, REQUEST).session == ""


@pytest.mark.parametrize("number", [301, 302, 307, 308])
def test_redirections_keep_the_method_and_the_body(controller: Controller, number: int) -> None:
    with Controller() as other:
        other.tasks += [make_task()]
        controller.fault("task", redirect(number, other.url))
        assert QUICK.request_task(controller.url, REQUEST).task is not None
        assert len(other.requests) == 1


def test_no_redirection_out_of_https(certificate: Certificate, controller: Controller) -> None:
    transport = dataclasses.replace(QUICK, ca_cert=str(certificate.path))
    with Controller(certificate=certificate) as safe:
        safe.fault("task", redirect(307, controller.url))
        assert refusal(safe, transport) == f"it redirects from https to {controller.url}"
    assert controller.requests == []


def test_certificates_are_verified(certificate: Certificate) -> None:
    with Controller(certificate=certificate) as controller:
        assert "certificate verify failed" in refusal(controller)
        trusting = dataclasses.replace(QUICK, ca_cert=str(certificate.path))
        assert trusting.request_task(controller.url, REQUEST).session == ""
        lost = dataclasses.replace(QUICK, ca_cert="/nowhere/ca.pem")
        assert "/nowhere/ca.pem" in refusal(controller, lost)


def test_time_limits(controller: Controller) -> None:
    began = time.monotonic()
    controller.fault("task", drip(20))
    short = Transport(request_timeout=1, connect_timeout=1)
    assert refusal(controller, short) == "there was no complete answer within 1 s"
    assert time.monotonic() - began < 5


def test_nobody_there(controller: Controller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ControllerError, match="Connection refused"):
        QUICK.request_task(f"http://127.0.0.1:{port}/", REQUEST)
    with pytest.raises(ControllerError, match=r"host cannot be found|resolution"):
        QUICK.request_task("http://nowhere.invalid/", REQUEST)


def test_a_proxy(controller: Controller) -> None:
    """The controller plays the proxy: it sees the whole URL."""
    transport = dataclasses.replace(QUICK, proxy=controller.base)
    assert transport.request_task("http://elsewhere.invalid/?build-task", REQUEST).session == ""
    assert controller.headers[-1]["host"] == "elsewhere.invalid"


def test_too_many_machines_are_not_even_sent(controller: Controller) -> None:
    many = dataclasses.replace(REQUEST, machines=(HEADER,) * 3000)
    with pytest.raises(ControllerError, match=r"offer fewer than 3000 machines"):
        QUICK.request_task(controller.url, many)
    assert controller.requests == []


def test_refusals_of_brep(controller: Controller) -> None:
    newer = dataclasses.replace(REQUEST, origin=None)
    text = newer.to_text().replace("agent: here", "agent: here\nmood: good")
    with pytest.raises(ControllerError, match=r"HTTP 400 Bad Request: .*unknown name 'mood'"):
        QUICK.upload_result(controller.url, text)
    controller.disabled = True
    assert refusal(controller) == "HTTP 501 Not Implemented: building disabled"


class TestAuthentication:
    def test_the_fingerprint_and_the_answer(self, key: AgentKey) -> None:
        ours = Key(run, str(key.private))
        assert ours.fingerprint() == key.fingerprint()
        challenge = "0123456789abcdef" * 4
        assert key.verify(ours.answer(challenge)) == challenge
        # PKCS#1 type 1 by hand: what openssl's command does is what brep expects.
        identity = Identity("here", ours)
        text = identity.answer(TaskResponse("s", make_task(), challenge=challenge))
        assert text is not None
        assert key.verify(decode(text)) == challenge
        assert max(map(len, text.split("\n"))) <= 76

    def test_the_whole_way(self, key: AgentKey, tmp_path: Path) -> None:
        identity = Identity("here", Key(run, str(key.private)))
        known = dataclasses.replace(REQUEST, fingerprint=identity.fingerprint())
        stranger = Identity("there", Key(run, str(AgentKey.make(tmp_path).private)))
        with Controller(keys=[key]) as controller:
            assert "HTTP 401" in refusal(controller)
            for who, accepted in ((identity, True), (stranger, False)):
                controller.tasks += [make_task()]
                response = QUICK.request_task(controller.url, known)
                assert response.task is not None
                assert response.result_url is not None
                answer = who.answer(response)
                assert answer is not None
                result = Result.for_task(response.task)
                request = ResultRequest(response.session, result, challenge=decode(answer))
                # A bad signature is dropped without a word.
                QUICK.upload_result(response.result_url, request.to_text())
                assert bool(controller.rejected) is not accepted
            assert controller.rejected == ["challenge mismatch"]

    def test_keys_that_are_not_usable(self, key: AgentKey, tmp_path: Path) -> None:
        open_key = tmp_path / "open.key"
        open_key.write_bytes(key.private.read_bytes())
        open_key.chmod(0o640)
        garbage = tmp_path / "garbage.key"
        garbage.write_text("garbage")
        garbage.chmod(0o600)
        cases = [
            (tmp_path / "none", "cannot read the key .*none: No such file or directory"),
            (tmp_path, "it is not a file"),
            (
                open_key,
                r"can be read or changed by others \(mode 0640\); run: chmod 600 .*open.key",
            ),
            (garbage, "cannot read the public key with .*garbage.key, which has to be an RSA key"),
        ]
        for path, words in cases:
            with pytest.raises(AuthError, match=words) as caught:
                Key(run, str(path)).fingerprint()
            assert "\n" not in str(caught.value)
        with pytest.raises(AuthError, match="no program 'openssl-none' on this host"):
            Key(run, str(key.private), "openssl-none").fingerprint()

    def test_a_challenge_without_a_key(self) -> None:
        with pytest.raises(AuthError, match="name one with --auth-key"):
            Identity("here").answer(TaskResponse("s", make_task(), challenge="0" * 64))
        assert Identity("here").answer(TaskResponse("s", make_task())) is None


def mutate(data: bytes, source: random.Random) -> bytes:
    """``data`` with a few random changes, or something else altogether."""
    if source.random() < 0.1:
        return source.randbytes(source.randrange(200))
    mutable = bytearray(data)
    for _dummy in range(source.randrange(1, 6)):
        place = source.randrange(len(mutable) + 1)
        kind = source.randrange(4)
        if kind == 0:
            mutable[place:place] = source.randbytes(source.randrange(1, 9))
        elif kind == 1:
            del mutable[place : place + source.randrange(1, 20)]
        elif kind == 2 and place < len(mutable):
            mutable[place] = source.randrange(256)
        else:
            piece = mutable[place : place + source.randrange(1, 30)]
            mutable[place:place] = piece
    return bytes(mutable)


@pytest.mark.parametrize("count", [2000, pytest.param(10000, marks=pytest.mark.long)])
def test_bad_answers(count: int) -> None:
    """Mutated answers on the wire, status line and headers included: one error each, no crash."""
    source = random.Random(20261124)
    header = ": 1\nsession: s/1\nresult-url: http://127.0.0.1:1/?build-result\n:\n"
    session = header + make_task().to_text().removeprefix(": 1\n")
    bodies = [session.encode(), b": 1\nsession:\n"]
    outcomes: dict[str, int] = {}
    transport = Transport(request_timeout=5, connect_timeout=5)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        def serve() -> None:
            for _dummy in range(count):
                connection, _address = server.accept()
                with connection:
                    connection.settimeout(5)
                    received = b""
                    while b"summary" not in received:
                        received += connection.recv(65536)
                    body = source.choice(bodies)
                    if source.random() < 0.7:
                        body = mutate(body, source)
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                    answer = head + body
                    if source.random() < 0.4:
                        answer = mutate(answer, source)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        for _dummy in range(count):
            try:
                response = transport.request_task(url, REQUEST)
                outcome = "task" if response.task else "none"
            except (ControllerError, ManifestError) as error:
                words = explain(error, url)
                assert "\n" not in words
                assert words
                outcome = "error"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        thread.join(10)
    assert sum(outcomes.values()) == count
    assert all(outcomes[kind] > count // 50 for kind in ("task", "none", "error")), outcomes


def offered(*names: str, role: t.Literal["build", "auxiliary"] | None = None) -> TaskRequest:
    """A request of an agent that offers these machines."""
    headers = (MachineHeader(id=f"{each}-1", name=each, summary="x", role=role) for each in names)
    return dataclasses.replace(REQUEST, machines=tuple(headers))


def given(controller: Controller, request: TaskRequest = REQUEST) -> TaskResponse:
    response = QUICK.request_task(controller.url, request)
    assert response.task is not None
    return response


def send(controller: Controller, response: TaskResponse, status: Status, *sums: str) -> None:
    """Send a result, with the agent's, the worker's and the dependencies' checksum."""
    assert response.task is not None
    assert response.result_url is not None
    agent, worker, dependency = sums or (None, None, None)
    result = dataclasses.replace(
        Result.for_task(response.task, status),
        worker_checksum=worker,
        dependency_checksum=dependency,
    )
    request = ResultRequest(response.session, result, agent_checksum=agent)
    QUICK.upload_result(response.result_url, request.to_text())


class TestGenerations:
    """The controller is as strict, and forgets as much, as brep."""

    @pytest.mark.parametrize(
        ("version", "fields"), [("0.6", 5), ("0.8", 6), ("0.13", 7), ("0.16", 9), ("today", 9)]
    )
    def test_sessions(self, version: str, fields: int) -> None:
        with Controller(version=version) as controller:
            controller.tasks += [make_task()]
            response = given(controller)
            assert len(response.session.split("/")) == fields
            assert knows_interrupt(response.session) is (fields == 9)
            assert knows_checksums(response) is (fields == 9)
            assert controller.result_limit == (15 << 20 if fields == 9 else 10_240_000)

    def test_an_old_one_refuses_what_it_does_not_know(self) -> None:
        with Controller(version="0.13") as controller:
            controller.tasks += [make_task()]
            response = given(controller)
            with pytest.raises(ControllerError, match="HTTP 400"):
                send(controller, response, Status.SUCCESS, "1", "2", "3")
            with pytest.raises(ControllerError, match="HTTP 400"):
                send(controller, response, Status.INTERRUPT)

    def test_only_what_is_stored_can_be_skipped(self) -> None:
        with Controller() as controller:
            controller.tasks += [make_task() for _round in range(3)]
            first = given(controller)
            assert first.task is not None
            assert (first.agent_checksum, first.task.worker_checksum) == (None, None)
            with pytest.raises(ControllerError, match="HTTP 400"):
                send(controller, first, Status.SKIP, "1", "2", "3")
            send(controller, first, Status.SUCCESS, "1", "2", "3")
            second = given(controller)
            assert second.task is not None
            assert (second.agent_checksum, second.task.worker_checksum) == ("1", "2")
            assert second.task.dependency_checksum == "3"
            for sums in (("1", "2", "4"), ("1", "4", "3"), ("4", "2", "3")):
                with pytest.raises(ControllerError, match="HTTP 400"):
                    send(controller, second, Status.SKIP, *sums)
            send(controller, second, Status.SKIP, "1", "2", "3")
            assert [str(each.result.status) for each in controller.arrivals] == ["success", "skip"]

    def test_what_was_interrupted_is_queued(self) -> None:
        with Controller() as controller:
            controller.tasks += [make_task(), make_task(name="other")]
            send(controller, given(controller), Status.INTERRUPT)
            assert controller.arrivals == []
            assert given(controller).task == make_task()

    def test_the_first_machine_that_is_offered_gets_the_task(self) -> None:
        with Controller() as controller:
            controller.tasks += [make_task(machine="linux-*") for _round in range(2)]
            for names in (("x", "linux-b", "linux-a"), ("linux-a", "linux-b")):
                task = given(controller, offered(*names)).task
                assert task is not None
                assert task.machine == next(name for name in names if name != "x")

    def test_the_name_of_an_auxiliary_machine(self) -> None:
        with Controller() as controller:
            bad = offered("postgresql", role="auxiliary")
            with pytest.raises(ControllerError, match="HTTP 400"):
                QUICK.request_task(controller.url, bad)
            good = offered("x86_64-linux_debian_12-postgresql_16", role="auxiliary")
            assert QUICK.request_task(controller.url, good).task is None

    def test_strangers_are_challenged_too(self, key: AgentKey) -> None:
        with Controller(keys=[key]) as controller:
            controller.tasks += [make_task()]
            stranger = dataclasses.replace(REQUEST, fingerprint="0" * 64)
            assert given(controller, stranger).challenge is not None
