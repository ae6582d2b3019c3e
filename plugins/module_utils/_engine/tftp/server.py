# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A TFTP server for one machine's conversation, without threads and never blocking.

All of it goes through one socket: answers come from the port that was asked (so a redirect
on the host needs no helper), and transfers are told apart by the peer's address and port.
It reports what happens as events and logs nothing.
"""

from __future__ import annotations

import collections
import math
import os
import select
import socket
import sys
import time
import types
import typing as t
from dataclasses import dataclass, field

from .files import Blocks, NetasciiBlocks, Upload, open_download, split_name
from .packets import (
    ACCESS,
    ACK,
    DATA,
    FULL,
    HEADER,
    LARGEST_BLOCK,
    OACK,
    RRQ,
    UNKNOWN_TID,
    WRQ,
    Operation,
    Request,
    Terms,
    TftpError,
    build_ack,
    build_error,
    build_oack,
    negotiate,
    opcode_of,
    parse_request,
)
from .socket import RECEIVE_TIMEOUT, UdpSocket
from .transfers import Peer, Receiver, Sender

__all__ = ["Event", "HeldRequest", "Limits", "Server", "TftpError"]

# A poll() handles at most this many datagrams, so that a flood starves nobody.
_DATAGRAMS_PER_POLL = 64
_PROGRESS_EVERY = 0.25  # seconds
# A finished transfer is remembered, to answer its last packet's repetitions.
_LINGER = 10.0  # seconds
_MOST_LINGERING = 256
_STRAY_ERRORS_PER_SECOND = 10
# A request that is repeated while its transfer gets on is an echo. Where nothing has happened
# for so long, in seconds, the client was reset and means it.
_RESET = 1.0
# For so many seconds a transfer that gets on is stayed with, before anything else is looked at.
_SPELL = 0.02


@dataclass(frozen=True)
class Limits:
    """What a guest may do.

    ``upload_bytes`` for one upload, or less by ``named`` for one of a certain name;
    ``total_upload_bytes`` and ``files`` for all that succeed or are under way; ``transfers``
    at once, held requests included; ``packets_per_second`` for the whole
    server, what exceeds it is dropped; ``give_up`` in seconds without progress; ``window``
    in blocks, ``block`` in bytes: the largest that are agreed to. ``flight`` is how many
    bytes the windows of all downloads may have together: where they have more, those that
    begin get windows of one block.
    """

    upload_bytes: int = 4 << 30
    total_upload_bytes: int = 16 << 30
    files: int = 1000
    named: t.Mapping[str, int] = field(default_factory=dict)
    flight: int = 8 << 20
    transfers: int = 64
    packets_per_second: int = 100_000
    give_up: float = 30.0
    window: int = 32
    block: int = LARGEST_BLOCK


@dataclass(frozen=True)
class Event:
    """Something that happened to a transfer.

    ``request`` comes first, then ``refused``, or any number of ``progress`` and at last
    ``done`` or ``failed``. A request that cannot be read is just ``refused``, without a
    name. An upload that is ``done`` has its place under its name already. ``bytes`` on
    the wire, ``total`` of them if it is known (None otherwise), ``seconds`` since the request, and
    ``error`` in words for ``failed`` and ``refused``.
    """

    kind: t.Literal["request", "progress", "done", "failed", "refused"]
    operation: Operation
    name: str
    peer: Peer
    bytes: int = 0
    total: int | None = None
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class HeldRequest:
    """A request that was not answered yet, as a value: any server can answer it."""

    peer: Peer
    datagram: bytes


class _Rate:
    """A right to do something so many times a second, on the average of some seconds."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = per_second
        self._counted_at = time.monotonic()

    def take(self, now: float) -> bool:
        """Whether it may be done once more."""
        if self._left < 1:
            gained = (now - self._counted_at) * self._per_second
            self._left = min(self._per_second, self._left + gained)
            self._counted_at = now
            if self._left < 1:
                return False
        self._left -= 1
        return True


