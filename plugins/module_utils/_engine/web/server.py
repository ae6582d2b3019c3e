# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A small server of HTTP, for those who look: whoever is slow or dead holds up nobody else.

A connection costs no thread. It is for one request, whose head has to arrive in time, and of
whose answer each piece has to be taken in time. What takes the disk or the processor is done by a
few threads, for as many as may be connected.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import signal
import socket
import ssl
import typing as t

from ..errors import EngineError, sentence
from .access import Names, Passwords
from .request import LONGEST_HEAD, Request, RequestError, parse
from .response import (
    SANDBOX,
    Answer,
    Download,
    Response,
    disposition,
    encode_event,
    head,
)

_THREADS = 4
# Bytes that are sent at once; each such piece has to be taken within seconds.
_PIECE = 64 << 10


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What the server gives to those who ask.

    ``connections``, and of these ``watchers`` that are told what changes. Seconds: ``head`` for a
    request, ``piece`` for each part of an answer to be taken, ``tick`` between two looks at what
    has changed, ``alive`` between two signs of life, ``refusal`` after a wrong password.
    """

    connections: int = 512
    watchers: int = 200
    head: float = 10.0
    piece: float = 20.0
    tick: float = 1.0
    alive: float = 15.0
    refusal: float = 1.0


@dataclasses.dataclass(frozen=True)
class Site:
    """What is served: ``answer`` for a request, and ``trouble`` for one that gets none.

    ``trouble`` is given a status of HTTP, a sentence, and the parts of the path that was asked for.
    ``answer`` runs in a thread and raises EngineError or OSError. ``names`` and ``passwords`` say
    who is let in, ``tls`` how what goes over the wire is hidden. ``report`` is told what a person
    has to know.
    """

    answer: t.Callable[[Request], Answer]
    trouble: t.Callable[[int, str, t.Sequence[str]], Response]
    names: Names
    passwords: Passwords | None = None
    tls: ssl.SSLContext | None = None
    report: t.Callable[[str], None] = lambda _line: None


class Server:
    """Serves a ``site`` within ``bounds`` on a socket that listens, until a signal ends it."""

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._pool = concurrent.futures.ThreadPoolExecutor(_THREADS, "web")
        # A password takes a while, by design: who guesses holds up only those who log in.
        self._checking = concurrent.futures.ThreadPoolExecutor(1, "check")
        # Those who watch wait for each other, and nobody who asks for a page waits for them.
        self._watching = concurrent.futures.ThreadPoolExecutor(1, "watch")
        self._watchers = 0
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, sock: socket.socket, ready: t.Callable[[], None]) -> None:
        """Serve; ``ready`` is called when the first may come."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        more: dict[str, t.Any] = {}
        if self._site.tls is not None:
            limits = {"handshake": self._bounds.head, "shutdown": 2.0}
            more = {f"ssl_{name}_timeout": seconds for name, seconds in limits.items()}
        server = await asyncio.start_server(
            self._connected,
            sock=sock,
            ssl=self._site.tls,
            limit=LONGEST_HEAD,
            backlog=self._bounds.connections,
            **more,
        )
        ready()
        await ended.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        # Nobody waits for what a thread still does.
        for pool in (self._pool, self._checking, self._watching):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a connection is a task")
        self._connections.add(task)
        try:
            _prepare(writer)
            await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError, EOFError):
            # It has gone, does not listen, or the server ends.
            writer.transport.abort()
        except Exception as error:
            self._site.report(f"error: a request was not answered: {sentence(error)}")
            writer.transport.abort()
        finally:
            self._connections.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        only_head = False
        path: t.Sequence[str] = ("",)
        try:
            if len(self._connections) > self._bounds.connections:
                raise RequestError(503, "too many look at this page at once: try again")
            request = await self._request(reader)
            only_head, path = request.method == "HEAD", request.path
            await self._admit(request)
            answer = await self._work(lambda: self._site.answer(request))
        except RequestError as error:
            answer = self._refusal(error, path)
        except (EOFError, TimeoutError, ConnectionError):
            # There is nobody to answer.
            raise
        except (EngineError, OSError) as error:
            answer = self._site.trouble(500, sentence(error), path)
        except Exception as error:
            self._site.report(f"error: a page could not be made: {sentence(error)}")
            message = "the page could not be made: see the server's log"
            answer = self._site.trouble(500, message, path)
        await self._send(writer, answer, only_head=only_head)
        async with asyncio.timeout(self._bounds.piece):
            writer.close()
            await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader) -> Request:
        try:
            async with asyncio.timeout(self._bounds.head):
                data = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise RequestError(431, "the request is too long") from None
        return parse(data[:-4])

    async def _admit(self, request: Request) -> None:
        """Let in who may see the page. Raises RequestError."""
        site, host = self._site, request.headers.get("host", "")
        if not site.names.is_known(host):
            raise RequestError(
                421, f"this page is not known as {host[:100]!r}: see bbot-agent web --help, --name"
            )
        if site.passwords is None:
            return
        given = request.headers.get("authorization", "")
        if given:
            if site.passwords.are_known(given):
                return
            loop = asyncio.get_running_loop()
            if await loop.run_in_executor(self._checking, site.passwords.are_right, given):
                return
            await asyncio.sleep(self._bounds.refusal)
        raise RequestError(401, "this page is for those who have a password")

    def _refusal(self, error: RequestError, path: t.Sequence[str] = ("",)) -> Response:
        more = {
            401: {"WWW-Authenticate": 'Basic realm="bbot-agent", charset="UTF-8"'},
            405: {"Allow": "GET, HEAD"},
            503: {"Retry-After": "5"},
        }
        answer = self._site.trouble(error.status, str(error), path)
        return dataclasses.replace(answer, headers=more.get(error.status, {}))

    async def _work(self, work: t.Callable[[], t.Any]) -> t.Any:
        """Have a thread do something."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer, *, only_head: bool) -> None:
        if isinstance(answer, Response):
            size = len(answer.body)
            data = head(answer.status, answer.type, answer.policy, size, answer.headers)
            await self._write(writer, data if only_head else data + answer.body)
        elif isinstance(answer, Download):
            await self._send_file(writer, answer, only_head=only_head)
        else:
            await self._send_events(writer, answer, only_head=only_head)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Send it, piece by piece. Raises TimeoutError if one is not taken in time."""
        for place in range(0, len(data), _PIECE):
            writer.write(data[place : place + _PIECE])
            async with asyncio.timeout(self._bounds.piece):
                await writer.drain()

    async def _send_file(
        self, writer: asyncio.StreamWriter, answer: Download, *, only_head: bool
    ) -> None:
        with answer.file as file:
            named = {"Content-Disposition": disposition(answer.name, attached=answer.attached)}
            await self._write(writer, head(200, answer.type, SANDBOX, answer.size, named))
            left = 0 if only_head else answer.size
            loop = asyncio.get_running_loop()
            while left > 0:
                data = await loop.run_in_executor(self._pool, file.read, min(left, _PIECE))
                if not data:
                    raise EOFError("it was cut while it was sent")
                left -= len(data)
                await self._write(writer, data)

    async def _send_events(
        self, writer: asyncio.StreamWriter, answer: t.Any, *, only_head: bool
    ) -> None:
        if self._watchers >= self._bounds.watchers:
            crowd = self._refusal(RequestError(503, "too many look at this page at once"))
            await self._send(writer, crowd, only_head=only_head)
            return
        self._watchers += 1
        try:
            await self._write(writer, head(200, "text/event-stream", SANDBOX, None))
            if not only_head:
                await self._watch(writer, answer)
        finally:
            self._watchers -= 1

    async def _watch(self, writer: asyncio.StreamWriter, answer: t.Any) -> None:
        silent = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                events = await loop.run_in_executor(self._watching, answer.poll)
            except (EngineError, OSError):
                # What cannot be read now may be read in a moment.
                events = []
            if events is None:
                return
            silent = 0.0 if events else silent + self._bounds.tick
            data = b"".join(map(encode_event, events))
            if silent >= self._bounds.alive:
                data, silent = b": alive\n\n", 0.0
            await self._write(writer, data)
            if writer.is_closing():
                return
            await asyncio.sleep(self._bounds.tick)


def _prepare(writer: asyncio.StreamWriter) -> None:
    """Have as little as possible in memory for one who does not read, and notice who is gone."""
    writer.transport.set_write_buffer_limits(high=_PIECE)
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
