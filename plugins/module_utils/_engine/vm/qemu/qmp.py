# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""QEMU's machine protocol (QMP) over a connected socket."""

from __future__ import annotations

import collections
import json
import socket
import time
import typing as t

from ...errors import EngineError

# A monitor that says more than this in one message is not QEMU's.
_MESSAGE_LIMIT = 16 << 20
# A guest can make QEMU send events without end; the last ones are kept.
_MOST_EVENTS = 256


class QmpError(EngineError):
    """QEMU refused a command, answered nonsense, or is gone."""


class Qmp:
    """A QMP session on ``sock``; greets in the constructor, QmpError if that fails.

    ``timeout`` is how many seconds to wait for each answer.
    """

    def __init__(self, sock: socket.socket, timeout: float = 30) -> None:
        self._sock = sock
        self._timeout = timeout
        self._buffer = b""
        self._events: collections.deque[dict[str, t.Any]] = collections.deque(maxlen=_MOST_EVENTS)
        greeting = self._receive(time.monotonic() + timeout)
        if "QMP" not in greeting:
            raise QmpError(f"QEMU's monitor did not greet but said {greeting}")
        version = greeting["QMP"].get("version", {})
        numbers = version.get("qemu", {})
        self.version = ".".join(str(numbers.get(part, 0)) for part in ("major", "minor", "micro"))
        # A distribution's patches count, too.
        self.build = f"{self.version} {version.get('package', '')}".strip()
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: t.Any) -> t.Any:
        """The return value of ``command``; QmpError names the command that failed."""
        return self._exchange(command, arguments, [])

    def hand_over(self, name: str, fd: int) -> None:
        """Give QEMU the descriptor ``fd``, by the ``name`` that a command may refer to."""
        self._exchange("getfd", {"fdname": name}, [fd])

    def _exchange(self, command: str, arguments: dict[str, t.Any], fds: list[int]) -> t.Any:
        message: dict[str, t.Any] = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        deadline = time.monotonic() + self._timeout
        data = json.dumps(message).encode() + b"\n"
        try:
            self._sock.settimeout(self._timeout)
            if fds:
                # Descriptors go with the first byte.
                data = data[socket.send_fds(self._sock, [data], fds) :]
            self._sock.sendall(data)
            while True:
                answer = self._receive(deadline)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise QmpError(f"QEMU refused {command}: {answer['error'].get('desc')}")
                self._events.append(answer)
        except OSError as error:
            raise QmpError(f"QEMU did not answer {command}: {error}") from error

    def events(self) -> list[dict[str, t.Any]]:
        """Return the events that have come in, each once; the oldest of very many are lost."""
        events = list(self._events)
        self._events.clear()
        return events

    def listen(self) -> bool:
        """Take in what QEMU says on its own, without waiting; False if it says no more.

        Raises QmpError if it talks nonsense.
        """
        try:
            self._sock.setblocking(False)
            data = self._sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._buffer += data
        while b"\n" in self._buffer:
            self._events.append(self._receive(0.0))
        if len(self._buffer) > _MESSAGE_LIMIT:
            raise QmpError("QEMU's monitor sent a message without end")
        return bool(data)

    def _receive(self, deadline: float) -> dict[str, t.Any]:
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise QmpError(f"QEMU's monitor did not answer within {self._timeout:g} s")
            self._sock.settimeout(remaining)
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise QmpError(f"QEMU's monitor cannot be read: {error}") from error
            if not data:
                raise QmpError("QEMU closed its monitor: it has ended")
            self._buffer += data
            if len(self._buffer) > _MESSAGE_LIMIT:
                raise QmpError("QEMU's monitor sent a message without end")
        line, _dummy, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise QmpError(f"QEMU's monitor sent no JSON: {line[:80]!r}") from error
        if not isinstance(message, dict):
            raise QmpError(f"QEMU's monitor sent no object: {line[:80]!r}")
        return message
