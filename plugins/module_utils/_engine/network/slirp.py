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
from ..linux.spawn import end_child, spawn
from .bridge import NetworkError

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


class Slirp:
    """A running slirp4netns for the `namespace` of a descriptor, in which it has the tap `tap`.

    It ends at close(), and with us. `title` is what lists of processes show. Raises NetworkError.
    """

    def __init__(self, namespace: int, tap: str, title: str) -> None:
        program = find_slirp()
        with contextlib.ExitStack() as undo:
            said, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            undo.callback(os.close, said)
            # It ends when the other end of this one is closed.
            end, self._alive = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, self._alive)
            ready, told = os.pipe2(os.O_CLOEXEC)
            user = owner_of(namespace)
            theirs = [output, end, told, user]
            words = ["--mtu=1500", "--disable-host-loopback", "--disable-dns"]
            words += ["--enable-seccomp", f"--exit-fd={end}", f"--ready-fd={told}"]
            words += ["--netns-type=path", f"--userns-path=/proc/self/fd/{user}"]
            try:
                self.pid = spawn(
                    program,
                    [*words, f"/proc/self/fd/{namespace}", tap],
                    directory="/",
                    output=output,
                    keep=[end, told, user, namespace],
                    title=title,
                )
            except EngineError as error:
                raise NetworkError(str(error)) from error
            finally:
                for fd in theirs:
                    os.close(fd)
            undo.callback(end_child, self.pid)
            with contextlib.closing(os.fdopen(ready, "rb", buffering=0)) as begun:
                if not select.select([begun], [], [], _PATIENCE)[0] or not begun.read(1):
                    raise NetworkError(f"slirp4netns does not let guests out: {_words(said)}")
            self._said = said
            self._pidfd = os.pidfd_open(self.pid)
            undo.callback(os.close, self._pidfd)
            self._undo = undo.pop_all()

    def check(self) -> None:
        """Raise NetworkError if it has ended, which it never does by itself."""
        if select.select([self._pidfd], [], [], 0)[0]:
            raise NetworkError(
                f"slirp4netns, which lets the guests out, has ended: {_words(self._said)}"
            )

    def close(self) -> None:
        """End it; harmless a second time."""
        self._undo.close()


def _words(said: int) -> str:
    """The last of what it has said, which is to be read without waiting."""
    with contextlib.suppress(BlockingIOError):
        lines = os.read(said, 65536).decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no message")
    return "no message"
