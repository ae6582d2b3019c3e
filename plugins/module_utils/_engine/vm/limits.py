# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A machine's share of the host: how much memory, processor time and processes it has at most.

Where systemd runs the host it is a scope of its own. Else it is a control group below our own,
in each hierarchy of the older kind that is mounted writable (cgroup-v1). Where there is neither,
what remains are the limits of the machine's program itself.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..host.locks import Lease
from ..linux.spawn import SpawnError, end_child, spawn
from .protocol import Hardware
from .scope import Scope

# There where systemd runs the host (sd_booted(3)).
_SYSTEMD = "/run/systemd/system"
HIERARCHIES = "/sys/fs/cgroup"
# Of the processor time as much as the others for each CPU that it has (cgroups(7)).
_SHARES = 1024
# Seconds in which the last process of a group is gone.
_GOING = 2.0


class Limits:
    """Limits for one machine, of which `missing` are not to be had on this host.

    `prefix` is what its program is started by to be in them from the beginning.
    """

    def __init__(
        self,
        scope: Scope | None,
        groups: t.Mapping[str, t.Mapping[str, str]],
        missing: t.Sequence[str],
    ) -> None:
        self.missing = missing
        self.prefix = [] if scope is None else scope.command()
        self._scope = scope
        self._groups = groups
        self._asking = 0

    @classmethod
    def make(
        cls,
        lease: Lease,
        hardware: Hardware,
        *,
        overhead: int,
        processes: int,
        quota: bool = True,
    ) -> Limits:
        """Make them, noted in the `lease`.

        The machine's program may have `overhead` KiB beside the machine's memory, and so many
        `processes`, threads among them. Without a `quota` it has its share of the processors'
        time, and more where nobody else wants it.
        """
        name = f"bbot-{lease.id}"
        memory = (hardware.ram + overhead) << 10
        if os.path.isdir(_SYSTEMD):
            scope = Scope(name, memory, processes, hardware.cpu, quota=quota)
            return cls(scope if scope.possible() else None, {}, [])
        cpu = {"cpu.shares": str(_SHARES * hardware.cpu)}
        if quota:
            cpu["cpu.cfs_quota_us"] = str(100_000 * hardware.cpu)
        wanted = {
            "memory": {"memory.limit_in_bytes": str(memory)},
            "pids": {"pids.max": str(processes)},
            "cpu": cpu,
        }
        own = _own_groups()
        groups = {}
        for controller, values in wanted.items():
            place = os.path.join(HIERARCHIES, controller, own.get(controller, ""))
            if controller in own and os.access(place, os.W_OK):
                groups[os.path.join(place, name)] = values
        if groups:
            lease.note(groups=list(groups))
        made = {path: values for path, values in groups.items() if _make(path, values)}
        missing = [each for each in wanted if not any(f"/{each}/" in path for path in made)]
        return cls(None, made, missing)

    def enter(self) -> None:
        """Put this process into them, and those that it starts. Raises OSError."""
        for path in self._groups:
            _write(os.path.join(path, "cgroup.procs"), str(os.getpid()))
        # A guest that takes too much loses its own processes, not the one around it. Where root
        # may not say so it may lose all of them.
        with contextlib.suppress(OSError):
            _write("/proc/self/oom_score_adj", "-900")

    def adopt(self, pid: int) -> None:
        """Have the process `pid` put into them, without waiting for that.

        That it fails is no error: an ordinary user need not have a service manager.
        """
        for path in self._groups:
            with contextlib.suppress(OSError):
                _write(os.path.join(path, "cgroup.procs"), str(pid))
        if self._scope is not None:
            command = self._scope.adoption(pid)
            with contextlib.suppress(OSError, SpawnError), open(os.devnull, "wb") as nothing:
                output = nothing.fileno()
                self._asking = spawn(command[0], command[1:], directory="/", output=output)

    def end(self) -> None:
        """Remove them once their processes are gone."""
        if self._asking:
            end_child(self._asking)
            self._asking = 0
        remove_groups(self._groups)


def remove_groups(paths: t.Iterable[str]) -> None:
    """Remove control groups, and those that were made in them, once their processes are gone."""
    for path in paths:
        until = time.monotonic() + _GOING
        while os.path.isdir(path):
            with contextlib.suppress(OSError):
                for folder, _folders, _files in os.walk(path, topdown=False):
                    os.rmdir(folder)
                break
            if time.monotonic() > until:
                break
            time.sleep(0.01)


def _make(path: str, values: t.Mapping[str, str]) -> bool:
    """Make a control group; whether that could be done, else there is none."""
    try:
        os.mkdir(path)
        for name, value in values.items():
            _write(os.path.join(path, name), value)
    except OSError:
        with contextlib.suppress(OSError):
            os.rmdir(path)
        return False
    return True


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)


def _own_groups() -> dict[str, str]:
    """The control group of this process in each hierarchy of the older kind."""
    found = {}
    with contextlib.suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _number, controllers, path = line.rstrip("\n").split(":", 2)
            for each in controllers.split(","):
                found[each] = path.lstrip("/")
    return found