class _Quota:
    """The bytes, and the number of files, that all uploads of a server may have together."""

    def __init__(self, limits: Limits) -> None:
        self.left = limits.total_upload_bytes
        self.files = limits.files


class _LimitedUpload:
    """An upload that may not outgrow its limit or the server's."""

    def __init__(self, upload: Upload, limit: int, quota: _Quota) -> None:
        self._upload = upload
        self._limit = limit
        self._quota = quota
        self._size = 0
        self._settled = False
        quota.files -= 1

    def write(self, piece: memoryview) -> None:
        size = len(piece)
        self._size += size
        self._quota.left -= size
        if self._size > self._limit:
            raise TftpError(f"the upload exceeds the limit of {self._limit} bytes", FULL)
        if self._quota.left < 0:
            raise TftpError("the uploads together exceed the server's limit", FULL)
        self._upload.write(piece)

    def publish(self) -> None:
        self._upload.publish()
        self._settled = True

    def discard(self) -> None:
        if not self._settled:
            self._settled = True
            self._quota.left += self._size
            self._quota.files += 1
            self._upload.discard()


@dataclass(slots=True)
class _Job:
    """A transfer and what its events say."""

    request: Request
    datagram: bytes
    transfer: Sender | Receiver
    total: int | None
    started: float
    report_at: float
    flight: int


