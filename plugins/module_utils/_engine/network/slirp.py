# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The way out of a segment for who is not root: slirp4netns, a process that is the guests' router.

It opens a connection of its own for each of theirs, as any program of the user does, so that the
host need not forward anything. Source: slirp4netns(1) of version 1.2.0.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select

from ..errors import EngineError
from ..linux.netns import owner_of
from ..linux.process import find_program
from .bridge import NetworkError
from .helper import Helper

# Its network, of which it has the second address, as it is by default; and the host's addresses.
NETWORK = ipaddress.IPv4Interface("10.0.2.100/24")
ROUTER = ipaddress.IPv4Address("10.0.2.2")
_ADDRESSES = "/proc/thread-self/net/fib_trie"
# Seconds for what takes some milliseconds.
_PATIENCE = 20.0


def find_slirp() -> str:
    """Return the path of the program. Raises NetworkError."""
    try:
        return find_program("slirp4netns", "slirp4netns")
    except EngineError as error:
        raise NetworkError(f"guests cannot be let out by who is not root: {error}") from error


def own_addresses() -> list[str]:
    """Return the host's own addresses, of which some may be public. Raises OSError.

    What slirp4netns connects to there would take it for a program of the host's.
    """
    found, address = [], ""
    with open(_ADDRESSES, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["|--"]:
                address = words[1]
            elif words[:3] == ["/32", "host", "LOCAL"] and address not in found:
                found.append(address)
    return found


class Slirp(Helper):
    """A running slirp4netns for the `namespace` of a descriptor, in which it has the tap `tap`.

    `title` is what lists of processes show. Raises NetworkError, and OSError.
    """

    def __init__(self, namespace: int, tap: str, title: str) -> None:
        program = find_slirp()
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as given:
            # It ends when the other end of this one is closed.
            end, alive = os.pipe2(os.O_CLOEXEC)
            given.callback(os.close, end)
            undo.callback(os.close, alive)
            ready, told = os.pipe2(os.O_CLOEXEC)
            given.callback(os.close, told)
            begun = undo.enter_context(os.fdopen(ready, "rb", buffering=0))
            user = owner_of(namespace)
            given.callback(os.close, user)
            words = ["--mtu=1500", "--disable-host-loopback", "--disable-dns"]
            words += ["--enable-seccomp", f"--exit-fd={end}", f"--ready-fd={told}"]
            words += ["--netns-type=path", f"--userns-path=/proc/self/fd/{user}"]
            super().__init__(
                "slirp4netns, which lets the guests out,",
                program,
                [*words, f"/proc/self/fd/{namespace}", tap],
                title,
                keep=[end, told, user, namespace],
            )
            undo.callback(super().close)
            # Else nobody would be told of its end.
            given.close()
            if not select.select([begun], [], [], _PATIENCE)[0] or not begun.read(1):
                words = self.lines() or ["no message"]
                raise NetworkError(f"slirp4netns does not let guests out: {words[-1]}")
            self._all = undo.pop_all()

    def lines(self) -> list[str]:
        """The last line of what it has said: it is talkative."""
        return super().lines()[-1:]

    def close(self) -> None:
        """End it; harmless a second time."""
        self._all.close()
