# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Notice at once when somebody changes the machines or the toolchain (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import struct
import typing as t

from ..host.host import Host
from ..machine.inventory import PROTOCOL, subfolders

_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x40, 0x80, 0x100, 0x200
_IN_Q_OVERFLOW, _IN_IGNORED = 0x4000, 0x8000
_IN_ONLYDIR = 0x01000000
_EVENTS = _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_ONLYDIR
_EVENT = struct.Struct("=iIII")

_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Watches the folders in which machines and toolchains are installed.

    What the agents themselves make there is not noticed: only links to revisions,
    toolchains, and machines or volumes as such. Where there is no inotify, or too
    few watches, fewer changes are noticed before the next round.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._fd = _libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        self._places: dict[int, str] = {}
        self._known: dict[str, int] = {}

    def fileno(self) -> int:
        """A descriptor that becomes readable when something has changed; -1 without inotify."""
        return int(self._fd)

    def refresh(self) -> None:
        """Watch the folders that there are now, new ones, too."""
        wanted = set(self._folders())
        for path in wanted - self._known.keys():
            number = _libc.inotify_add_watch(self._fd, os.fsencode(path), _EVENTS)
            if number >= 0:
                self._places[number] = path
                self._known[path] = number
        for path in self._known.keys() - wanted:
            number = self._known.pop(path)
            # A folder that was renamed keeps its number, under which it is watched now.
            if self._places.get(number, path) == path:
                _libc.inotify_rm_watch(self._fd, number)

    def _folders(self) -> t.Iterator[str]:
        machines = self._host.machines
        yield os.path.join(self._host.tftp, "toolchains")
        yield machines
        for volume in subfolders(machines, links=True):
            yield volume
            yield from subfolders(volume, links=True)

    def changed(self) -> bool:
        """Take what has been noticed; whether it matters."""
        matters = False
        while data := self._read():
            place = 0
            while place < len(data):
                number, mask, _cookie, size = _EVENT.unpack_from(data, place)
                place += _EVENT.size + size
                name = os.fsdecode(data[place - size : place].rstrip(b"\0"))
                folder = self._places.get(number, "")
                if mask & _IN_IGNORED:
                    self._places.pop(number, None)
                    if self._known.get(folder) == number:
                        del self._known[folder]
                matters |= bool(mask & _IN_Q_OVERFLOW) or self._matters(folder, name)
        return matters

    def _matters(self, folder: str, name: str) -> bool:
        machine = os.path.relpath(folder, self._host.machines).split(os.sep)
        if len(machine) == 2 and machine[0] != os.pardir:
            return name == f"{machine[1]}-{PROTOCOL}"
        return bool(name) and not name.startswith(".")

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except OSError:
            return b""
