# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Room for machines: whoever runs one claims it first, and waits in line where there is none.

It is memory, and what machines may write to disks.

Claims and places in line are in the leases, so they end with their owners.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import sys
import time
import typing as t

from ..errors import Interrupted
from .disk import shortage
from .host import Host, HostError
from .locks import Lease

_MEMINFO = "/proc/meminfo"
_CGROUP, _CGROUPS = "/proc/self/cgroup", "/sys/fs/cgroup"
# What is left to the host, in KiB: so much, or this share if it is more. QEMU itself takes
# some 100 MiB beside what its guest has.
_RESERVE, _SHARE = 512 << 10, 10
OVERHEAD = 100 << 10
_PAUSE = 0.25


class NoRoom(HostError):
    """There is no room for a machine now; the text says of what, and who has it."""


def memory() -> int:
    """Return how much memory machines may have together, in KiB.

    It is that of the host, or less by the limits of the control groups that we are in. Without
    an end where nobody says.
    """
    try:
        total = _total()
    except (OSError, ValueError):
        return sys.maxsize
    return max(0, total - max(_RESERVE, total // _SHARE))


def _total() -> int:
    """How much there is, in KiB. Raises OSError and ValueError."""
    with open(_MEMINFO, encoding="ascii") as file:
        (total,) = (int(line.split()[1]) for line in file if line.startswith("MemTotal:"))
    group = ""
    with contextlib.suppress(OSError), open(_CGROUP, encoding="utf-8") as file:
        # cgroups(7): of version 2 there is one line, without a controller.
        group = next((line[3:].strip() for line in file if line.startswith("0::")), "")
    while group:
        total = min(total, _limit(f"{_CGROUPS}{group}/memory.max"))
        group = os.path.dirname(group) if group != "/" else ""
    return total


def _limit(path: str) -> int:
    """What a control group may have, in KiB; without an end if that is not said."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read()) >> 10
    except (OSError, ValueError):
        return sys.maxsize


class Room:
    """What there was room for when this was made: what living leases claim, and who waits.

    The lease with the id `own` is left out.
    """

    def __init__(self, host: Host, own: str | None = None) -> None:
        records = [record for name, record in host.leases.living().items() if name != own]
        self._claimed = sum(record.get("ram") or 0 for record in records)
        self._machines = sum(bool(record.get("ram")) for record in records)
        self._waiting = [record["line"] for record in records if record.get("line")]
        self._places = {record.get("place") for record in records}
        self._memory = memory()
        self._host = host
        self._writes = sum(record.get("writes") or 0 for record in records)

    def left(self) -> int:
        """How much memory nobody has claimed, in KiB."""
        return max(0, self._memory - self._claimed)

    def free_place(self) -> int:
        """Return the lowest number that no machine has: by it QEMU's user is chosen."""
        return next(each for each in itertools.count() if each not in self._places)

    @functools.cached_property
    def disk_objection(self) -> str:
        """Of which disk there is too little for anything; empty if there is enough."""
        host = self._host
        found = (shortage(each, host.reserve) for each in (host.machines, host.tftp, host.state))
        return next(filter(None, found), "")

    def describe(self) -> dict[str, int]:
        """How much memory is left, in KiB, how many machines run, and how many wait for some."""
        return {
            "left": self.left(),
            "machines": self._machines,
            "waiting": len(self._waiting),
        }

    def objection(self, ram: int, since: float = math.inf, writes: int = 0) -> str:
        """Return why a machine with `ram` KiB could not be run; empty if it could.

        `since` is when whoever wants that began to wait, and `writes` how many KiB the machine may
        write. One that is alone has the memory that it wants: it would wait for ever.
        """
        before = sum(each < since for each in self._waiting)
        if before:
            return f"{before} in line before it"
        ram += OVERHEAD
        if self._machines and self._claimed + ram > self._memory:
            there = f"{self._machines} machine{'s' * (self._machines > 1)}"
            return (
                f"{there} of this host {'have' if self._machines > 1 else 'has'} "
                f"{self._claimed >> 10} MiB of the {self._memory >> 10} MiB for all, and it takes "
                f"{ram >> 10} MiB"
            )
        # One that is alone may write what it wants: it, too, would wait for ever.
        claimed = self._writes + writes if self._machines else 0
        if self.disk_objection or not claimed:
            return self.disk_objection
        return shortage(self._host.machines, self._host.reserve, claimed)


def claim(
    host: Host,
    lease: Lease,
    ram: int,
    patience: float,
    alive: t.Callable[[], bool],
    waiting: t.Callable[[], None] = lambda: None,
    writes: int | None = None,
) -> None:
    """Claim `ram` KiB for the machine of `lease`, which has them until it ends.

    It may write `writes` KiB to its disks, None for no limit: nothing is claimed for that.

    Where there is no room it waits in line for up to `patience` seconds, or until it is not
    wanted any more by `alive`; `waiting` is told once. Raises NoRoom, Interrupted, LockError and
    OSError.
    """
    if lease.record.get("ram"):
        # Of an attempt before.
        return
    since = time.time()
    until = time.monotonic() + patience
    told = ""
    try:
        while True:
            with host.lock("room", "look for room for a machine", 30):
                room = Room(host, lease.id)
                objection = room.objection(ram, since, writes or 0)
                if not objection:
                    facts = {"ram": ram + OVERHEAD, "writes": writes, "place": room.free_place()}
                    lease.note(**facts, line=None, waits=None)
                    return
                if not told:
                    lease.note(line=since)
            if objection != told:
                if not told:
                    waiting()
                told = objection
                lease.tell(waits=objection)
                host.report(f"waiting for room: {objection}")
            if time.monotonic() >= until:
                raise NoRoom(
                    f"no room for the machine within {patience:g} s: {objection}; wait longer "
                    "(lock_timeout), give machines less memory (ram), or end some"
                )
            if not alive():
                raise Interrupted
            time.sleep(_PAUSE)
    except BaseException:
        if told:
            with contextlib.suppress(OSError):
                lease.note(line=None, waits=None)
        raise
