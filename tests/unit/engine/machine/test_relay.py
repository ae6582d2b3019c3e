# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""People at a guest's stream: one at a time, whatever either side does."""

from __future__ import annotations

import os
import select
import socket
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.relay import Relay


class Place:
    """A relay, the guest's end of its stream, and people who come."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.stream, self.guest = socket.socketpair()
        self.guest.setblocking(False)
        self.entered = 0
        self.relay = Relay(self.path, self.stream, self.enter)
        self.people: list[socket.socket] = []

    def enter(self, relay: Relay) -> None:
        self.entered += 1
        relay.say("hello\n")
        relay.tell_guest(b"\n")

    def come(self) -> socket.socket:
        person = socket.socket(socket.AF_UNIX)
        person.connect(self.path)
        person.setblocking(False)
        self.people.append(person)
        self.serve()
        return person

    def serve(self) -> None:
        """Do all that there is to do."""
        for _round in range(1000):
            if not select.select([self.relay], [], [], 0)[0]:
                return
            self.relay.turn()
        raise AssertionError("it is never done")

    def close(self) -> None:
        self.relay.close()
        for sock in (self.stream, self.guest, *self.people):
            sock.close()


@pytest.fixture
def place(tmp_path: Path) -> t.Iterator[Place]:
    made = Place(tmp_path / "door")
    yield made
    made.close()


def said(sock: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return found
        if not data:
            return found + b"|"
        found += data


def test_what_is_typed_and_said_passes(place: Place) -> None:
    person = place.come()
    assert (place.entered, place.relay.busy) == (1, True)
    assert said(person) == b"hello\n"
    assert said(place.guest) == b"\n"
    person.send(b"ls\n")
    place.guest.send(b"file\r\n")
    place.serve()
    assert said(place.guest) == b"ls\n"
    assert said(person) == b"file\r\n"


def test_it_is_for_its_owner_only_and_gone_at_the_end(place: Place) -> None:
    assert stat.S_IMODE(os.stat(place.path).st_mode) == 0o600
    place.relay.close()
    assert not os.path.exists(place.path)


def test_a_socket_that_was_left_is_replaced(place: Place) -> None:
    stream, other = socket.socketpair()
    with stream, other:
        again = Relay(place.path, stream)
        place.path, place.relay = again.path, again
        place.come()
        assert again.busy


def test_one_at_a_time_and_the_next_finds_what_was_said_meanwhile(place: Place) -> None:
    first = place.come()
    second = place.come()
    assert (said(first), said(second)) == (b"hello\n", b"")
    first.close()
    place.serve()
    assert said(second) == b"hello\n"
    second.close()
    place.serve()
    assert not place.relay.busy
    place.guest.send(b"late\n")
    place.serve()
    assert said(place.come()) == b"hello\nlate\n"


def test_nothing_of_one_person_is_for_the_next(place: Place) -> None:
    first = place.come()
    said(first)
    place.guest.setblocking(True)
    place.guest.settimeout(5)
    while len(place.relay._to_client) < 65536:
        place.guest.send(b"x" * 4096)
        place.relay.turn()
    first.close()
    place.serve()
    assert said(place.come()).startswith(b"hello\n")


def test_a_slow_side_holds_up_the_other_and_takes_no_memory(place: Place) -> None:
    person = place.come()
    said(place.guest)
    sent = 0
    for _round in range(10000):
        try:
            sent += person.send(b"y" * 4096)
        except BlockingIOError:
            if not select.select([place.relay], [], [], 0)[0]:
                break
        place.relay.turn()
    else:
        raise AssertionError("it takes all")
    assert len(place.relay._to_guest) <= 65536 + 4096
    taken = 0
    while taken < sent:
        data = said(place.guest)
        taken += len(data)
        place.serve()
    assert taken == sent


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_guest_that_goes_lets_its_person_go(place: Place, how: str) -> None:
    person = place.come()
    said(person)
    if how == "resets":
        person.send(b"unread")
        place.serve()
    place.guest.close()
    place.serve()
    assert said(person) == b"|"
    assert not place.relay.busy
    place.serve()


@pytest.mark.parametrize("size", [1, 4096, 4097, 60000])
@pytest.mark.parametrize("end", ["the guest goes", "its owner ends it", "both"])
def test_last_words_reach_who_is_there(place: Place, end: str, size: int) -> None:
    person = place.come()
    said(person)
    place.guest.send(b"w" * size)
    if end != "its owner ends it":
        place.guest.close()
    if end != "the guest goes":
        place.relay.close()
    else:
        place.serve()
    assert said(person) == b"w" * size + b"|"


def test_who_reads_nothing_holds_up_no_end(place: Place) -> None:
    person = place.come()
    place.guest.setblocking(True)
    place.guest.settimeout(5)
    while len(place.relay._to_client) < 65536:
        place.guest.send(b"x" * 4096)
        place.relay.turn()
    place.guest.send(b"x" * 4096)
    place.relay.close()
    seen = said(person)
    assert seen.startswith(b"hello\nxxx")
    assert seen.endswith(b"x|")


def test_a_person_who_goes_at_once_is_none(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as person:
        person.connect(place.path)
    place.serve()
    assert not place.relay.busy
    assert said(place.come()) == b"hello\n"


def test_it_cannot_be_where_there_is_no_room_for_it(tmp_path: Path) -> None:
    stream, other = socket.socketpair()
    with stream, other:
        with pytest.raises(OSError, match="No such file"):
            Relay(str(tmp_path / "none" / "door"), stream)
        (tmp_path / "door").mkdir()
        with pytest.raises(IsADirectoryError):
            Relay(str(tmp_path / "door"), stream)
