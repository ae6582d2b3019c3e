# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sender and Receiver against each other and against a scripted peer, in simulated time."""

from __future__ import annotations

import heapq
import os
import random
import struct
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.files import Blocks
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import (
    FULL,
    Terms,
    TftpError,
    build_ack,
    build_error,
    build_oack,
    parse_error,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.transfers import (
    Peer,
    Receiver,
    Sender,
    Timer,
    Transfer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

PEER: Peer = ("192.0.2.1", 1234)
OPENING = build_oack([("blksize", "8")])


class Outbox:
    """A wire that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, packet: bytes | memoryview, peer: Peer) -> None:
        assert peer == PEER
        self.sent.append(bytes(packet))

    def send_window(self, packets: memoryview, stride: int, peer: Peer) -> None:
        for start in range(0, len(packets), stride):
            self.send(packets[start : start + stride], peer)

    def take(self) -> list[bytes]:
        sent, self.sent = self.sent, []
        return sent


class Memory:
    """A sink that keeps what is written, and perhaps runs full."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.content = bytearray()
        self.room = room
        self.published = self.discarded = False

    def write(self, piece: memoryview) -> None:
        if len(self.content) + len(piece) > self.room:
            raise TftpError("the disk is full", FULL)
        self.content += piece

    def publish(self) -> None:
        self.published = True

    def discard(self) -> None:
        self.discarded = True


def blocks_of(content: bytes, terms: Terms) -> Blocks:
    descriptor = os.memfd_create("content")
    os.write(descriptor, content)
    return Blocks(descriptor, block=terms.block, window=terms.window, rollover=terms.rollover)


def sender_of(
    content: bytes, terms: Terms, opening: bytes | None = None, give_up: float = 30.0
) -> tuple[Sender, Outbox]:
    outbox = Outbox()
    blocks = blocks_of(content, terms)
    return Sender(blocks, terms, outbox, PEER, give_up=give_up, opening=opening), outbox


def receiver_of(
    terms: Terms, sink: Memory | None = None, opening: bytes = OPENING, give_up: float = 30.0
) -> tuple[Receiver, Outbox, Memory]:
    outbox, sink = Outbox(), sink or Memory()
    return Receiver(sink, terms, outbox, PEER, give_up=give_up, opening=opening), outbox, sink


def data(number: int, payload: bytes = b"12345678") -> bytes:
    return struct.pack("!HH", 3, number) + payload


def numbers(packets: list[bytes]) -> list[int]:
    return [struct.unpack_from("!HH", packet)[1] for packet in packets]


def hear(transfer: Transfer, now: float, *packets: bytes) -> None:
    for packet in packets:
        transfer.receive(memoryview(packet), now)


class Network:
    """Carries datagrams between two transfers, in simulated time, as badly as it is told.

    ``fate`` decides for each datagram after how many seconds its copies arrive.
    """

    def __init__(self, fate: t.Callable[[], list[float]]) -> None:
        self.fate = fate
        self.now = 0.0
        self.carried = 0
        self.queue: list[tuple[float, int, Transfer, bytes]] = []

    def carry(self, outbox: Outbox, target: Transfer) -> None:
        for packet in outbox.take():
            for delay in self.fate():
                self.carried += 1
                heapq.heappush(self.queue, (self.now + delay, self.carried, target, packet))

    def run(self, sender: Sender, out: Outbox, receiver: Receiver, back: Outbox) -> None:
        """Let both talk until both have ended."""
        ends = {sender: (out, receiver), receiver: (back, sender)}
        receiver.start(0.0)
        back.take()  # the opening, which a sender has heard before it starts
        sender.start(0.0)
        while any(end.state == "running" for end in ends):
            for outbox, target in ends.values():
                self.carry(outbox, target)
            due = min(end.due for end in ends if end.state == "running")
            if self.queue and self.queue[0][0] <= due:
                self.now, _order, target, packet = heapq.heappop(self.queue)
                target.receive(memoryview(packet), self.now)
            else:
                self.now = max(self.now, due)
                for end in ends:
                    if end.state == "running" and end.due <= self.now:
                        end.expire(self.now)


def transfer_through(
    network: Network, content: bytes, terms: Terms
) -> tuple[Sender, Receiver, Memory]:
    # Where two of five datagrams are lost, half a minute of bad luck is seen now and then.
    patience = 600.0
    sender, out = sender_of(content, terms, give_up=patience)
    receiver, back, sink = receiver_of(terms, opening=build_ack(0), give_up=patience)
    network.run(sender, out, receiver, back)
    return sender, receiver, sink


@pytest.mark.parametrize("window", [1, 4, 32])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 800, 1000, 1001])
def test_nothing_is_sent_twice_without_need(window, size):
    network = Network(lambda: [0.001])
    sender, receiver, sink = transfer_through(network, bytes(size), Terms(8, window))
    assert (sender.state, receiver.state) == ("done", "done")
    assert sender.bytes == receiver.bytes == len(sink.content) == size
    assert sink.published
    packets = size // 8 + 1
    assert network.carried == packets + -(-packets // window)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    loss=st.sampled_from([0.0, 0.02, 0.2, 0.4]),
    copies=st.sampled_from([0.0, 0.05, 0.3]),
    jitter=st.sampled_from([0.0, 0.005, 0.2]),
    size=st.integers(0, 3000),
    window=st.sampled_from([1, 2, 5, 32]),
    rollover=st.sampled_from([0, 1]),
)
def test_whatever_the_network_does_the_file_arrives(
    seed, loss, copies, jitter, size, window, rollover
):
    dice = random.Random(seed)

    def fate() -> list[float]:
        count = 0 if dice.random() < loss else 2 if dice.random() < copies else 1
        return [0.001 + dice.random() * jitter for _copy in range(count)]

    content = dice.randbytes(size)
    sender, receiver, sink = transfer_through(
        Network(fate), content, Terms(8, window, rollover=rollover)
    )
    assert receiver.state == "done", receiver.error
    assert sink.content == content
    # The sender may miss the very last ACK for as long as it cares.
    assert sender.state == "done" or "no answer" in sender.error


