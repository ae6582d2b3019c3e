# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Boot a machine and talk to it over TFTP until the file it owes us has arrived.

Bootstrap and task are two uses of this. Waits, retries and outcomes are bbot's
(its 2017 agent), with three differences: an upload is complete when its file
appears, so nobody waits for a quiet second; a guest that ends on its own is
noticed at once; a machine that failed softly is held for inspection only when
that was asked for, and for a limited time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import socket
import time
import typing as t

from ._accelerator import Accelerator
from ._host import Host
from ._locks import Lease
from ._manifest import sanitize
from ._network import bridge_address
from ._phases import Phases
from ._tftp import Event, Limits, Server
from ._vm import Hardware, Vm

# Bytes of console and of progress that are kept: a guest may write without end.
_CHANNEL_LIMIT = 16 << 20
# How often, in seconds, to look whether we are still wanted.
_ALIVE_INTERVAL = 1.0


class Interrupted(Exception):
    """Nobody wants the outcome any more; everything has been cleared away."""


@dataclasses.dataclass(frozen=True)
class Waits:
    """How long to wait, in seconds, and how often to try again.

    ``startup`` is for the first request, ``total`` for the file, ``shutdown``
    for a clean shutdown; ``retries`` counts the boots after a mis-boot as bbot
    does: a machine is booted up to retries + 2 times.
    """

    startup: float
    total: float
    retries: int = 2
    shutdown: float = 300


@dataclasses.dataclass(frozen=True)
class SoftFailure:
    """A machine that did not do its part.

    ``kind`` is one of `startup timeout`, `timeout`, `terminated abnormally`,
    `ended early`, `shutdown timeout` and `wrong versions`; ``message`` is for people.
    """

    kind: str
    message: str


@dataclasses.dataclass
class Talk:
    """What a conversation is about.

    ``what`` is `bootstrap` or `build`. ``prepare`` makes the machine's directory
    ready for the attempt of the given number and returns its hardware.
    ``awaited`` is the file that ends the talk; ``judge`` looks at it while the
    machine still runs and returns a SoftFailure or None. With ``clean`` the
    guest is asked to shut down, else its plug is pulled. ``alive`` says whether
    the outcome is still wanted. ``park`` suspends a machine that failed softly to
    disk, for inspection; without it ``hold`` is for how many seconds to keep it
    suspended in memory.
    """

    what: str
    prepare: t.Callable[[int], Hardware]
    get_root: str
    put_root: str
    awaited: str
    waits: Waits
    limits: Limits
    logs: str
    judge: t.Callable[[], SoftFailure | None]
    clean: bool
    port: int = 0
    hold: float = 0
    park: t.Callable[[Vm, SoftFailure], None] | None = None
    alive: t.Callable[[], bool] = lambda: True
    progress: t.Callable[[str], None] = lambda _line: None


class _Channel:
    """A byte stream from the machine, kept in a file up to a limit."""

    def __init__(
        self, sock: socket.socket, path: str, line: t.Callable[[str], None] | None
    ) -> None:
        self._sock = sock
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        self._left = _CHANNEL_LIMIT
        self._line = line
        self._partial = b""

    def read(self) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if self._left > 0:
            kept = data[: self._left]
            self._left -= len(kept)
            if self._left == 0:
                kept += f"\n[cut here: {_CHANNEL_LIMIT} bytes are kept]\n".encode()
            # These logs are a courtesy: a full disk must not end a task.
            with contextlib.suppress(OSError):
                self._file.write(kept)
            if self._line is not None:
                *lines, self._partial = (self._partial + kept).split(b"\n")
                self._partial = self._partial[-4096:]
                for line in lines:
                    self._line(sanitize(line))
        return bool(data)

    def close(self) -> None:
        self._file.close()


class _Boot:
    """One machine, booted once, and the loop that serves it."""

    def __init__(self, vm: Vm, server: Server, talk: Talk) -> None:
        self.vm = vm
        self._server = server
        self._talk = talk
        self._selector = selectors.DefaultSelector()
        self._channels: list[_Channel] = []

    def listen(self) -> None:
        """Begin to listen to the started machine."""
        logs = self._talk.logs
        self._selector.register(self._server.fileno(), selectors.EVENT_READ, None)
        self._selector.register(self.vm.fileno(), selectors.EVENT_READ, None)
        for sock, name, line in (
            (self.vm.console, "console.log", None),
            (self.vm.progress, "progress.log", self._talk.progress),
        ):
            channel = _Channel(sock, os.path.join(logs, name), line)
            self._channels.append(channel)
            self._selector.register(sock, selectors.EVENT_READ, channel)

    def serve(self, done: t.Callable[[], bool], timeout: float) -> str:
        """Serve until ``done``, or the machine has ended, or ``timeout`` seconds have passed.

        Returns `done`, `ended` or `timeout`; raises Interrupted.
        """
        deadline = time.monotonic() + timeout
        while not done():
            if not self.vm.running():
                self._drain()
                return "done" if done() else "ended"
            now = time.monotonic()
            if now >= deadline:
                return "timeout"
            if not self._talk.alive():
                raise Interrupted
            wake = [deadline, now + _ALIVE_INTERVAL]
            if (due := self._server.deadline()) is not None:
                wake.append(due)
            for key, _dummy in self._selector.select(max(0.0, min(wake) - now)):
                if isinstance(key.data, _Channel) and not key.data.read():
                    self._selector.unregister(key.fileobj)
            self._server.poll()
        return "done"

    def _drain(self) -> None:
        """Take what the machine left on its way out."""
        self._server.poll()
        for channel in self._channels:
            while self._ready(channel) and channel.read():
                pass

    def _ready(self, channel: _Channel) -> bool:
        return any(key.data is channel for key, _dummy in self._selector.select(0))

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self._selector.close()


