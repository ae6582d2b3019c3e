# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching files, whole or not at all, by one rule for all protocols."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..errors import WorkerError
from ..tftp import TftpError
from .place import free

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, TypeVar

    from ..run import Runner
    from ..tftp import Tftp

    T = TypeVar("T")

TRIES = 4
# Seconds before the second try; twice as many before each one after it.
_PAUSE = 1.0
# A server may ask for a longer pause, up to that.
_PAUSE_MOST = 30.0
# Seconds after the first try in which another one may begin.
_PATIENCE = 300.0

# So few bytes a second, for that many seconds, are a connection that is dead; git is told the same.
_SLOW_BYTES, _SLOW_SECONDS = 100, 60.0
_CHUNK = 1 << 20

pause_for = time.sleep


class Hiccup(Exception):
    """What may go well at the next try; ``pause`` is how long the server asks us to wait."""

    def __init__(self, reason: str, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


class Sink:
    """The file that is fetched into, as large as the disk allows, with its SHA-256 digest."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        import hashlib

        self._file = file
        self._room = room
        self._hash = hashlib.sha256()
        self._look = time.monotonic() + _SLOW_SECONDS
        self._seen = 0
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self._room:
            raise WorkerError(f"it has more than the {self._room >> 20} MB that are free here")
        self._hash.update(data)
        self._check_speed()
        try:
            return self._file.write(data)
        except OSError as error:
            raise WorkerError(f"it cannot be written: {error.strerror}") from None

    def _check_speed(self) -> None:
        """Raise Hiccup if it comes so slowly that it could go on forever."""
        now = time.monotonic()
        if now < self._look:
            return
        if self.size - self._seen < _SLOW_BYTES * (now - self._look + _SLOW_SECONDS):
            raise Hiccup(f"fewer than {_SLOW_BYTES} bytes a second come")
        self._look, self._seen = now + _SLOW_SECONDS, self.size

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def fetch_file(url: str, path: str, tftp: Tftp, runner: Runner) -> str:
    """Fetch what is at *url* (http, https, tftp) as *path*; its SHA-256 digest.

    Raises WorkerError.
    """
    if url.startswith("tftp:"):
        name = url[5:].lstrip("/")
        runner.log.note(f"fetching {name}")
        get = _tftp_getter(tftp, name)
    else:
        from .http import download

        runner.log.note(f"fetching {url}")
        get = _http_getter(download, url)
    return persist(lambda: _once(get, path), f"fetch {url}", runner)


def copy_file(path: str, target: str, runner: Runner) -> str:
    """Copy a file of this machine; its SHA-256 digest. Raises WorkerError."""

    def get(sink: Sink) -> None:
        try:
            with open(path, "rb") as file:
                while data := file.read(_CHUNK):
                    sink.write(data)
        except OSError as error:
            raise WorkerError(str(error.strerror)) from None

    return persist(lambda: _once(get, target), f"read {path}", runner)


def persist(attempt: Callable[[], T], what: str, runner: Runner) -> T:
    """Return what *attempt* returns, after a few tries if it raises Hiccup.

    *what* is an infinitive for the error. Raises WorkerError, as *attempt* may do, too.
    """
    begun = time.monotonic()
    pause = _PAUSE
    with deadline(runner):
        for number in range(1, TRIES + 1):
            try:
                return attempt()
            except Hiccup as hiccup:
                wait = min(max(pause, hiccup.pause), _PAUSE_MOST)
                late = time.monotonic() + wait > begun + _PATIENCE
                if number == TRIES or late:
                    raise WorkerError(
                        f"cannot {what}: {hiccup} (given up after {number} tries)"
                    ) from None
                runner.log.note(f"cannot {what}: {hiccup}: once more in {wait:g} seconds")
                pause_for(wait)
                pause *= 2
            except WorkerError as error:
                if error.status == "abort":
                    raise
                raise WorkerError(f"cannot {what}: {error}") from None
    raise AssertionError("the last try returns or raises")


@contextlib.contextmanager
def deadline(runner: Runner) -> Iterator[None]:
    """Have the operation's time limit end what is done within, whatever that waits for.

    Raises WorkerError from within.
    """
    if runner.until is None:
        yield
        return

    def end(_number: int, _frame: object) -> None:
        raise WorkerError(f"the sources were not there after {runner.bound}", "abort")

    before = signal.signal(signal.SIGALRM, end)
    try:
        # Again each second, should a library have taken it for a trouble of its own.
        signal.setitimer(signal.ITIMER_REAL, max(runner.until - time.monotonic(), 1e-3), 1.0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _once(get: Callable[[Sink], None], path: str) -> str:
    room = free(os.path.dirname(path))[0]
    with open(path, "wb") as file:
        sink = Sink(file, room)
        get(sink)
    return sink.digest


def _http_getter(download: Callable[[str, Sink], None], url: str) -> Callable[[Sink], None]:
    return lambda sink: download(url, sink)


def _tftp_getter(tftp: Tftp, name: str) -> Callable[[Sink], None]:
    def get(sink: Sink) -> None:
        try:
            tftp.get(name, sink)  # type: ignore[arg-type]
        except TftpError as error:
            if error.code is None:  # Nobody answered.
                raise Hiccup(str(error)) from None
            raise

    return get
