# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Interactive builds, one at a time: what controllers are told, and how people look in."""

from __future__ import annotations

import socket
import typing as t

from ..host.host import Host, HostError
from ..host.locks import Lock
from ..machine.look_in import LONGEST_PASSWORD, LookIn
from .settings import Settings

Mode = t.Literal["false", "true", "both"]


def mode_now(host: Host, settings: Settings) -> Mode:
    """Return what kind of builds can be asked for: none that are interactive while one is there."""
    mode = t.cast(Mode, settings.interactive)
    return "false" if mode != "false" and lock(host, "look at it").held() else mode


def lock(host: Host, purpose: str) -> Lock:
    """The right to perform an interactive build: the way in is one, and its place is known."""
    return host.lock("interactive", purpose)


def login(settings: Settings) -> str:
    """Return what people are told of the way in."""
    if settings.interactive_login is not None:
        return settings.interactive_login
    host = socket.gethostname()
    return host if settings.interactive_vnc is None else f"{host}:{settings.interactive_vnc[1]}"


def look_in(settings: Settings) -> LookIn:
    """Return the way in. Raises HostError if there is no usable password for it."""
    if settings.interactive_vnc is None:
        return LookIn()
    place = settings.interactive_password
    if place is None:
        raise HostError("interactive-vnc: name a file with a password, too: interactive-password")
    try:
        with open(place, encoding="utf-8") as file:
            password = file.read().strip()
    except (OSError, UnicodeError) as error:
        raise HostError(f"interactive-password: cannot read {place}: {error}") from error
    if not (password.isascii() and 0 < len(password) <= LONGEST_PASSWORD):
        raise HostError(
            f"interactive-password: VNC knows passwords of 1 to {LONGEST_PASSWORD} ASCII "
            f"characters, that in {place} is none"
        )
    return LookIn(*settings.interactive_vnc, password)
