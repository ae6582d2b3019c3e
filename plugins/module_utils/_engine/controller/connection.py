# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""The connections to controllers: to the address that answers first, and with one deadline."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import select
import socket
import ssl
import threading
import time
import typing as t

# Seconds until the next address is tried beside those that have not answered (RFC 8305), and
# how many are tried at all.
_NEXT_ADDRESS = 0.25
_MOST_ADDRESSES = 12
# Between two pieces of this many bytes it is looked whether there is an answer already.
_PIECE = 65536


class Deadline:
    """Ends an exchange after `seconds`, whatever it waits for; to be used in a with statement.

    `expired` says whether that happened.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def watch(self, sock: socket.socket) -> None:
        """Shut the connection of `sock` down, too, when the time is over. Raises OSError."""
        # A descriptor of our own: the other one may be closed, and its number be another's.
        with self._lock:
            self._sockets.append(sock.dup())
            if self.expired:
                self._shut_down()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Return a connection to the address of `host` that answers first, within `timeout` seconds.

    The addresses are tried side by side, a new one every quarter of a second or when one has
    failed. Raises OSError: the first address's reason, or that the time is over.
    """
    deadline = time.monotonic() + timeout
    waiting = _alternating(_resolve(host, port, timeout))[:_MOST_ADDRESSES]
    trying: dict[int, socket.socket] = {}
    poller = select.poll()
    failure: OSError | None = None
    begin_next = 0.0
    try:
        while waiting or trying:
            now = time.monotonic()
            if now >= deadline:
                raise failure or TimeoutError("timed out")
            if waiting and (now >= begin_next or not trying):
                family, address = waiting.pop(0)
                begin_next = now + _NEXT_ADDRESS
                try:
                    sock = _begin(family, address)
                except OSError as error:
                    failure = failure or error
                    continue
                trying[sock.fileno()] = sock
                poller.register(sock, select.POLLOUT)
            until = min(deadline, begin_next) if waiting else deadline
            for number, _event in poller.poll(max(0, math.ceil((until - now) * 1000))):
                poller.unregister(number)
                sock = trying.pop(number)
                reason = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not reason:
                    return sock
                sock.close()
                failure = failure or _os_error(reason)
                begin_next = 0.0
        raise failure or OSError(f"{host} has no address")
    finally:
        for each in trying.values():
            each.close()


def _resolve(host: str, port: int, timeout: float) -> list[t.Any]:
    """Return what getaddrinfo() does, which may take longer than anybody waits."""
    outcome: list[t.Any] = []

    def resolve() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcome:
        raise TimeoutError(f"the name {host} was not resolved in time")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    if isinstance(outcome[0], UnicodeError):
        raise OSError(f"{host!r} is no name of a host")
    found: list[t.Any] = outcome[0]
    return found


def _alternating(found: t.Iterable[t.Any]) -> list[tuple[int, t.Any]]:
    """Return families and addresses, one family after the other, in the resolver's order."""
    families: dict[int, list[tuple[int, t.Any]]] = {}
    for family, _kind, _protocol, _name, address in found:
        families.setdefault(family, []).append((family, address))
    rounds = itertools.zip_longest(*families.values())
    return [each for turn in rounds for each in turn if each is not None]


def _begin(family: int, address: t.Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class _Line:
    """What our connections do in another way than urllib3's: connect, and send."""

    host: str
    port: int
    timeout: t.Any
    sock: t.Any
    _dns_host: str

    def __init__(self, deadline: Deadline, *args: t.Any, **more: t.Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **more)

    def _new_conn(self) -> socket.socket:
        from urllib3.exceptions import NewConnectionError

        timeout = self.timeout if isinstance(self.timeout, int | float) else math.inf
        try:
            sock = connect(self._dns_host, self.port, min(timeout, threading.TIMEOUT_MAX))
        except OSError as error:
            raise NewConnectionError(t.cast(t.Any, self), str(error)) from error
        sock.settimeout(timeout if math.isfinite(timeout) else None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline.watch(sock)
        return sock

    def send(self, data: t.Any) -> None:
        """Send `data`, but for what nobody reads any more.

        A controller, or a proxy before it, may answer and hang up before it has read a request
        that is too long for it. Raises BrokenPipeError then, at which urllib3 reads the answer.
        """
        pieces = memoryview(data) if isinstance(data, bytes) else None
        places = range(0, len(pieces), _PIECE) if pieces is not None else (0,)
        for place in places:
            if place and self._answered():
                raise BrokenPipeError("there is an answer already")
            piece = data if pieces is None else pieces[place : place + _PIECE]
            try:
                super().send(piece)  # type: ignore[misc]
            except (ConnectionResetError, ssl.SSLEOFError) as error:
                raise BrokenPipeError(str(error)) from error

    def _answered(self) -> bool:
        # What arrives by TLS may be its own business, such as a ticket.
        if self.sock is None or isinstance(self.sock, ssl.SSLSocket):
            return False
        return bool(select.select([self.sock], [], [], 0)[0])


def pools(deadline: Deadline) -> dict[str, t.Callable[..., t.Any]]:
    """Return what makes urllib3's pools by scheme, of connections that keep to `deadline`."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    from .answer import WholeAnswer

    class Plain(_Line, HTTPConnection):
        """A connection without encryption."""

        response_class = WholeAnswer

    class Safe(_Line, HTTPSConnection):
        """A connection by TLS."""

        response_class = WholeAnswer

    def make(kind: t.Any, line: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        pool = kind(*args, **more)
        pool.ConnectionCls = functools.partial(line, deadline)
        return pool

    return {
        "http": functools.partial(make, urllib3.HTTPConnectionPool, Plain),
        "https": functools.partial(make, urllib3.HTTPSConnectionPool, Safe),
    }