@pytest.mark.parametrize("rollover", [0, 1])
@pytest.mark.parametrize("window", [1, 32])
def test_block_numbers_roll_over(rollover, window):
    dice = random.Random(7)
    content = dice.randbytes(8 * 70_000 + 3)
    network = Network(lambda: [] if dice.random() < 0.0005 else [0.001])
    terms = Terms(8, window, rollover=rollover)
    _sender, receiver, sink = transfer_through(network, content, terms)
    assert receiver.state == "done"
    assert sink.content == content


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.parametrize("victim", range(1, 12))
def test_no_sorcerers_apprentice(window, victim):
    """One datagram that arrives twice costs a few more, not the doubling of all that follow."""
    plain = Network(lambda: [0.001])
    transfer_through(plain, bytes(8 * 200), Terms(8, window))
    count = 0

    def fate() -> list[float]:
        nonlocal count
        count += 1
        return [0.001, 0.0015] if count == victim else [0.001]

    network = Network(fate)
    _sender, receiver, _sink = transfer_through(network, bytes(8 * 200), Terms(8, window))
    assert receiver.state == "done"
    assert network.carried <= plain.carried + 3 * window + 3


def test_a_repeated_ack_is_not_answered():
    sender, outbox = sender_of(bytes(100), Terms(8))
    sender.start(0.0)
    hear(sender, 0.001, build_ack(1))
    assert numbers(outbox.take()) == [1, 2]
    hear(sender, 0.002, build_ack(1), build_ack(1), build_ack(0))
    assert outbox.take() == []


def test_an_ack_of_what_was_not_sent_is_ignored():
    sender, outbox = sender_of(bytes(100), Terms(8, 2))
    sender.start(0.0)
    hear(sender, 0.001, build_ack(3), build_ack(65535), build_ack(9))
    assert numbers(outbox.take()) == [1, 2]
    assert sender.untouched


def test_a_gap_is_filled_at_once():
    sender, outbox = sender_of(bytes(100), Terms(8, 4))
    sender.start(0.0)
    hear(sender, 0.001, build_ack(2))
    assert numbers(outbox.take()) == [1, 2, 3, 4, 3, 4, 5, 6]
    hear(sender, 0.002, build_ack(2))
    assert numbers(outbox.take()) == [3, 4, 5, 6]
    hear(sender, 0.003, build_ack(2))
    assert outbox.take() == []


def test_the_echo_of_a_repeated_window_is_not_answered():
    sender, outbox = sender_of(bytes(100), Terms(8, 2))
    sender.start(0.0)
    sender.expire(0.25)
    hear(sender, 0.26, build_ack(2))
    hear(sender, 0.27, build_ack(2))
    assert numbers(outbox.take()) == [1, 2, 1, 2, 3, 4]


def test_an_oack_is_repeated_until_it_is_acknowledged():
    sender, outbox = sender_of(bytes(20), Terms(8), OPENING)
    sender.start(0.0)
    hear(sender, 0.1, build_ack(1))
    sender.expire(sender.due)
    assert outbox.take() == [OPENING, OPENING]
    hear(sender, 0.3, build_ack(0))
    assert numbers(outbox.take()) == [1]


def test_a_block_longer_than_agreed_is_ignored():
    receiver, outbox, sink = receiver_of(Terms(8))
    receiver.start(0.0)
    hear(receiver, 0.1, data(1, bytes(9)), b"\0\3\0", b"", build_ack(1))
    assert outbox.take() == [OPENING]
    assert sink.content == b""


def test_a_receiver_complains_once_about_a_gap():
    receiver, outbox, _sink = receiver_of(Terms(8, 4))
    receiver.start(0.0)
    hear(receiver, 0.1, data(1), data(3), data(4))
    assert outbox.take() == [OPENING, build_ack(1)]
    hear(receiver, 0.2, data(2), data(4))
    assert outbox.take() == [build_ack(2)]


def test_a_repeated_block_is_acknowledged_again():
    receiver, outbox, sink = receiver_of(Terms(8))
    receiver.start(0.0)
    hear(receiver, 0.1, data(1), data(1), data(0))
    assert outbox.take() == [OPENING, build_ack(1), build_ack(1)]
    assert sink.content == b"12345678"


