# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Where things are, unless options say otherwise: root's places, or those of a user."""

from __future__ import annotations

import dataclasses
import os
import typing as t


@dataclasses.dataclass(frozen=True)
class Scope:
    """The folders of a build host, and whom QEMU runs as, empty for the caller itself."""

    machines: str
    tftp: str
    state: str
    runtime: str
    logs: str
    user: str


SYSTEM = Scope(
    machines="/build/machines",
    tftp="/build/tftp",
    state="/var/lib/bbot-agent",
    runtime="/run/bbot-agent",
    logs="/var/log/bbot-agent",
    user="bbot",
)


def scope_of(user: int, environment: t.Mapping[str, str], home: str) -> Scope:
    """Return the places of the `user` of that number, whose folder is `home`.

    Anybody's but root's are below the folders of the XDG Base Directory Specification.
    """
    if user == 0:
        return SYSTEM

    def folder(name: str, default: str) -> str:
        # One that is not absolute is to be ignored, says the specification.
        value = environment.get(name, "")
        return value if os.path.isabs(value) else default

    data = os.path.join(folder("XDG_DATA_HOME", os.path.join(home, ".local/share")), "bbot")
    states = folder("XDG_STATE_HOME", os.path.join(home, ".local/state"))
    state = os.path.join(states, "bbot-agent")
    runtimes = folder("XDG_RUNTIME_DIR", f"/run/user/{user}")
    # A host may be without logind.
    runtime = os.path.join(runtimes, "bbot-agent") if os.path.isdir(runtimes) else f"{state}/run"
    return Scope(
        machines=os.path.join(data, "machines"),
        tftp=os.path.join(data, "tftp"),
        state=state,
        runtime=runtime,
        logs=os.path.join(state, "log"),
        user="",
    )


def own_scope() -> Scope:
    """Return the places of the user that this process runs as."""
    return scope_of(os.geteuid(), os.environ, os.path.expanduser("~"))