class Server:
    """Serves gets from ``get_root`` and puts into ``put_root``; None refuses all of them.

    ``address`` is an IPv4 address, ``port`` 0 stands for any free one; the attributes of
    these names say what it became. ``bound`` is a socket that has them already, to be used
    and closed. ``peer``, once set (at any time), is the one IP address
    that is listened to. ``on_event`` is told all events. ``hold`` is asked about each new
    request and makes it wait, for :meth:`release`, by returning true.

    To run it, wait until :meth:`fileno` is readable or :meth:`deadline` has come, then call
    :meth:`poll`; or leave that to :meth:`serve`. Raises TftpError where the address cannot
    be had. ``dropped`` counts datagrams of other peers or above the permitted rate.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        get_root: str | None,
        put_root: str | None,
        limits: Limits | None = None,
        on_event: t.Callable[[Event], None] | None = None,
        peer: str | None = None,
        hold: t.Callable[[Event], bool] | None = None,
        bound: socket.socket | None = None,
    ) -> None:
        self.peer = peer
        self.dropped = 0
        self._limits = limits = limits or Limits()
        self._get_root = get_root and os.path.abspath(get_root)
        self._put_root = put_root and os.path.abspath(put_root)
        self._on_event = on_event
        self._hold = hold
        self._jobs: dict[Peer, _Job] = {}
        self._running = 0
        self._flight = 0
        self._lingering: collections.deque[tuple[float, Peer, _Job]] = collections.deque()
        self._held: dict[Peer, HeldRequest] = {}
        self._quota = _Quota(limits)
        self._due = math.inf
        self._packets = _Rate(limits.packets_per_second)
        self._stray_errors = _Rate(_STRAY_ERRORS_PER_SECOND)
        self._buffer = bytearray(LARGEST_BLOCK + 512)
        self._view = memoryview(self._buffer)
        self._wire = UdpSocket(2 * limits.window * limits.block, bound)
        try:
            if bound is None:
                self._wire.bind(address, port)
        except BaseException:
            self._wire.close()
            raise
        self.address: str
        self.port: int
        self.address, self.port = self._wire.raw.getsockname()

    def __enter__(self) -> t.Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        return self._wire.raw.fileno()

    def deadline(self) -> float | None:
        """When poll() must run next (time.monotonic()), None: only when there is input."""
        return None if self._due == math.inf else self._due

    def active(self) -> int:
        """How many transfers are under way; held requests are not."""
        return self._running

    @property
    def held(self) -> tuple[HeldRequest, ...]:
        """Requests that wait for release(), oldest first."""
        return tuple(self._held.values())

    def release(self, held: HeldRequest) -> None:
        """Answer a held request, of this server or of another one, now."""
        own = self._held.pop(held.peer, None)
        if held.peer in self._jobs and self._jobs[held.peer].transfer.state == "running":
            return
        now = time.monotonic()
        try:
            request = parse_request(held.datagram)
        except TftpError as error:
            self._refuse(held.datagram, held.peer, error)
            return
        if own is None:
            self._emit(Event("request", request.operation, request.name, held.peer))
        if not self._closed:
            self._begin(request, held.datagram, held.peer, now)

    def serve(self, timeout: float, until: t.Callable[[], bool] | None = None) -> bool:
        """Run for at most ``timeout`` seconds, or until ``until()`` is true: it then is true.

        ``until`` is asked after each transfer and many times a second, so it should be cheap. What
        is under way when time is up stays so.
        """
        now = time.monotonic()
        end = now + timeout
        poller = select.poll()
        if not self._closed:
            poller.register(self.fileno(), select.POLLIN)
        while True:
            if until is not None and until():
                return True
            if self._closed:
                return False
            if self._running and min(end, self._due) > now + RECEIVE_TIMEOUT:
                now = self._attend(min(end, now + _SPELL))
            else:
                left = min(end, self._due) - now
                # Rounded up: waking a moment too early would mean to spin for that moment.
                poller.poll(max(0, math.ceil(left * 1000)))
                self.poll()
                now = time.monotonic()
            if now >= end:
                return until is not None and until()

    def _attend(self, end: float) -> float:
        """Handle what comes, until ``end`` or a transfer ends, or it pauses; the time afterwards.

        For transfers that wait for one answer after the other: asking first whether there is
        something to receive would cost them a quarter of their speed.
        """
        receive, buffer, running = self._wire.raw.recvfrom_into, self._buffer, self._running
        lone = self._lone_sender()
        while True:
            try:
                size, peer = receive(buffer)
            except OSError:  # RECEIVE_TIMEOUT has passed, or it was closed
                now = time.monotonic()
                end = now
            else:
                now = time.monotonic()
                if (
                    lone is None
                    or size != HEADER.size
                    or peer != lone[1].peer
                    or not self._step(*lone, now)
                ):
                    self._take(size, peer, now)
            if now >= self._due:
                self._handle_due(now)
            if now >= end or self._running != running:
                return now

    def _lone_sender(self) -> tuple[_Job, Sender] | None:
        """The download under way, if there is nothing else."""
        if self._running != 1:
            return None
        (job,) = self._under_way()
        return (job, job.transfer) if isinstance(job.transfer, Sender) else None

    def _step(self, job: _Job, sender: Sender, now: float) -> bool:
        """Answer the ACK in the buffer, if a lone download waits for that; whether it does."""
        opcode, number = HEADER.unpack_from(self._buffer)
        if opcode != ACK or now >= job.report_at or not self._packets.take(now):
            return False
        if not sender.step(number, now):
            return False
        self._due = sender.due
        return True

    def attend(self) -> None:
        """Do as poll() does, and stay with a transfer that gets on, for some 20 ms at most."""
        self.poll()
        now = time.monotonic()
        if self._running and self._due > now + RECEIVE_TIMEOUT:
            self._attend(now + _SPELL)

    def poll(self) -> None:
        """Handle what has come in and what is due. Never blocks, and bounded in its work."""
        now = time.monotonic()
        receive = self._wire.raw.recvfrom_into
        for _datagram in range(_DATAGRAMS_PER_POLL):
            try:
                size, peer = receive(self._buffer, 0, socket.MSG_DONTWAIT)
            except OSError:  # nothing left, or closed by an event's receiver
                break
            if not self._take(size, peer, now := time.monotonic()):
                break
        if now >= self._due:
            self._handle_due(now)

    def _take(self, size: int, peer: Peer, now: float) -> bool:
        """Handle the datagram in the buffer; whether more may have come by now."""
        if not self._packets.take(now) or (self.peer is not None and peer[0] != self.peer):
            self.dropped += 1
            return True
        job = self._jobs.get(peer)
        if job is None or (size >= 2 and self._buffer[1] <= WRQ):
            self._handle_new(self._view[:size], peer, job, now)
        else:
            self._handle(job, self._view[:size], now)
        # Where one transfer waits for one answer there is nothing more to come: ask the kernel
        # no further. If there is after all, the descriptor stays readable.
        return self._running > 1 or (job is not None and job.transfer.midway)

    def close(self) -> None:
        """End what is under way, removing partial uploads; harmless a second time."""
        # One by one, because an event's receiver may call this too.
        while under_way := self._under_way():
            under_way[0].transfer.fail("the server was closed")
            self._ended(under_way[0], time.monotonic())
        self._jobs.clear()
        self._held.clear()
        self._lingering.clear()
        self._due = math.inf
        self._wire.close()

    @property
    def _closed(self) -> bool:
        return self.fileno() < 0

    def _handle(self, job: _Job, packet: memoryview, now: float) -> None:
        transfer = job.transfer
        was_running = transfer.state == "running"
        transfer.receive(packet, now)
        if not was_running:
            return
        if transfer.state != "running":
            self._ended(job, now)
            return
        self._due = min(self._due, transfer.due)
        if now >= job.report_at:
            job.report_at = now + _PROGRESS_EVERY
            self._emit(self._event("progress", job, now))

    def _under_way(self) -> list[_Job]:
        return [job for job in self._jobs.values() if job.transfer.state == "running"]

    def _expire(self, job: _Job, now: float) -> None:
        job.transfer.expire(now)
        if job.transfer.state != "running":
            self._ended(job, now)

    def _handle_due(self, now: float) -> None:
        for job in self._under_way():
            # An event of the one before may have closed the server.
            if job.transfer.due <= now and not self._closed:
                self._expire(job, now)
        self._due = min((job.transfer.due for job in self._under_way()), default=math.inf)

    def _handle_new(self, packet: memoryview, peer: Peer, job: _Job | None, now: float) -> None:
        """A datagram which belongs to no transfer, or a request from a peer that has one."""
        opcode = opcode_of(packet)
        if opcode not in (RRQ, WRQ):
            # An ERROR is never answered, nor are opcodes nobody knows.
            known = opcode in (DATA, ACK, OACK)
            if known and peer not in self._held and self._stray_errors.take(now):
                self._wire.send(build_error(UNKNOWN_TID, "no transfer with this port"), peer)
            return
        datagram = bytes(packet)
        if job is not None and job.transfer.state == "running":
            if datagram == job.datagram and job.transfer.untouched:
                # Repeated, because our answer was lost.
                job.transfer.repeat(now)
                return
            if datagram == job.datagram and job.transfer.quiet(now) < _RESET:
                return
            job.transfer.fail("the peer began a new transfer from the same port", None)
            self._ended(job, now)
        if peer in self._held and self._held[peer].datagram == datagram:
            return
        try:
            request = parse_request(datagram)
        except TftpError as error:
            self._refuse(datagram, peer, error)
            return
        event = Event("request", request.operation, request.name, peer)
        self._emit(event)
        if self._closed:
            return
        if self._full() and peer not in self._held:
            self._refuse(datagram, peer, self._too_many(), request)
        elif self._hold is not None and self._hold(event):
            self._held[peer] = HeldRequest(peer, datagram)
        else:
            self._held.pop(peer, None)
            self._begin(request, datagram, peer, now)

    def _full(self) -> bool:
        return self._running + len(self._held) >= self._limits.transfers

    def _too_many(self) -> TftpError:
        return TftpError(f"{self._limits.transfers} transfers are under way; try again later")

    def _begin(self, request: Request, datagram: bytes, peer: Peer, now: float) -> None:
        try:
            transfer, total, flight = (
                self._open_get(request, peer)
                if request.operation == "get"
                else (*self._open_put(request, peer), 0)
            )
        except TftpError as error:
            self._refuse(datagram, peer, error, request)
            return
        job = _Job(request, datagram, transfer, total, now, now + _PROGRESS_EVERY, flight)
        self._jobs[peer] = job
        self._running += 1
        self._flight += flight
        transfer.start(now)
        if transfer.state != "running":
            self._ended(job, now)
        else:
            self._due = min(self._due, transfer.due)

    def _negotiate(self, request: Request, size: int | None) -> Terms:
        room = self._wire.window_bytes
        if request.operation == "get":
            room = min(room, max(0, self._limits.flight - self._flight))
        return negotiate(
            request,
            size=size,
            largest_block=self._limits.block,
            largest_window=self._limits.window,
            window_bytes=room,
        )

    def _open_get(self, request: Request, peer: Peer) -> tuple[Sender, int | None, int]:
        if self._get_root is None:
            raise TftpError("this server has nothing to download", ACCESS)
        descriptor = open_download(self._get_root, request.name)
        try:
            octet = request.mode == "octet"
            size = os.fstat(descriptor).st_size if octet else None
            terms = self._negotiate(request, size)
            blocks = (Blocks if octet else NetasciiBlocks)(
                descriptor, block=terms.block, window=terms.window, rollover=terms.rollover
            )
        except BaseException:
            os.close(descriptor)
            raise
        opening = build_oack(terms.accepted) if terms.accepted else None
        give_up = self._limits.give_up
        sender = Sender(blocks, terms, self._wire, peer, give_up=give_up, opening=opening)
        return sender, size, terms.block * terms.window

    def _open_put(self, request: Request, peer: Peer) -> tuple[Receiver, int | None]:
        if self._put_root is None:
            raise TftpError("this server takes no uploads", ACCESS)
        terms = self._negotiate(request, None)
        name = "/".join(split_name(request.name))
        limit = min(self._limits.upload_bytes, self._limits.named.get(name, sys.maxsize))
        if self._quota.files < 1:
            raise TftpError(f"{self._limits.files} files have been uploaded: no more", FULL)
        if terms.tsize is not None and terms.tsize > min(limit, self._quota.left):
            raise TftpError(f"an upload of {terms.tsize} bytes exceeds the limit", FULL)
        upload = Upload(self._put_root, request.name, netascii=request.mode == "netascii")
        opening = build_oack(terms.accepted) if terms.accepted else build_ack(0)
        receiver = Receiver(
            _LimitedUpload(upload, limit, self._quota),
            terms,
            self._wire,
            peer,
            give_up=self._limits.give_up,
            opening=opening,
        )
        return receiver, terms.tsize or None

    def _refuse(
        self, datagram: bytes, peer: Peer, error: TftpError, request: Request | None = None
    ) -> None:
        self._wire.send(build_error(error.code, str(error)), peer)
        if request is None:
            operation: Operation = "get" if opcode_of(datagram) == RRQ else "put"
            self._emit(Event("refused", operation, "", peer, error=str(error)))
        else:
            self._emit(Event("refused", request.operation, request.name, peer, error=str(error)))

    def _ended(self, job: _Job, now: float) -> None:
        self._running -= 1
        self._flight -= job.flight
        peer = job.transfer.peer
        self._lingering.append((now + _LINGER, peer, job))
        while self._lingering[0][0] <= now or len(self._lingering) > _MOST_LINGERING:
            _until, old_peer, old = self._lingering.popleft()
            if self._jobs.get(old_peer) is old:
                del self._jobs[old_peer]
        self._emit(self._event("done" if job.transfer.state == "done" else "failed", job, now))

    def _event(self, kind: t.Literal["progress", "done", "failed"], job: _Job, now: float) -> Event:
        return Event(
            kind,
            job.request.operation,
            job.request.name,
            job.transfer.peer,
            job.transfer.bytes,
            job.total,
            now - job.started,
            job.transfer.error,
        )

    def _emit(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)
