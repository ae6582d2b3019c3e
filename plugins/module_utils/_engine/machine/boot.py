# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""One machine, booted or resumed once, and the loop that serves it."""

from __future__ import annotations

import os
import selectors
import time
import typing as t

from ..errors import EngineError, Interrupted
from ..host.guest_lines import cut
from ..host.host import Host
from ..network.attachment import Attachment
from ..tftp.server import Server
from ..vm.protocol import Vm
from .channel import Channel
from .look_in import Door
from .relay import Relay
from .stall import Stall
from .writes import Writes

# How often, in seconds, to look whether we are still wanted, and how the network is.
_ALIVE_INTERVAL = 1.0
# So often is a channel read in the end: more than a socket holds.
_MOST_READS = 32


class CompanionError(EngineError):
    """A machine that ended although another one needs it; `boot` is its."""

    def __init__(self, boot: Boot) -> None:
        name, status = boot.vm.hardware.name, boot.vm.exit_status
        super().__init__(
            f"machine {name}, which the task needs beside its own, ended with status {status}",
            culprit="machine",
        )
        self.boot = boot


class Boot:
    """Serves `vm`, in its `network`, its files by `server` and listens to it.

    `progress` is told the lines of its progress port; `alive` says whether the outcome is
    still wanted.
    """

    def __init__(
        self,
        host: Host,
        vm: Vm,
        network: Attachment,
        server: Server,
        progress: t.Callable[[str], None],
        alive: t.Callable[[], bool],
    ) -> None:
        self.vm = vm
        self._network = network
        self._dnsmasq = network.dnsmasq
        self._checked = 0.0
        self._server = server
        self._progress = progress
        self._alive = alive
        self._stall = Stall(host, vm)
        self._selector = selectors.DefaultSelector()
        self._channels: list[Channel] = []
        self._companions: t.Sequence[Boot] = ()
        self._writes = Writes(None, ())

    def accompany(self, companions: t.Sequence[Boot]) -> None:
        """Serve the `companions`, too, whenever this machine is served, from now on."""
        for each in self._companions:
            self._selector.unregister(each._selector)
        for each in companions:
            self._selector.register(each._selector, selectors.EVENT_READ, each)
        self._companions = companions

    def limit(self, writes: int | None) -> None:
        """Let this machine and its companions write so many KiB to their disks, None for any."""
        self._writes = Writes(writes, [each.vm for each in (self, *self._companions)])

    def watch(self, way_in: Door | Relay) -> None:
        """Let people in by the `way_in` from now on."""
        self._selector.register(way_in.fileno(), selectors.EVENT_READ, way_in)

    def listen(self, logs: str) -> None:
        """Begin to listen to the started machine; what it says goes to the folder `logs`."""
        sources: list[t.Any] = [self._server, self.vm]
        if self.vm.monitor is not None:
            sources.append(self.vm.monitor)
        if self._dnsmasq is not None:
            sources.append(self._dnsmasq)
        for source in sources:
            self._selector.register(source.fileno(), selectors.EVENT_READ, source)
        for sock, name, line in (
            (self.vm.console, "console.log", None),
            (self.vm.progress, "progress.log", self._progress),
        ):
            channel = Channel(sock, os.path.join(logs, name), line)
            self._channels.append(channel)
            self._selector.register(sock, selectors.EVENT_READ, channel)

    def serve(self, done: t.Callable[[], bool], timeout: float) -> str:
        """Serve until `done`, or the machine has ended, or `timeout` seconds have passed.

        The time in which the machine stands still for lack of disk does not count. Returns
        `done`, `ended`, `timeout`, or `writes` where more is written than limit() allows; what the
        machines have said until then has been heard. Raises Interrupted, VmError as Stall.look()
        and Writes.too_many() do, NetworkError if the guest's network has failed, and
        CompanionError.
        """
        outcome = self._serve(done, timeout)
        for each in (self, *self._companions):
            each._hear()
        return outcome

    def _serve(self, done: t.Callable[[], bool], timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while not done():
            if not self.vm.running():
                # What it left on its way out.
                self._server.poll()
                return "done" if done() else "ended"
            now = time.monotonic()
            deadline += self._stall.look(now)
            if now >= deadline:
                return "timeout"
            if self._writes.too_many(now):
                return "writes"
            if not self._alive():
                raise Interrupted
            if now >= self._checked + _ALIVE_INTERVAL:
                # A guest without its network would be blamed for its silence.
                self._checked = now
                self._network.check()
                for each in (self, *self._companions):
                    each.vm.tend(now)
            wake = [deadline, now + _ALIVE_INTERVAL]
            for each in (self, *self._companions):
                if (due := each._server.deadline()) is not None:
                    wake.append(due)
            self._turn(max(0.0, min(wake) - now))
            for each in self._companions:
                each._turn(0)
                each._stall.look(now)
                if not each.vm.running():
                    raise CompanionError(each)
        return "done"

    def _turn(self, timeout: float) -> None:
        """Take what comes within `timeout` seconds, and serve."""
        for key, _dummy in self._selector.select(timeout):
            self._take(key)
        self._server.attend()

    def _take(self, key: selectors.SelectorKey) -> None:
        if isinstance(key.data, Boot):
            # It has its turn after ours.
            return
        if isinstance(key.data, (Door, Relay)):
            key.data.turn()
            return
        if isinstance(key.data, Channel):
            more = key.data.read()
        elif self.vm.monitor is not None and key.data is self.vm.monitor:
            more = self.vm.listen()
        else:
            if key.data is self._dnsmasq:
                self._dnsmasq.check()
            return
        if not more:
            self._selector.unregister(key.fileobj)

    def last_words(self) -> str:
        """The last line of the machine's console, cut; empty if there is none."""
        return cut(self._channels[0].last, 200) if self._channels else ""

    def _hear(self) -> None:
        """Take what the machine has said already, which may say more and more."""
        for channel in self._channels:
            for _dummy in range(_MOST_READS):
                if not self._ready(channel) or not channel.read():
                    break

    def _ready(self, channel: Channel) -> bool:
        return any(key.data is channel for key, _dummy in self._selector.select(0))

    def close(self) -> None:
        """Let go of the logs."""
        for channel in self._channels:
            channel.close()
        self._selector.close()
