# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build host of an ordinary user's: all of it in the user's folders, as far as anybody can see.

The agent is installed as the role of this name does it, and finds its places by itself.
"""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.scope import scope_of
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import is_btrfs

from .build_host import RAM, BuildHost
from .namespaces import namespaces_of
from .ordinary_user import User
from .plays import ROOT
from .site import Site

# Where a user may leave something outside of the home.
_SHARED = ("/tmp", "/var/tmp", "/run", "/dev/shm")


class UsersHost(BuildHost):
    """A build host of ``user``'s, whose machines are in the home, or in the folder ``place``."""

    def __init__(self, site: Site, user: User, place: Path | None = None) -> None:
        self.user = user
        user.environment.pop("XDG_DATA_HOME", None)
        if place is not None:
            user.environment["XDG_DATA_HOME"] = str(place)
        scope = scope_of(user.uid, user.environment, str(user.home))
        super().__init__(site, "auto", scope=scope)
        self._shared = user.files(*_SHARED)
        local = user.home / ".local"
        source = ROOT / "plugins" / "module_utils" / "_engine"
        shutil.copytree(
            source,
            local / "lib" / "bbot-agent" / "engine" / "bbot_agent",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        self._command = local / "bin" / "bbot-agent"
        self._command.parent.mkdir(parents=True)
        shutil.copy(ROOT / "roles" / "agent" / "files" / "bbot-agent", self._command)

    def hand_over(self) -> None:
        """Give the user what was made here."""
        # Nobody's owner is changed in a subvolume that is read-only.
        frozen = [
            str(path)
            for path in self.volume.glob("*/*")
            if is_btrfs(str(path)) and not path.is_symlink()
        ]
        for path in frozen:
            self.storage.set_read_only(path, False)
        for place in (self.user.home, self.machines.parent):
            self.user.own(place)
        for path in frozen:
            self.storage.set_read_only(path, True)

    def program(self) -> list[str]:
        """The command, to be run by the user, whom neither sudo nor a setuid program helps."""
        run = ["/usr/bin/python3", str(self._command)]
        return [*self.user.become(privileges=False), "env", "-C", str(self.user.home), *run]

    def options(self) -> dict[str, t.Any]:
        # Let out, so that there is all that can be; nobody is asked for names.
        return {"accelerator": "tcg", "ram": RAM, "egress": "nat", "resolver": "203.0.113.2"}

    def loops(self) -> list[str]:
        # Only root can make them; the folder is called like those of others.
        return []

    def survivors(self) -> list[str]:
        return [*self.user.processes(), *namespaces_of(self.user.uid)]

    def leftovers(self) -> list[str]:
        agent = str(self._command)
        found = [f"process {line}" for line in self.user.processes() if agent not in line]
        found += [f"namespace {each}" for each in namespaces_of(self.user.uid)]
        shared = self.user.files(*_SHARED) - self._shared - {str(self.runtime)}
        return super().leftovers() + found + sorted(shared)

    def close(self) -> None:
        """Remove all that is of this host."""
        for path in (self.user.home / ".local", self.machines.parent, self.runtime):
            shutil.rmtree(path, ignore_errors=True)
