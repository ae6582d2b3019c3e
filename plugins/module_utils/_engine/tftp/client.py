# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A small TFTP client: one file, one call. For our worker, modules, tests and benchmarks."""

from __future__ import annotations

import os
import socket
import time
import typing as t
from dataclasses import dataclass

from .files import Blocks, NetasciiBlocks, Upload
from .packets import (
    DATA,
    DEFAULT_BLOCK,
    ERROR,
    LARGEST_BLOCK,
    OACK,
    OPTIONS,
    Mode,
    Operation,
    Request,
    Terms,
    TftpError,
    build_ack,
    build_error,
    build_request,
    negotiate,
    number_of,
    opcode_of,
    parse_error,
    parse_oack,
)
from .socket import UdpSocket
from .transfers import Peer, Receiver, Sender, Timer


@dataclass(frozen=True)
class Outcome:
    """A transfer that succeeded: bytes of the file, seconds from the request on, terms."""

    bytes: int
    seconds: float
    terms: Terms


@dataclass(frozen=True)
class Client:
    """Gets files from and puts files to a TFTP server. Methods block and raise TftpError.

    ``block`` (bytes) and ``window`` (blocks) are wishes. ``timeout`` in whole seconds is
    the retransmission time asked of the server, None leaves it to the server; ``give_up``
    in seconds without progress. ``rollover`` is asked for if given.
    """

    address: str
    port: int = 69
    block: int = 1468
    window: int = 16
    timeout: int | None = None
    give_up: float = 30.0
    mode: Mode = "octet"
    rollover: int | None = None

    def get(self, name: str, path: str) -> Outcome:
        """Download ``name`` to ``path``, which appears when it is complete."""
        directory, base = os.path.split(os.path.abspath(path))
        request = self._request("get", name, 0)
        sink = Upload(directory, base, netascii=self.mode == "netascii")
        try:
            with _Conversation(self, request) as conversation:
                answer, terms = conversation.ask()
                receiver = Receiver(
                    sink,
                    terms,
                    conversation.wire,
                    conversation.peer,
                    give_up=self.give_up,
                    opening=build_ack(0),
                )
                return conversation.run(receiver, answer, terms)
        finally:
            sink.discard()

    def put(self, path: str, name: str) -> Outcome:
        """Upload the file ``path`` as ``name``."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise TftpError(f"cannot read {path}: {error.strerror}") from error
        try:
            request = self._request("put", name, os.fstat(descriptor).st_size)
            with _Conversation(self, request) as conversation:
                answer, terms = conversation.ask()
                kind = Blocks if self.mode == "octet" else NetasciiBlocks
                blocks = kind(
                    os.dup(descriptor),
                    block=terms.block,
                    window=terms.window,
                    rollover=terms.rollover,
                )
                sender = Sender(
                    blocks, terms, conversation.wire, conversation.peer, give_up=self.give_up
                )
                return conversation.run(sender, answer, terms)
        finally:
            os.close(descriptor)

    def _request(self, operation: Operation, name: str, size: int) -> Request:
        options: dict[str, str] = {}
        if self.block != DEFAULT_BLOCK:
            options["blksize"] = str(self.block)
        if self.window != 1:
            options["windowsize"] = str(self.window)
        if self.timeout is not None:
            options["timeout"] = str(self.timeout)
        if self.rollover is not None:
            options["rollover"] = str(self.rollover)
        if self.mode == "octet":
            options["tsize"] = str(size)
        return Request(operation, name, self.mode, options)


class _Conversation:
    """The socket of one transfer."""

    def __init__(self, client: Client, request: Request) -> None:
        try:
            self.peer: Peer = (socket.gethostbyname(client.address), client.port)
        except OSError as error:
            raise TftpError(f"cannot find the address of {client.address}: {error}") from error
        self.wire = UdpSocket(2 * client.window * client.block)
        self._client = client
        self._request = request
        self._started = 0.0
        self._buffer = bytearray(LARGEST_BLOCK + 512)
        self._view = memoryview(self._buffer)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wire.close()

    def ask(self) -> tuple[memoryview, Terms]:
        """Send the request until it is answered; the answer and what was agreed on."""
        datagram = build_request(self._request)
        timer = Timer()
        self._started = time.monotonic()
        end = self._started + self._client.give_up
        due = 0.0
        while (now := time.monotonic()) < end:
            if now >= due:
                self.wire.send(datagram, self.peer)
                due = now + timer.interval
                timer.back_off()
            try:
                size, peer = self.wire.raw.recvfrom_into(self._buffer)
            except BlockingIOError:
                continue
            if peer[0] != self.peer[0]:
                continue
            # From here on, datagrams of anybody else are dropped by the kernel.
            self.wire.raw.connect(peer)
            self.peer = peer
            packet = self._view[:size]
            return packet, self._terms(packet)
        where = f"{self._client.address}:{self._client.port}"
        raise TftpError(f"no TFTP server answers on {where} ({self._client.give_up:g} s)")

    def _terms(self, packet: memoryview) -> Terms:
        opcode = opcode_of(packet)
        if opcode == ERROR:
            code, message = parse_error(packet)
            raise TftpError(
                f"cannot {self._request.operation} {self._request.name!r}: the server answers"
                f" with error {code}: {message}",
                code,
            )
        if opcode != OACK:
            return Terms()
        granted = parse_oack(packet)
        asked = self._request.options
        answer = Request(self._request.operation, self._request.name, self._request.mode, granted)
        terms = negotiate(
            answer,
            size=number_of(granted.get("tsize", ""), 0, 1 << 63),
            largest_block=self._client.block,
            largest_window=self._client.window,
            window_bytes=self._client.window * self._client.block,
        )
        sizes = dict(terms.accepted)
        for key, value in granted.items():
            if key not in asked or (key != "tsize" and sizes.get(key) != value):
                text = f"the server grants {key}={value}, which was not asked for"
                self.wire.send(build_error(OPTIONS, text), self.peer)
                raise TftpError(text, OPTIONS)
        return terms

    def run(self, transfer: Sender | Receiver, answer: memoryview, terms: Terms) -> Outcome:
        """Drive the transfer to its end."""
        transfer.start(time.monotonic(), answer if opcode_of(answer) == DATA else None)
        try:
            while transfer.state == "running":
                try:
                    size = self.wire.raw.recv_into(self._buffer)
                except BlockingIOError:
                    size = 0
                except ConnectionRefusedError:
                    raise self._failure("the server has gone away") from None
                now = time.monotonic()
                if size:
                    transfer.receive(self._view[:size], now)
                if now >= transfer.due and transfer.state == "running":
                    transfer.expire(now)
        finally:
            transfer.release()
        if transfer.state == "failed":
            raise self._failure(transfer.error)
        return Outcome(transfer.bytes, time.monotonic() - self._started, terms)

    def _failure(self, reason: str) -> TftpError:
        return TftpError(f"cannot {self._request.operation} {self._request.name!r}: {reason}")