def test_it_is_published_before_the_last_ack():
    seen: list[bool] = []
    receiver, outbox, sink = receiver_of(Terms(8))
    outbox.send = lambda packet, peer: seen.append(sink.published)  # type: ignore[method-assign]
    receiver.start(0.0)
    hear(receiver, 0.1, data(1), data(2, b""))
    assert seen == [False, False, True]


def test_the_last_block_is_acknowledged_again_after_the_end():
    receiver, outbox, sink = receiver_of(Terms(8))
    receiver.start(0.0)
    hear(receiver, 0.1, data(1, b""))
    outbox.take()
    hear(receiver, 0.2, data(1, b""), data(2), build_error(0, "x"))
    assert outbox.take() == [build_ack(1)]
    assert (receiver.state, sink.content) == ("done", b"")


def test_a_full_disk_ends_the_transfer():
    receiver, outbox, sink = receiver_of(Terms(8), Memory(room=8))
    receiver.start(0.0)
    hear(receiver, 0.1, data(1), data(2))
    assert parse_error(outbox.take()[-1]) == (FULL, "the disk is full")
    assert receiver.state == "failed"
    assert sink.discarded
    assert not sink.published


@pytest.mark.parametrize("half", ["sender", "receiver"])
def test_an_error_of_the_peer_ends_the_transfer_without_answer(half):
    transfer: Transfer
    transfer, outbox = sender_of(b"", Terms()) if half == "sender" else receiver_of(Terms())[:2]
    transfer.start(0.0)
    outbox.take()
    hear(transfer, 0.1, build_error(3, "no room\x1b"))
    assert transfer.state == "failed"
    assert transfer.error == "the peer ended it with error 3: no room"
    assert outbox.take() == []


@pytest.mark.parametrize("timeout", [None, 0.05, 1.0, 200.0])
def test_it_gives_up_by_the_clock_not_by_counting(timeout):
    sender, outbox = sender_of(bytes(100), Terms(8, timeout=timeout), give_up=30.0)
    sender.start(0.0)
    now = 0.0
    while sender.state == "running":
        now = sender.due
        sender.expire(now)
    assert now == pytest.approx(30.0)
    assert "no answer from 192.0.2.1:1234 for 30 s" in sender.error
    assert 15 <= len(outbox.sent) <= 700


def test_progress_puts_off_giving_up():
    receiver, _outbox, _sink = receiver_of(Terms(8), give_up=1.0)
    receiver.start(0.0)
    for number in range(1, 6):
        hear(receiver, number * 0.9, data(number))
    receiver.expire(5.0)
    assert receiver.state == "running"
    receiver.expire(5.6)
    assert receiver.state == "failed"


def test_the_timer_learns_and_backs_off():
    timer = Timer()
    assert timer.interval == 0.25
    for _dummy in range(50):
        timer.sample(0.0001)
    assert timer.interval == 0.04
    for _dummy in range(50):
        timer.sample(0.3)
    assert 0.3 < timer.interval < 0.5
    for _dummy in range(9):
        timer.back_off()
    assert timer.interval == 2.0


def test_the_timer_never_waits_longer_than_agreed():
    timer = Timer(asked=0.06)
    timer.sample(1.0)
    timer.back_off()
    assert timer.interval == 0.06


def test_the_timer_is_not_hurried_by_a_peer_that_is_silent():
    timer = Timer(asked=0.01)
    waits = []
    for _dummy in range(12):
        waits.append(timer.interval)
        timer.back_off()
    assert waits == [0.04] * 5 + [0.08, 0.16, 0.32, 0.64, 1.28, 2.0, 2.0]
    timer.answered()
    assert timer.interval == 0.04


@settings(max_examples=300, deadline=None)
@given(
    terms=st.builds(
        Terms, block=st.just(8), window=st.sampled_from([1, 1, 3]), rollover=st.sampled_from([0, 1])
    ),
    size=st.integers(0, 100),
    opening=st.sampled_from([None, OPENING]),
    answers=st.lists(st.sampled_from(["next", "next", "next", "again", "wild", "silence"])),
)
def test_the_short_way_does_what_the_long_one_does(
    terms: Terms, size: int, opening: bytes | None, answers: list[str]
) -> None:
    content = bytes(range(size))
    quick, quick_sent = sender_of(content, terms, opening)
    plain, plain_sent = sender_of(content, terms, opening)
    quick.start(0.0)
    plain.start(0.0)
    now, acked = 0.0, 0 if opening else 1
    for answer in answers:
        now += 0.001
        if answer == "silence":
            now += 3.0
            for transfer in (quick, plain):
                if transfer.state == "running":
                    transfer.expire(now)
        else:
            number = {"next": acked, "again": max(0, acked - 1), "wild": acked + 7}[answer]
            if quick.state != "running" or not quick.step(number, now):
                hear(quick, now, build_ack(number))
            hear(plain, now, build_ack(number))
            acked += answer == "next"
        assert quick_sent.sent == plain_sent.sent
        assert (quick.state, quick.bytes) == (plain.state, plain.bytes)
