# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A scope of systemd's: processes that have a control group of their own, with limits.

See systemd.scope(5) and systemd.resource-control(5).
"""

from __future__ import annotations

import os
import shutil
import time
import typing as t

# All scopes together have as much of the host's processors as any other slice.
_SLICE = "bbot.slice"
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
_METHOD = ("org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))")
# In percent of one processor, or for each of them.
_WHOLE = 100


class Scope:
    """A scope whose name begins with `name`, of the system's service manager.

    For others than root it is of their own one.
    `memory` is in bytes, `processes` counts threads as well, and with `quota` it has the time of
    `cpu` processors at most.
    """

    def __init__(
        self, name: str, memory: int, processes: int, cpu: int, *, quota: bool = True
    ) -> None:
        # What is set, and of which type D-Bus has it.
        self._properties = {
            "Slice": ("s", _SLICE),
            "MemoryMax": ("t", str(memory)),
            "MemorySwapMax": ("t", "0"),
            "TasksMax": ("t", str(processes)),
            "CPUWeight": ("t", str(_WHOLE * cpu)),
        }
        # A former one of a machine that is booted again may not have gone yet.
        self._unit = f"{name}-{time.monotonic_ns()}.scope"
        self._quota = _WHOLE * cpu if quota else None

    @staticmethod
    def possible() -> bool:
        """Whether there are the programs that ask systemd."""
        return shutil.which("systemd-run") is not None and shutil.which("busctl") is not None

    def command(self) -> list[str]:
        """Return what to start a program by so that it is in the scope from the beginning."""
        options = [f"--property={name}={value}" for name, (_type, value) in self._settings()]
        program = shutil.which("systemd-run") or "systemd-run"
        user = [] if os.geteuid() == 0 else ["--user"]
        unit = f"--unit={self._unit}"
        return [program, *user, "--scope", "--quiet", "--collect", unit, *options, "--"]

    def adoption(self, pid: int) -> list[str]:
        """Return the command that has the running process `pid` put into the scope."""
        settings = dict(self._properties)
        settings["CollectMode"] = ("s", "inactive-or-failed")
        words = [self._unit, "fail", str(len(settings) + 1)]
        words += ["PIDs", "au", "1", str(pid)]
        for name, (kind, value) in settings.items():
            words += [name, kind, value]
        bus = ["--system"]
        if os.geteuid() != 0:
            bus = [f"--address=unix:path=/run/user/{os.geteuid()}/bus"]
        program = shutil.which("busctl") or "busctl"
        return [program, *bus, "--quiet", "call", *_MANAGER, *_METHOD, *words, "0"]

    def _settings(self) -> t.Iterator[tuple[str, tuple[str, str]]]:
        yield from self._properties.items()
        if self._quota is not None:
            yield "CPUQuota", ("s", f"{self._quota}%")
