# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's own behaviour, datagram by datagram, over loopback."""

from __future__ import annotations

import os
import random
import resource
import select
import socket
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import (
    ACCESS,
    FULL,
    ILLEGAL,
    NOT_FOUND,
    UNDEFINED,
    UNKNOWN_TID,
    Request,
    build_ack,
    build_error,
    build_request,
    parse_error,
    parse_oack,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import (
    Event,
    Limits,
    Server,
    TftpError,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Host:
    """Two roots, the servers over them and the events these have reported."""

    def __init__(self, directory: Path) -> None:
        self.get = directory / "get"
        self.put = directory / "put"
        self.get.mkdir()
        self.put.mkdir()
        (self.get / "a").write_bytes(b"content of a")
        (self.get / "long").write_bytes(bytes(range(256)) * 8)
        self.events: list[Event] = []
        self.servers: list[Server] = []

    def serve(self, **options: t.Any) -> Server:
        options = {
            "get_root": str(self.get),
            "put_root": str(self.put),
            "on_event": self.events.append,
        } | options
        server = Server("127.0.0.1", 0, **options)
        self.servers.append(server)
        return server

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def uploads(self) -> list[str]:
        return sorted(str(path.relative_to(self.put)) for path in self.put.rglob("*"))


class Guest:
    """A UDP socket that says just what it is told."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)

    def say(self, server: Server, *packets: bytes) -> None:
        for packet in packets:
            self.socket.sendto(packet, (server.address, server.port))
            server.poll()

    def hear(self, server: Server) -> list[bytes]:
        """All that has come, and that from the port that was asked."""
        heard = []
        while select.select([self.socket], [], [], 0)[0]:
            packet, source = self.socket.recvfrom(70000)
            assert source == (server.address, server.port)
            heard.append(packet)
        return heard

    def talk(self, server: Server, *packets: bytes) -> list[bytes]:
        self.say(server, *packets)
        return self.hear(server)


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[Host]:
    host = Host(tmp_path)
    yield host
    for server in host.servers:
        server.close()


@pytest.fixture
def guest() -> t.Iterator[Guest]:
    guest = Guest()
    yield guest
    guest.socket.close()


def rrq(name: str, **options: str) -> bytes:
    return build_request(Request("get", name, "octet", options))


def wrq(name: str, **options: str) -> bytes:
    return build_request(Request("put", name, "octet", options))


def data(number: int, payload: bytes) -> bytes:
    return b"\0\3" + number.to_bytes(2, "big") + payload


def code_of(packets: list[bytes]) -> int:
    assert len(packets) == 1
    assert packets[0][:2] == b"\0\5"
    return parse_error(packets[0])[0]


def test_a_download(host, guest):
    server = host.serve()
    assert guest.talk(server, rrq("a")) == [data(1, b"content of a")]
    assert server.active() == 1
    assert guest.talk(server, build_ack(1)) == []
    assert server.active() == 0
    request, done = host.events
    peer = guest.socket.getsockname()
    assert request == Event("request", "get", "a", peer)
    assert (done.kind, done.name, done.bytes, done.total) == ("done", "a", 12, 12)
    assert done.seconds >= 0


def test_an_upload_is_there_before_its_last_ack(host, guest):
    server = host.serve()
    assert guest.talk(server, wrq("sub/b", tsize="600"))[0].startswith(b"\0\6")
    guest.say(server, data(1, bytes(512)))
    assert not (host.put / "sub/b").exists()
    guest.say(server, data(2, bytes(88)))
    assert (host.put / "sub/b").read_bytes() == bytes(600)
    assert guest.hear(server) == [build_ack(1), build_ack(2)]
    assert host.kinds() == ["request", "done"]
    assert (host.events[-1].bytes, host.events[-1].total) == (600, 600)
    assert host.uploads() == ["sub", "sub/b"]
    # Its ACK may have been lost.
    assert guest.talk(server, data(2, bytes(88))) == [build_ack(2)]
    assert host.kinds() == ["request", "done"]


def test_options_are_agreed_on(host, guest):
    server = host.serve()
    (oack,) = guest.talk(server, rrq("long", blksize="1024", windowsize="2", tsize="0", odd="1"))
    assert parse_oack(oack) == {"blksize": "1024", "windowsize": "2", "tsize": "2048"}
    first, second = guest.talk(server, build_ack(0))
    assert len(first) == len(second) == 1028
    assert guest.talk(server, build_ack(2)) == [data(3, b"")]


def test_a_repeated_request_starts_nothing_new(host, guest):
    server = host.serve()
    assert len(guest.talk(server, rrq("long"), rrq("long"))) == 2
    guest.talk(server, build_ack(1))
    assert guest.talk(server, rrq("long")) == [], "later it is an echo"
    assert guest.talk(server, wrq("x")) == [build_ack(0)]
    assert guest.talk(server, wrq("x")) == [build_ack(0)]
    assert server.active() == 1
    assert host.kinds() == ["request", "failed", "request"]


def test_a_new_request_from_the_same_port_starts_anew(host, guest):
    server = host.serve()
    for _dummy in range(2):
        guest.talk(server, rrq("a"), build_ack(1))
    assert host.kinds() == ["request", "done"] * 2
    guest.talk(server, wrq("b"), data(1, bytes(512)))
    guest.talk(server, rrq("a"))
    assert host.kinds()[4:] == ["request", "failed", "request"]
    assert host.uploads() == []


def test_strangers_get_error_5_but_not_many(host, guest):
    server = host.serve()
    assert code_of(guest.talk(server, build_ack(1))) == UNKNOWN_TID
    assert code_of(guest.talk(server, data(1, b"x"))) == UNKNOWN_TID
    assert guest.talk(server, build_error(0, "x"), b"", b"\0", b"\0\x09", b"\x01\x03ab") == []
    assert len(guest.talk(server, *[build_ack(1)] * 50)) < 15


def test_a_late_ack_is_no_stranger(host, guest):
    server = host.serve()
    guest.talk(server, rrq("a"), build_ack(1))
    assert guest.talk(server, build_ack(1)) == []


def test_two_peers_do_not_disturb_each_other(host, guest):
    server, other = host.serve(), Guest()
    guest.talk(server, rrq("long"))
    other.talk(server, rrq("a"))
    assert guest.talk(server, build_ack(1))[0][:4] == b"\0\3\0\2"
    assert server.active() == 2
    other.talk(server, build_error(0, "no more"))
    assert server.active() == 1
    assert host.events[-1].error == "the peer ended it with error 0: no more"
    other.socket.close()


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (rrq("nothing"), NOT_FOUND),
        (rrq("../put"), ACCESS),
        (wrq("../x"), ACCESS),
        (rrq("."), ACCESS),
        (build_request(Request("get", "a", "octet", {})).replace(b"octet", b"mail"), ILLEGAL),
    ],
)
def test_refusals(host, guest, packet, code):
    server = host.serve()
    assert code_of(guest.talk(server, packet)) == code
    assert server.active() == 0
    assert host.events[-1].kind == "refused"
    assert host.events[-1].error


@pytest.mark.parametrize("packet", [rrq("a"), wrq("b")])
def test_a_server_without_roots_refuses_all(host, guest, packet):
    server = host.serve(get_root=None, put_root=None)
    assert code_of(guest.talk(server, packet)) == ACCESS


def test_an_upload_too_large_is_refused_at_the_start(host, guest):
    server = host.serve(limits=Limits(upload_bytes=1000))
    assert code_of(guest.talk(server, wrq("b", tsize="1001"))) == FULL
    assert host.kinds() == ["request", "refused"]
    assert host.uploads() == []
    assert guest.talk(server, wrq("b", tsize="1000"))[0].startswith(b"\0\6")


def test_an_upload_too_large_is_stopped_on_its_way(host, guest):
    server = host.serve(limits=Limits(upload_bytes=1000))
    packets = guest.talk(server, wrq("b"), data(1, bytes(512)), data(2, bytes(512)))
    assert code_of(packets[-1:]) == FULL
    assert host.kinds() == ["request", "failed"]
    assert "1000 bytes" in host.events[-1].error
    assert host.uploads() == []


def test_all_uploads_together_are_limited(host, guest):
    server = host.serve(limits=Limits(total_upload_bytes=1000))
    guest.talk(server, wrq("failed"), data(1, bytes(512)), build_error(0, "x"))
    guest.talk(server, wrq("b"), data(1, bytes(512)), data(2, bytes(88)))
    assert host.uploads() == ["b"]
    assert code_of(guest.talk(server, wrq("c", tsize="401"))) == FULL
    packets = guest.talk(server, wrq("c"), data(1, bytes(512)))
    assert code_of(packets[-1:]) == FULL
    assert host.uploads() == ["b"]


def test_the_number_of_transfers_is_limited(host, guest):
    server = host.serve(limits=Limits(transfers=1))
    other = Guest()
    guest.talk(server, rrq("a"))
    assert code_of(other.talk(server, rrq("a"))) == UNDEFINED
    guest.talk(server, build_ack(1))
    assert other.talk(server, rrq("a")) == [data(1, b"content of a")]
    other.socket.close()


def test_the_number_of_files_is_limited(host, guest):
    server = host.serve(limits=Limits(files=3))
    for name in ("failed", "failed", "failed", "failed"):
        guest.talk(server, wrq(name), data(1, bytes(512)), build_error(0, "x"))
    for name in ("a", "b/c"):
        assert guest.talk(server, wrq(name), data(1, b"")) == [build_ack(0), build_ack(1)]
    guest.talk(server, wrq("under way"))
    other = Guest()
    assert code_of(other.talk(server, wrq("more"))) == FULL
    guest.talk(server, data(1, b""))
    assert code_of(other.talk(server, wrq("more"))) == FULL
    assert other.talk(server, rrq("a")) == [data(1, b"content of a")]
    other.socket.close()
    assert host.uploads() == ["a", "b", "b/c", "under way"]


@pytest.mark.parametrize("name", ["manifest", "/manifest", "./manifest", "//./manifest"])
def test_a_name_has_a_limit_of_its_own(host, guest, name):
    server = host.serve(limits=Limits(named={"manifest": 1000}))
    assert code_of(guest.talk(server, wrq(name, tsize="1001"))) == FULL
    packets = guest.talk(server, wrq(name), data(1, bytes(512)), data(2, bytes(489)))
    assert code_of(packets[-1:]) == FULL
    assert host.uploads() == []
    guest.talk(server, wrq("other"), data(1, bytes(512)), data(2, bytes(489)))
    guest.talk(server, wrq(name), data(1, bytes(512)), data(2, bytes(488)))
    assert host.uploads() == ["manifest", "other"]


def test_all_windows_together_are_limited(host):
    (host.get / "large").write_bytes(bytes(1 << 20))
    server = host.serve(limits=Limits(flight=40_000))
    guests = [Guest() for _dummy in range(6)]
    windows = []
    for guest in guests:
        (oack,) = guest.talk(server, rrq("large", blksize="1000", windowsize="16"))
        windows.append(int(parse_oack(oack)["windowsize"]))
    assert windows == [16, 16, 8, 1, 1, 1]
    guests[0].talk(server, build_error(0, "enough"))
    (oack,) = guests[0].talk(server, rrq("large", blksize="1000", windowsize="16"))
    assert parse_oack(oack)["windowsize"] == "13"
    for guest in guests:
        guest.socket.close()


@pytest.mark.parametrize("utimeout", ["10000", "40000"])
def test_a_silent_guest_is_not_sent_windows_at_full_speed(host, guest, utimeout):
    (host.get / "large").write_bytes(bytes(1 << 20))
    server = host.serve()
    asked = rrq("large", blksize="1000", windowsize="16", utimeout=utimeout)
    guest.talk(server, asked, build_ack(0))
    server.serve(1.0)
    # Four repetitions 40 ms apart, then twice as long for each.
    assert 4 * 16 <= len(guest.hear(server)) <= 9 * 16


@pytest.mark.parametrize("begin", [[rrq("long"), build_ack(1)], [wrq("x"), data(1, bytes(512))]])
def test_a_client_that_was_reset_is_served_anew(host, guest, begin, monkeypatch):
    server = host.serve()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    guest.talk(server, *begin)
    assert guest.talk(server, begin[0]) == [], "so soon it is an echo"
    now += 1.1
    assert guest.talk(server, begin[0])[-1] in (data(1, bytes(range(256)) * 2), build_ack(0))
    assert host.kinds() == ["request", "failed", "request"]
    assert server.active() == 1
    # The one before has left nothing.
    assert len(host.uploads()) == (begin[0] == wrq("x"))


def test_blocks_and_windows_are_limited(host, guest):
    server = host.serve(limits=Limits(window=3, block=1000))
    (oack,) = guest.talk(server, rrq("long", blksize="8192", windowsize="64"))
    assert parse_oack(oack) == {"blksize": "1000", "windowsize": "3"}


def test_a_flood_is_dropped_and_the_rest_goes_on(host, guest):
    server = host.serve(limits=Limits(packets_per_second=20))
    guest.say(server, *[b"\0\4\0\1"] * 200)
    assert server.dropped >= 150
    time.sleep(0.2)
    guest.hear(server)
    assert guest.talk(server, rrq("a")) == [data(1, b"content of a")]


def test_a_poll_is_bounded(host):
    server = host.serve()
    guests = [Guest() for _dummy in range(3)]
    for guest in guests[:2]:
        guest.say(server, rrq("long"))
    for _dummy in range(300):
        guests[2].socket.sendto(build_ack(9), (server.address, server.port))
    server.poll()
    assert select.select([server], [], [], 0)[0], "there is more, and it says so"
    for guest in guests:
        guest.socket.close()


def test_a_poll_drops_many_at_once(host, guest):
    server = host.serve(peer="127.0.0.2")
    for _dummy in range(100):
        guest.socket.sendto(rrq("a"), (server.address, server.port))
    server.poll()
    assert server.dropped == 64


def test_only_the_machine_is_listened_to(host, guest):
    server = host.serve()
    stranger = Guest("127.0.0.2")
    assert len(stranger.talk(server, rrq("a"))) == 1
    server.peer = "127.0.0.1"
    stranger.say(server, rrq("a"), build_ack(1))
    assert stranger.hear(server) == []
    assert server.dropped == 2
    assert len(guest.talk(server, rrq("a"))) == 1
    stranger.socket.close()


def test_a_held_request_is_answered_by_another_server(host, guest):
    first = host.serve(hold=lambda event: event.name == "a")
    assert guest.talk(first, rrq("a"), rrq("a")) == []
    assert (first.active(), host.kinds()) == (0, ["request"])
    (held,) = first.held
    assert held.peer == guest.socket.getsockname()
    first.close()
    second = host.serve()
    second.release(held)
    assert guest.hear(second) == [data(1, b"content of a")]
    assert guest.talk(second, rrq("a")) == [data(1, b"content of a")], "it had asked again"
    guest.say(second, build_ack(1))
    assert host.kinds() == ["request", "request", "done"]


def test_a_held_request_is_answered_by_its_own_server(host, guest):
    server = host.serve(hold=lambda event: True)
    guest.say(server, rrq("a"))
    server.release(server.held[0])
    assert guest.hear(server) == [data(1, b"content of a")]
    assert server.held == ()
    guest.say(server, build_ack(1))
    assert host.kinds() == ["request", "done"]


def test_releasing_twice_answers_once(host, guest):
    server = host.serve(hold=lambda event: True)
    guest.say(server, rrq("long"))
    (held,) = server.held
    server.release(held)
    server.release(held)
    assert len(guest.hear(server)) == 1
    assert server.active() == 1


def test_a_held_request_that_cannot_be_served_is_refused(host, guest):
    server = host.serve(hold=lambda event: True)
    guest.say(server, rrq("nothing"))
    server.release(server.held[0])
    assert code_of(guest.hear(server)) == NOT_FOUND
    assert host.kinds() == ["request", "refused"]


def test_held_requests_count_as_transfers(host, guest):
    server = host.serve(hold=lambda event: True, limits=Limits(transfers=1))
    other = Guest()
    guest.say(server, rrq("a"))
    assert code_of(other.talk(server, rrq("a"))) == UNDEFINED
    other.socket.close()


def test_a_lost_packet_is_repeated_when_it_is_due(host, guest):
    server = host.serve()
    assert server.deadline() is None
    began = time.monotonic()
    guest.talk(server, rrq("a", utimeout="20000"), build_ack(0))
    due = server.deadline()
    assert due is not None
    assert 0.0 < due - began < 0.1
    heard: list[bytes] = []
    end = time.monotonic() + 5
    while len(heard) < 2 and time.monotonic() < end:
        assert not server.serve(0.1)
        heard += guest.hear(server)
    assert len(heard) >= 2


def test_it_gives_up(host, guest):
    server = host.serve(limits=Limits(give_up=0.1))
    guest.say(server, wrq("b"), data(1, bytes(512)))
    assert server.serve(5.0, until=lambda: server.active() == 0)
    assert server.deadline() is None
    assert host.events[-1].kind == "failed"
    assert "no answer from 127.0.0.1" in host.events[-1].error
    assert host.uploads() == []


def test_serve_ends_in_time_even_when_flooded(host, guest):
    server = host.serve(on_event=lambda event: guest.socket.sendto(rrq("no"), where))
    where = (server.address, server.port)
    guest.socket.sendto(rrq("no"), where)
    began = time.monotonic()
    assert not server.serve(0.1)
    assert 0.1 <= time.monotonic() - began < 1.0


def test_closing_leaves_nothing(host, guest):
    server = host.serve()
    before = len(os.listdir("/proc/self/fd"))
    guest.talk(server, wrq("sub/b"), data(1, bytes(512)))
    server.close()
    server.close()
    assert host.uploads() == []
    assert host.kinds() == ["request", "failed"]
    assert parse_error(guest.hear(server)[-1]) == (0, "the server was closed")
    assert len(os.listdir("/proc/self/fd")) == before - 1


@pytest.mark.parametrize("kind", ["request", "done", "failed"])
def test_it_may_be_closed_from_within_an_event(host, guest, kind):
    server = host.serve(on_event=lambda event: event.kind == kind and server.close())
    guest.talk(server, rrq("a"), build_ack(1), wrq("b"), build_error(0, "x"), wrq("c"))
    assert server.serve(9.0, until=lambda: server.active() == 0)
    server.close()
    assert server.active() == 0
    assert host.uploads() == []


def test_serving_ends_with_the_server(host, guest):
    server = host.serve(on_event=lambda event: server.close())
    guest.socket.sendto(rrq("a"), (server.address, server.port))
    began = time.monotonic()
    assert not server.serve(9.0)
    assert not server.serve(9.0)
    assert time.monotonic() - began < 2.0


def test_a_full_disk_is_error_3(host, guest):
    server = host.serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    guest.talk(server, wrq("b", blksize="65464"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        packets = guest.talk(server, *[data(n, bytes(65464)) for n in range(1, 4)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code_of(packets[-1:]) == FULL
    assert host.uploads() == []


@pytest.mark.parametrize(
    ("address", "port", "words"),
    [
        ("192.0.2.77", 0, "no interface of this host has this address"),
        ("::1", 0, "is not an IPv4 address"),
        ("localhost", 0, "is not an IPv4 address"),
        ("127.0.0.1", 70000, "a port is a number from 0 to 65535"),
    ],
)
def test_an_address_that_cannot_be_had(address, port, words):
    with pytest.raises(TftpError, match=words) as caught:
        Server(address, port, get_root=None, put_root=None)
    assert f"{address}:{port}" in str(caught.value)


def test_a_port_in_use(host):
    port = host.serve().port
    with pytest.raises(TftpError, match=f"127.0.0.1:{port}: the port is in use; choose another"):
        Server("127.0.0.1", port, get_root=None, put_root=None)


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        (
            b"\0\1|\0\2|\0\3\0\1|\0\4\0\0|\0\4\0\1|\0\5\0\0|\0\6"
            b"|a\0|x/y\0|../x\0|/etc/passwd\0|octet\0|netascii\0"
            b"|blksize\0|windowsize\0|tsize\0|utimeout\0|8\0|0\0|65464\0"
        ).split(b"|")
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=30))
def test_no_datagram_breaks_it_or_leads_out_of_the_root(host, guest, packets):
    (host.put.parent / "fence").mkdir(exist_ok=True)
    around = sorted(os.listdir(host.put.parent))
    with host.serve() as server:
        guest.talk(server, *packets)
    # A server that closes says so to whom it still serves: that is not for the next one to hear.
    guest.hear(server)
    assert sorted(os.listdir(host.put.parent)) == around
    assert not any(".tftp-upload" in name for name in host.uploads())
    assert sorted(os.listdir(host.get)) == ["a", "long"]


def test_damaged_conversations_do_not_break_it(host, guest):
    dice = random.Random(1)
    proper = [rrq("long", blksize="8", windowsize="4"), wrq("b", tsize="9"), build_ack(0)]
    proper += [data(1, b"12345678"), build_ack(1), data(2, b"x"), build_error(1, "x")]
    server = host.serve()
    for _dummy in range(3000):
        packet = bytearray(dice.choice(proper))
        for _dummy in range(dice.randrange(3)):
            packet[dice.randrange(len(packet))] = dice.randrange(256)
        guest.say(server, bytes(packet[: dice.randrange(len(packet) + 1) or None]))
    guest.hear(server)
    server.close()
    assert not any(".tftp-upload" in name for name in host.uploads())
    assert sorted(os.listdir(host.put.parent)) == ["get", "put"]
