# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""QEMU's monitor, played by a thread."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu import qmp as _qmp
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.qmp import Qmp, QmpError

GREETING = (
    b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 4}}, "capabilities": []}}\n'
)
OK = b'{"return": {}}\n'

Answers = t.Sequence[bytes | None]


@contextlib.contextmanager
def monitor(greeting: bytes, *answers: bytes | None) -> t.Iterator[tuple[socket.socket, list]]:
    """Our end of a monitor that greets and gives an answer to each command; None closes it."""
    ours, theirs = socket.socketpair()
    asked: list[t.Any] = []

    def play() -> None:
        with contextlib.suppress(OSError), theirs.makefile("rb") as lines:
            theirs.sendall(greeting)
            for answer in answers:
                asked.append(json.loads(lines.readline() or "null"))
                if answer is None:
                    theirs.shutdown(socket.SHUT_RDWR)
                    return
                theirs.sendall(answer)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield ours, asked
    finally:
        ours.close()
        thread.join()
        theirs.close()


def test_it_greets_and_answers() -> None:
    answer = b'{"return": {"status": "paused"}}\r\n'
    with monitor(GREETING, OK, answer, OK) as (sock, asked):
        qmp = Qmp(sock)
        assert qmp.version == "7.2.4"
        assert qmp.execute("query-status") == {"status": "paused"}
        assert qmp.execute("eject", device="cd", force=True) == {}
    assert asked == [
        {"execute": "qmp_capabilities"},
        {"execute": "query-status"},
        {"execute": "eject", "arguments": {"device": "cd", "force": True}},
    ]


def test_a_descriptor_is_handed_over(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "file").open("wb") as file:
        theirs.sendall(GREETING + OK + OK)
        qmp = Qmp(ours)
        theirs.recv(65536)
        qmp.hand_over("state", file.fileno())
        data, (fd,), _flags, _address = socket.recv_fds(theirs, 65536, 1)
        assert json.loads(data) == {"execute": "getfd", "arguments": {"fdname": "state"}}
        assert os.path.samestat(os.fstat(fd), os.fstat(file.fileno()))
        os.close(fd)


def test_the_build_has_what_the_distribution_adds() -> None:
    greeting = GREETING.replace(b'"version": {', b'"version": {"package": "Debian 1:7.2-7", ')
    with monitor(greeting, OK) as (sock, _dummy):
        assert Qmp(sock).build == "7.2.4 Debian 1:7.2-7"
    with monitor(GREETING, OK) as (sock, _dummy):
        assert Qmp(sock).build == "7.2.4"


def test_events_come_in_between_and_are_told_once() -> None:
    stop, resume = b'{"event": "STOP"}\n', b'{"event": "RESUME", "data": {}}\n'
    with monitor(GREETING, OK, stop + OK + resume, OK) as (sock, _dummy):
        qmp = Qmp(sock)
        assert qmp.events() == []
        qmp.execute("stop")
        qmp.execute("cont")
        assert [event["event"] for event in qmp.events()] == ["STOP", "RESUME"]
        assert qmp.events() == []


def test_an_answer_in_pieces() -> None:
    with monitor(GREETING[:10], OK) as (sock, asked):
        with pytest.raises(QmpError, match=r"did not answer within 0\.2 s"):
            Qmp(sock, timeout=0.2)
        assert asked == []
    with monitor(GREETING + OK[:5], OK[5:]) as (sock, _dummy):
        assert Qmp(sock).version == "7.2.4"


def test_a_refusal_names_the_command_and_the_reason() -> None:
    refused = b'{"error": {"class": "CommandNotFound", "desc": "The command x is unknown"}}\n'
    with monitor(GREETING, OK, refused, OK) as (sock, _dummy):
        qmp = Qmp(sock)
        with pytest.raises(QmpError, match="QEMU refused x: The command x is unknown"):
            qmp.execute("x")
        assert qmp.execute("stop") == {}


@pytest.mark.parametrize(
    ("greeting", "answers", "words"),
    [
        (b"", (), r"QEMU's monitor did not answer within 0\.2 s"),
        (b"SSH-2.0\n", (), "QEMU's monitor sent no JSON: b'SSH-2.0'"),
        (b"[1]\n", (), r"QEMU's monitor sent no object: b'\[1\]'"),
        (b"\xff\xfe\n", (), "QEMU's monitor sent no JSON"),
        (b'{"return": {}}\n', (), "QEMU's monitor did not greet but said"),
        (GREETING, (None,), "QEMU closed its monitor: it has ended"),
        (GREETING, (b"",), r"did not answer within 0\.2 s"),
    ],
)
def test_a_monitor_that_is_none(greeting: bytes, answers: Answers, words: str) -> None:
    with monitor(greeting, *answers) as (sock, _dummy), pytest.raises(QmpError, match=words):
        Qmp(sock, timeout=0.2)


def test_a_machine_that_ends_during_a_command() -> None:
    with monitor(GREETING, OK, None) as (sock, _dummy):
        qmp = Qmp(sock)
        with pytest.raises(QmpError, match="closed its monitor"):
            qmp.execute("stop")
        with pytest.raises(QmpError):
            qmp.execute("cont")


def test_a_message_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_qmp, "_MESSAGE_LIMIT", 1000)
    with (
        monitor(b"x" * 2000) as (sock, _dummy),
        pytest.raises(QmpError, match="a message without end"),
    ):
        Qmp(sock)


def test_events_are_taken_in_without_waiting() -> None:
    with monitor(GREETING, OK, OK) as (sock, _asked):
        qmp = Qmp(sock)
        assert qmp.listen()
        assert qmp.events() == []


@pytest.mark.parametrize(
    ("said", "events", "more"),
    [
        (b'{"event": "STOP"}\n', [{"event": "STOP"}], True),
        (b'{"event": "A"}\n{"event": "B"}\n{"ev', [{"event": "A"}, {"event": "B"}], True),
        (b"", [], False),
    ],
)
def test_what_qemu_says_on_its_own(said: bytes, events: list, more: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(GREETING + OK)
        qmp = Qmp(ours)
        if said:
            theirs.sendall(said)
        else:
            theirs.close()
        assert qmp.listen() is more
        assert qmp.events() == events
        assert qmp.events() == []


@pytest.mark.parametrize("said", [b"nonsense\n", b"[" * 100_000 + b"\n", b"5\n"])
def test_nonsense_between_answers(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(GREETING + OK)
        qmp = Qmp(ours)
        theirs.sendall(said)
        with pytest.raises(QmpError, match="monitor sent"):
            for _dummy in range(10):
                qmp.listen()


def test_a_guest_cannot_fill_memory_with_events() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(GREETING + OK)
        qmp = Qmp(ours)
        for _dummy in range(100):
            theirs.sendall(b'{"event": "RTC_CHANGE"}\n' * 100)
            qmp.listen()
        assert len(qmp.events()) == 256
