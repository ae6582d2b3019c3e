# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The two halves of a TFTP transfer as state machines: Sender and Receiver.

They know neither sockets nor clocks: a *wire* sends for them, every call is told the time
(seconds, monotonic). Server and client use the same ones. RFC 1350, 7440.
"""

from __future__ import annotations

import abc
import contextlib
import typing as t

from .files import Blocks
from .packets import (
    ACK,
    DATA,
    ERROR,
    HEADER,
    UNDEFINED,
    Terms,
    TftpError,
    build_ack,
    build_error,
    modulus,
    parse_error,
    wire_number,
)

Peer = tuple[str, int]
Packet: t.TypeAlias = "bytes | memoryview"

# Of so many blocks that are sent one by one, the time of one is measured.
_SAMPLED = 8


class Wire(t.Protocol):
    """Sends datagrams. One that cannot be sent is lost, like any other: no errors."""

    def send(self, packet: Packet, peer: Peer) -> None: ...

    def send_window(self, packets: memoryview, stride: int, peer: Peer) -> None:
        """Send consecutive packets of ``stride`` bytes, the last one perhaps shorter."""


class Sink(t.Protocol):
    """Where received blocks go; methods raise TftpError."""

    def write(self, piece: memoryview) -> None: ...

    def publish(self) -> None: ...

    def discard(self) -> None: ...


class Timer:
    """How long to wait for an answer before repeating oneself, in seconds.

    Smoothed as in RFC 6298, but from 40 ms up: a guest without KVM is often late by some
    20 ms, and a needless repetition of a window costs it more than the wait. ``asked`` is
    the timeout agreed on: it gets longer than that only where several repetitions in a row
    were not answered, so that a peer that is silent is not sent windows at full speed.
    """

    SHORTEST, FIRST, LONGEST = 0.04, 0.25, 2.0
    HURRIED = 4

    def __init__(self, asked: float | None = None) -> None:
        self._longest = max(self.SHORTEST, min(asked or self.LONGEST, self.LONGEST))
        self._repetitions = 0
        self._mean: float | None = None
        self._deviation = 0.0
        self.interval = min(self.FIRST, self._longest)

    def sample(self, seconds: float) -> None:
        """Learn from an answer to something that was sent once only (Karn's rule)."""
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
        else:
            error = seconds - self._mean
            self._mean += error / 8
            self._deviation += (abs(error) - self._deviation) / 4
        self.interval = min(max(self._mean + 4 * self._deviation, self.SHORTEST), self._longest)

    def back_off(self) -> None:
        """Wait longer for the answer to a repetition."""
        self._repetitions += 1
        hurried = self._repetitions <= self.HURRIED
        self.interval = min(self.interval * 2, self._longest if hurried else self.LONGEST)

    def answered(self) -> None:
        """Note that the peer is there."""
        self._repetitions = 0
        self.interval = min(self.interval, self._longest)


class Transfer(abc.ABC):
    """What both halves have in common.

    ``state`` goes from running to done or failed, ``error`` then says why; ``bytes`` is the
    payload that has arrived for certain; ``due`` is when :meth:`expire` must be called;
    ``midway`` is true while more datagrams are expected before the next answer is sent.
    """

    def __init__(self, terms: Terms, wire: Wire, peer: Peer, give_up: float) -> None:
        self.peer = peer
        self.state: t.Literal["running", "done", "failed"] = "running"
        self.error = ""
        self.bytes = 0
        self.due = 0.0
        self.midway = False
        self._wire = wire
        self._block = terms.block
        self._window = terms.window
        self._rollover = terms.rollover
        self._modulus = modulus(terms.rollover)
        self._timer = Timer(terms.timeout)
        self._give_up = give_up
        self._progress_at = 0.0
        self._sent_at = 0.0
        self._repeated = False

    @property
    @abc.abstractmethod
    def untouched(self) -> bool:
        """Whether the peer has not yet answered at all."""

    def quiet(self, now: float) -> float:
        """For how many seconds the transfer has not got on."""
        return now - self._progress_at

    def start(self, now: float, heard: memoryview | None = None) -> None:
        """Say the first thing or, where the peer's first block was heard, answer that."""
        self._progress_at = now
        if heard is None:
            self._speak(now)
        else:
            self._repeated = True  # no telling how long it took
            self._wait(now)
            self.receive(heard, now)

    @abc.abstractmethod
    def receive(self, packet: memoryview, now: float) -> None:
        """Handle a datagram from the peer; what makes no sense is ignored."""

    def repeat(self, now: float) -> None:
        """Say the last thing again."""
        self._repeated = True
        self._speak(now)

    def expire(self, now: float) -> None:
        """To be called once ``due`` has passed: repeat, or give up."""
        if now - self._progress_at >= self._give_up:
            self.fail(f"no answer from {self.peer[0]}:{self.peer[1]} for {self._give_up:g} s")
            return
        self._timer.back_off()
        self.repeat(now)

    def fail(self, error: str, code: int | None = UNDEFINED) -> None:
        """Give up and tell the peer why, unless ``code`` is None."""
        self.state, self.error = "failed", error
        # First this: a client that hears of its failure finds nothing left of it.
        self.release()
        if code is not None:
            self._wire.send(build_error(code, error), self.peer)

    @abc.abstractmethod
    def release(self) -> None:
        """Let go of the file; an upload that is not done vanishes."""

    def _refused_by_peer(self, packet: memoryview) -> None:
        code, message = parse_error(packet)
        self.fail(f"the peer ended it with error {code}: {message or 'no reason given'}", None)

    @abc.abstractmethod
    def _speak(self, now: float) -> None:
        """Send what is to be sent in the present state, and wait for the answer."""

    def _wait(self, now: float) -> None:
        self._sent_at = now
        self.due = min(now + self._timer.interval, self._progress_at + self._give_up)

    def _heard(self, now: float) -> None:
        self._progress_at = now
        self._timer.answered()
        if not self._repeated:
            self._timer.sample(now - self._sent_at)
        self._repeated = False


class Sender(Transfer):
    """Sends a file. ``opening`` is an OACK to be acknowledged first, if there is one."""

    def __init__(
        self,
        blocks: Blocks,
        terms: Terms,
        wire: Wire,
        peer: Peer,
        *,
        give_up: float,
        opening: bytes | None = None,
    ) -> None:
        super().__init__(terms, wire, peer, give_up)
        self._blocks = blocks
        self._opening = opening
        self._acked = 0
        self._sent = 0
        self._answers_gaps = True

    @property
    def untouched(self) -> bool:
        return self._acked == 0

    def receive(self, packet: memoryview, now: float) -> None:
        if len(packet) < HEADER.size or self.state != "running":
            return
        opcode, number = HEADER.unpack_from(packet)
        if opcode == ERROR:
            self._refused_by_peer(packet)
            return
        if opcode != ACK:
            return
        if self._opening is not None:
            if number == 0:
                self._opening = None
                self._heard(now)
                self._speak(now)
            return
        ahead = (number - self._acked) % self._modulus
        if ahead == 0:
            self._heard_again(now)
        elif ahead <= self._sent - self._acked:
            self._acked += ahead
            self._answers_gaps = not self._repeated
            self._heard(now)
            if self._acked == self._blocks.last:
                self.bytes = self._blocks.payload(self._acked)
                self.state = "done"
                self.release()
            else:
                self.bytes = self._acked * self._block
                self._speak(now)

    def step(self, number: int, now: float) -> bool:
        """Answer the ACK `number` of a lone block with the next one; False: receive() has to look.

        What nearly all datagrams of a transfer without windows are is handled by this with few
        steps, as each of them is waited for.
        """
        acked = self._acked + 1
        if (number - acked) % self._modulus or acked != self._sent or self._repeated:
            return False
        packet = self._blocks.whole(acked + 1)
        if packet is None or self._window != 1 or self._opening is not None:
            return False
        self._wire.send(packet, self.peer)
        self._acked = acked
        self._sent = acked + 1
        self.bytes = acked * self._block
        if not acked % _SAMPLED:
            self._timer.sample(now - self._sent_at)
        self._progress_at = self._sent_at = now
        self.due = now + min(self._timer.interval, self._give_up)
        return True

    def _heard_again(self, now: float) -> None:
        # With a window of 1 a repeated ACK must never be answered: that is the Sorcerer's
        # Apprentice. In a window it may also mean that the first block was lost (RFC 7440).
        # It is then answered once, and not at all if the window before was repeated: its
        # echo looks the same, and would make every window be sent twice to the end.
        if self._window > 1 and self._sent > self._acked and self._answers_gaps:
            self._answers_gaps = False
            self.repeat(now)

    def _speak(self, now: float) -> None:
        if self._opening is not None:
            self._wire.send(self._opening, self.peer)
            # While the peer reads that. What fails does so again when it is wanted.
            with contextlib.suppress(TftpError):
                self._blocks.packets(1, self._window)
        else:
            try:
                packets, count = self._blocks.packets(self._acked + 1, self._window)
            except TftpError as error:
                self.fail(str(error), error.code)
                return
            self._sent = self._acked + count
            if count == 1:
                self._wire.send(packets, self.peer)
            else:
                self._wire.send_window(packets, self._blocks.stride, self.peer)
        self._wait(now)

    def release(self) -> None:
        self._blocks.close()


class Receiver(Transfer):
    """Receives a file. ``opening`` is the first thing to say: an OACK or ACK 0.

    The sink publishes the file *before* the last block is acknowledged. Once done, it still
    answers a repeated last block, whose ACK was lost.
    """

    def __init__(
        self,
        sink: Sink,
        terms: Terms,
        wire: Wire,
        peer: Peer,
        *,
        give_up: float,
        opening: bytes,
    ) -> None:
        super().__init__(terms, wire, peer, give_up)
        self._sink = sink
        self._opening = opening
        self._received = 0
        self._unanswered = 0
        self._complained = False

    @property
    def untouched(self) -> bool:
        return self._received == 0

    def receive(self, packet: memoryview, now: float) -> None:
        size = len(packet) - HEADER.size
        if size < 0:
            return
        opcode, number = HEADER.unpack_from(packet)
        if opcode == ERROR:
            if self.state == "running":
                self._refused_by_peer(packet)
            return
        if opcode != DATA or size > self._block:
            return
        ahead = (number - self._received) % self._modulus
        if ahead == 0:
            # Its ACK was lost, or is late. ACK 0 has no block.
            if self._received:
                self.repeat(now)
        elif self.state != "running":
            return
        elif ahead == 1:
            self._take(packet[HEADER.size :], now)
        elif ahead <= self._window and not self._complained:
            # A gap: one ACK of what was whole makes the sender go back (RFC 7440 §4).
            self._complained = True
            self.repeat(now)

    def _take(self, piece: memoryview, now: float) -> None:
        size = len(piece)
        try:
            self._sink.write(piece)
            if size < self._block:
                self._sink.publish()
        except TftpError as error:
            self.fail(str(error), error.code)
            return
        self._received += 1
        self.bytes += size
        self._complained = False
        if size < self._block:
            self.state = "done"
            self.midway = False
            self._speak(now)
            return
        if self._unanswered == 0:
            self._heard(now)
        self._unanswered += 1
        if self._unanswered >= self._window:
            self._speak(now)
        else:
            self.midway = True
            self._progress_at = now
            self.due = now + self._timer.interval

    def _speak(self, now: float) -> None:
        self._unanswered = 0
        self.midway = False
        if self._received == 0:
            self._wire.send(self._opening, self.peer)
        else:
            self._wire.send(build_ack(wire_number(self._received, self._rollover)), self.peer)
        self._wait(now)

    def release(self) -> None:
        self._sink.discard()
