# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the engine knows of the build host it works on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import typing as t

from ..errors import EngineError
from ..linux.process import Runner
from ..network.egress import Egress
from ..network.proxy import Proxy
from ..storage.protocol import Storage
from .locks import Leases, Lock
from .scope import SYSTEM


class HostError(EngineError):
    """The build host lacks something; the text names it and the way out."""


def _silent(_line: str) -> None:
    """Report to nobody."""


@dataclasses.dataclass(frozen=True)
class Host:
    """The build host: its folders, and the ways to act on it.

    ``machines`` and ``tftp`` are laid out as bbot's options of these names say.
    ``state`` holds locks, leases and cached findings; ``runtime`` the sockets of
    running machines. ``bridge`` is where guests are, None for a segment of its own for each.
    ``egress`` is the way out of these, None for nowhere. ``reserve`` is how much of its disks is
    kept free, in KiB. ``user`` is whom QEMU runs as, None or empty for the caller itself.
    ``report`` is told, line by line, what goes on, for people to read.
    """

    run: Runner
    storage: Storage
    machines: str = SYSTEM.machines
    tftp: str = SYSTEM.tftp
    state: str = SYSTEM.state
    runtime: str = SYSTEM.runtime
    bridge: str | None = None
    egress: Egress | Proxy | None = None
    reserve: int = 0
    user: str | None = None
    report: t.Callable[[str], None] = _silent
    leases: Leases = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        leases = Leases(os.path.join(self.state, "leases"), self.report)
        object.__setattr__(self, "leases", leases)

    def account(self, place: int | None = None) -> pwd.struct_passwd:
        """The account QEMU runs as; HostError if there is none of that name.

        At a `place`, counted from 0, it is that of the user with the place's number from 1 on
        behind its name, `bbot-1` for example, where there is such a user in the same group. So a
        guest that has broken out of its QEMU has nothing of the others.
        """
        if not self.user:
            return pwd.getpwuid(os.geteuid())
        try:
            account = pwd.getpwnam(self.user)
        except KeyError as error:
            raise HostError(
                f"no user {self.user} on this host; make it with the role bbot.agent.host "
                "or name another one"
            ) from error
        if os.geteuid() not in (0, account.pw_uid):
            raise HostError(f"cannot run machines as user {self.user}: only root can; use become")
        if place is not None and os.geteuid() == 0:
            with contextlib.suppress(KeyError):
                own = pwd.getpwnam(f"{self.user}-{place + 1}")
                if own.pw_gid == account.pw_gid and own.pw_uid != 0:
                    return own
        return account

    def lock(
        self,
        name: str,
        purpose: str,
        timeout: float = 0,
        alive: t.Callable[[], bool] = lambda: True,
    ) -> Lock:
        """The lock ``name`` of this host; see Lock."""
        path = os.path.join(self._locks, f"{name}.lock")
        return Lock(path, purpose, timeout, alive, self.report)

    @property
    def _locks(self) -> str:
        return os.path.join(self.state, "locks")

    def drop_dead_locks(self) -> None:
        """Remove the files of locks whose holder is dead: nobody has them."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._locks):
                with contextlib.suppress(OSError):
                    Lock(os.path.join(self._locks, name), "remove it").drop_dead()
