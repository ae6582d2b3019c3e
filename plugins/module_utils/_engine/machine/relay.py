# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A socket of the host at which a person talks to a guest, by a stream that is its owner's."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import typing as t

# How much may wait for the slower side, in bytes, before the other one has to wait.
_MOST = 65536


class Relay:
    """Passes bytes between the guest's stream `sock` and whoever connects to the socket `path`.

    One person at a time: others wait, and so does what the guest says while nobody is there.
    `entered` is called when one comes. The socket is its owner's only. Raises OSError if it cannot
    be made.
    """

    def __init__(
        self, path: str, sock: socket.socket, entered: t.Callable[[Relay], None] | None = None
    ) -> None:
        self.path = path
        self._guest: socket.socket | None = sock
        self._entered = entered
        self._client: socket.socket | None = None
        self._to_guest = self._to_client = b""
        self._selector = selectors.DefaultSelector()
        self._door = socket.socket(socket.AF_UNIX)
        try:
            self._door.setblocking(False)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            former = os.umask(0o177)
            try:
                self._door.bind(path)
            finally:
                os.umask(former)
            self._door.listen(1)
        except BaseException:
            self._door.close()
            self._selector.close()
            raise
        sock.setblocking(False)
        self._watch()

    @property
    def busy(self) -> bool:
        """Whether somebody is there."""
        return self._client is not None

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when there is something to do."""
        return self._selector.fileno()

    def say(self, text: str) -> None:
        """Tell who is there `text`."""
        self._to_client += text.encode()
        self._watch()

    def tell_guest(self, data: bytes) -> None:
        """Send the guest `data`."""
        self._to_guest += data
        self._watch()

    def turn(self) -> None:
        """Do what there is to do. Never waits, and raises nothing for what either side does."""
        for key, events in self._selector.select(0):
            if key.fileobj is self._door:
                self._let_in()
            elif self._guest is not None and key.fileobj is self._guest:
                self._turn_guest(self._guest, events)
            elif self._client is not None and key.fileobj is self._client:
                self._turn_client(self._client, events)
        self._watch()

    def _let_in(self) -> None:
        # Only who is gone again is nothing: what goes wrong with the machine is told.
        try:
            self._client, _address = self._door.accept()
        except OSError:
            return
        self._client.setblocking(False)
        self._to_client = b""
        if self._entered is not None:
            self._entered(self)

    def _turn_guest(self, guest: socket.socket, events: int) -> None:
        if events & selectors.EVENT_READ:
            data = _receive(guest)
            if data == b"":
                # It has gone, which its machine's owner sees by other ways.
                self._selector.unregister(guest)
                self._guest = None
                self._see_off()
                return
            self._to_client += data or b""
        if events & selectors.EVENT_WRITE:
            self._to_guest = _send(guest, self._to_guest)

    def _turn_client(self, client: socket.socket, events: int) -> None:
        if events & selectors.EVENT_READ:
            data = _receive(client)
            if data == b"":
                self._leave()
                return
            self._to_guest += data or b""
        if events & selectors.EVENT_WRITE:
            self._to_client = _send(client, self._to_client)

    def _see_off(self) -> None:
        """Let who is there go, with the guest's last words: as many as are taken at once."""
        if self._client is not None:
            last = _receive_all(self._guest) if self._guest is not None else b""
            _send(self._client, self._to_client + last)
        self._leave()

    def _leave(self) -> None:
        if self._client is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._client)
            self._client.close()
            self._client = None
        self._to_client = b""

    def _watch(self) -> None:
        """Listen to whoever has something to say that there is room for."""
        self._want(self._door, selectors.EVENT_READ * (self._client is None))
        if self._guest is not None:
            room = self._client is not None and len(self._to_client) < _MOST
            reads = selectors.EVENT_READ * room
            self._want(self._guest, reads | selectors.EVENT_WRITE * bool(self._to_guest))
        if self._client is not None:
            reads = selectors.EVENT_READ * (len(self._to_guest) < _MOST)
            self._want(self._client, reads | selectors.EVENT_WRITE * bool(self._to_client))

    def _want(self, sock: socket.socket, events: int) -> None:
        known = self._selector.get_map().get(sock)
        if known is None and events:
            self._selector.register(sock, events)
        elif known is not None and not events:
            self._selector.unregister(sock)
        elif known is not None and known.events != events:
            self._selector.modify(sock, events)

    def close(self) -> None:
        """Let nobody in any more, and who is in out. The guest's stream is not ours."""
        self._see_off()
        self._selector.close()
        self._door.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _receive(sock: socket.socket) -> bytes | None:
    """Return what has come, None if nothing has, nothing at the end."""
    try:
        return sock.recv(4096)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _receive_all(sock: socket.socket) -> bytes:
    """Return what has come and was not read yet, as much as may wait for a person."""
    found = b""
    while len(found) < _MOST and (data := _receive(sock)):
        found += data
    return found


def _send(sock: socket.socket, data: bytes) -> bytes:
    """Send what is taken now, and return the rest. What cannot be sent at all is dropped."""
    try:
        return data[sock.send(data, socket.MSG_NOSIGNAL) :]
    except BlockingIOError:
        return data
    except OSError:
        return b""