def converse(
    host: Host, lease: Lease, accelerator: Accelerator, talk: Talk, phases: Phases
) -> SoftFailure | None:
    """Have the talk; None once the awaited file has arrived, been judged and the machine is down.

    A SoftFailure is an outcome, not an exception. Nothing of the machine is left
    either way but the directory that ``talk.prepare`` made. Raises VmError,
    NetworkError, CommandError, TftpError, HostError, LockError and Interrupted.
    """
    attempt = 0
    while True:
        phases.begin("snapshot" if talk.what == "build" else "prepare")
        hardware = talk.prepare(attempt)
        failure = _attempt(host, lease, accelerator, talk, phases, hardware, attempt)
        if failure is None or failure.kind != "mis-boot":
            phases.end()
            return failure
        host.report(
            f"warning: machine {hardware.name} appears to have mis-booted "
            f"({failure.message}), retrying"
        )
        attempt += 1


def _attempt(
    host: Host,
    lease: Lease,
    accelerator: Accelerator,
    talk: Talk,
    phases: Phases,
    hardware: Hardware,
    attempt: int,
) -> SoftFailure | None:
    """Boot once and talk; a failure of kind `mis-boot` asks for another attempt."""
    requested: list[Event] = []
    awaited = os.path.basename(talk.awaited)
    phases.begin("start")
    address = str(bridge_address(host.bridge).ip)

    def note(event: Event) -> None:
        if event.kind == "request":
            # Nobody but this machine has a business here from now on.
            server.peer = event.peer[0]
            requested.append(event)
        ours = event.operation == "put" and event.name.lstrip("/") == awaited
        if ours and event.kind == "request":
            phases.begin("upload")
        if event.kind in ("failed", "refused"):
            host.report(f"warning: tftp {event.operation} {event.name}: {event.error}")
            if ours:
                phases.begin("work")

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            Server(
                address,
                talk.port,
                get_root=talk.get_root,
                put_root=talk.put_root,
                limits=talk.limits,
                on_event=note,
            )
        )
        vm = Vm(host, lease, hardware, accelerator, talk.logs)
        stack.push(lambda kind, *_: _close(host, vm, failed=kind is not None))
        vm.start(address, server.port)
        boot = _Boot(vm, server, talk)
        stack.callback(boot.close)
        boot.listen()
        failure = _talk(boot, talk, phases, lambda: bool(requested), attempt)
        if failure is not None and failure.kind != "mis-boot":
            _keep(host, boot, talk, phases, failure)
        phases.begin("down")
    return failure


def _talk(
    boot: _Boot, talk: Talk, phases: Phases, requested: t.Callable[[], bool], attempt: int
) -> SoftFailure | None:
    """The talk proper: first request, file, judgement, shutdown."""
    what, waits = talk.what, talk.waits

    def arrived() -> bool:
        # A guest can make it a folder, by sending a file to be in it; that is no delivery.
        return os.path.isfile(talk.awaited)

    phases.begin("first request")
    outcome = boot.serve(requested, waits.startup)
    if outcome != "done":
        reason = (
            f"no request within {waits.startup:g} s"
            if outcome == "timeout"
            else f"it ended with status {boot.vm.exit_status} before its first request"
        )
        if attempt > waits.retries:
            return SoftFailure("startup timeout", f"{what} startup timeout: {reason}")
        return SoftFailure("mis-boot", reason)

    phases.begin("work")
    outcome = boot.serve(arrived, waits.total)
    if outcome == "timeout":
        return SoftFailure("timeout", f"{what} timeout: no result within {waits.total:g} s")
    if outcome == "ended":
        return SoftFailure("ended early", f"{what} machine ended before it sent a result")
    failure = talk.judge()
    if failure is not None:
        return failure

    if talk.clean:
        phases.begin("shutdown")
        boot.vm.power_down()
        if boot.serve(lambda: not boot.vm.running(), waits.shutdown) != "done":
            return SoftFailure(
                "shutdown timeout",
                f"{what} shutdown timeout: still running after {waits.shutdown:g} s",
            )
    return None


def _keep(host: Host, boot: _Boot, talk: Talk, phases: Phases, failure: SoftFailure) -> None:
    """Keep a machine that failed for inspection, if that is wanted."""
    if not boot.vm.running():
        return
    if talk.park is not None:
        phases.begin("suspend")
        talk.park(boot.vm, failure)
    elif talk.hold:
        _hold(host, boot, talk, phases, failure)


def _hold(host: Host, boot: _Boot, talk: Talk, phases: Phases, failure: SoftFailure) -> None:
    """Keep the machine suspended for a person to inspect, for a limited time."""
    vm = boot.vm
    phases.begin("hold")
    host.report(f"error: {failure.message} for machine {vm.hardware.directory}, suspending")
    for line in vm.info():
        host.report(f"info: {line}")
    vm.suspend()
    boot.serve(lambda: not vm.running(), talk.hold)
    host.report("info: resuming after machine suspension")


def _close(host: Host, vm: Vm, *, failed: bool) -> None:
    """Close the machine; what cannot be removed now is left to the lease's end."""
    if failed and vm.running():
        host.report(f"trying to force machine {vm.hardware.directory} down")
    vm.close()
