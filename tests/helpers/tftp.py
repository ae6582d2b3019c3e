# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TFTP server in a thread, and a bad network to put before it."""

from __future__ import annotations

import abc
import random
import select
import socket
import threading
import time
import types
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Event, Server

from .waiting import until


class _Thread(abc.ABC):
    """Runs ``_step`` again and again until the with block ends."""

    def __enter__(self) -> t.Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._step()

    @abc.abstractmethod
    def _step(self) -> None:
        """Handle what is there, and soon return."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Let go of the sockets."""


class RunningServer(_Thread):
    """Serves ``directory``/get and ``directory``/put; ``events`` has all but progress."""

    def __init__(self, directory: Path, **options: t.Any) -> None:
        self.get_root = directory / "get"
        self.put_root = directory / "put"
        self.get_root.mkdir(exist_ok=True)
        self.put_root.mkdir(exist_ok=True)
        self.events: list[Event] = []
        self._steps = 0
        self.server = Server(
            "127.0.0.1",
            0,
            get_root=str(self.get_root),
            put_root=str(self.put_root),
            on_event=self._note,
            **options,
        )
        self.port = self.server.port

    def _note(self, event: Event) -> None:
        if event.kind != "progress":
            self.events.append(event)

    def _step(self) -> None:
        self.server.serve(0.05, until=self._stop.is_set)
        self._steps += 1

    def _close(self) -> None:
        self.server.close()

    def uploads(self) -> list[str]:
        """What the put root holds, hidden files included."""
        return sorted(str(path.relative_to(self.put_root)) for path in self.put_root.rglob("*"))

    def settled(self) -> list[Event]:
        """The events of all that was sent until now: a client may know the end before they do."""
        # One step that has begun since then, and so ended after the one that is under way.
        last = self._steps + 2
        until(lambda: self._steps >= last, "the server has done what there was")
        return self.events

    def wait_for(self, kind: str, seconds: float = 5.0) -> Event:
        """The first event of this kind, as soon as it is there."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in self.events:
                if event.kind == kind:
                    return event
            time.sleep(0.005)
        raise AssertionError(f"no event {kind!r} within {seconds} s, only {self.events}")


class BadNetwork(_Thread):
    """A UDP relay before a port of this host that loses, repeats and reorders datagrams.

    Both ways alike, with the given probabilities, always the same ones for a ``seed`` and a
    sequence of datagrams. A reordered datagram is overtaken by its successor, or comes
    after 10 ms.
    """

    def __init__(
        self, port: int, *, seed: int, loss: float = 0, repeat: float = 0, reorder: float = 0
    ) -> None:
        self._target = ("127.0.0.1", port)
        self._dice = random.Random(seed)
        self._loss, self._repeat, self._reorder = loss, repeat, reorder
        self._front = self._socket()
        self.port: int = self._front.getsockname()[1]
        self._backs: dict[tuple[str, int], socket.socket] = {}
        self._peers: dict[socket.socket, tuple[str, int]] = {}
        self._late: list[tuple[socket.socket, bytes, tuple[str, int]]] = []
        self.lost = self.repeated = self.reordered = 0

    @staticmethod
    def _socket() -> socket.socket:
        new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        new.bind(("127.0.0.1", 0))
        new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        return new

    def _step(self) -> None:
        sockets = [self._front, *self._peers]
        ready = select.select(sockets, [], [], 0.01 if self._late else 0.05)[0]
        if not ready:
            self._flush()
        for source in ready:
            datagram, sender = source.recvfrom(70000)
            if source is self._front:
                if sender not in self._backs:
                    self._backs[sender] = back = self._socket()
                    self._peers[back] = sender
                self._pass_on(self._backs[sender], datagram, self._target)
            else:
                self._pass_on(self._front, datagram, self._peers[source])

    def _flush(self) -> None:
        late, self._late = self._late, []
        for way, datagram, target in late:
            way.sendto(datagram, target)

    def _pass_on(self, way: socket.socket, datagram: bytes, target: tuple[str, int]) -> None:
        dice = self._dice.random()
        if dice < self._loss:
            self.lost += 1
            return
        if dice < self._loss + self._reorder:
            self.reordered += 1
            self._late.append((way, datagram, target))
            return
        way.sendto(datagram, target)
        if self._dice.random() < self._repeat:
            self.repeated += 1
            way.sendto(datagram, target)
        self._flush()

    def _close(self) -> None:
        for used in (self._front, *self._peers):
            used.close()
