# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A person's terminal, connected to a shell in a machine."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty
import typing as t

from ..host.host import Host, HostError

_LEAVE = b"\x1d"  # Ctrl-]


def find_shell(host: Host, lease: str | None) -> str:
    """Return the socket of the shell in the machine of this lease, or of the only one.

    Raises HostError, with what there is.
    """
    shells = {
        name: record["shell"]
        for name, record in host.leases.living().items()
        if record.get("shell")
    }
    if lease is None and len(shells) == 1:
        (lease,) = shells
    if lease in shells:
        return t.cast(str, shells[lease])
    known = ", ".join(sorted(shells)) or "none"
    none = "no machine of an interactive task, and none that is held"
    what = none if lease is None and not shells else f"which machine: {lease or '?'}"
    raise HostError(f"{what}; those that can be looked into: {known}")


def talk(path: str) -> None:
    """Pass what is typed to the shell at the socket `path`, and show what it says.

    That ends with the machine, at Ctrl-] on a terminal, and at the end of other input when the
    shell has no more to say. Raises HostError if the shell is not to be had.
    """
    source, target = sys.stdin.fileno(), sys.stdout.fileno()
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError as error:
            raise HostError(f"cannot reach the shell at {path}: {error.strerror}") from error
        with _raw(source):
            _relay(sock, source, target)


@contextlib.contextmanager
def _raw(terminal: int) -> t.Iterator[None]:
    """Have each key pass as it is, if it is a terminal."""
    if not os.isatty(terminal):
        yield
        return
    sys.stderr.write("Ctrl-] leaves the shell as it is.\r\n")
    sys.stderr.flush()
    former = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, former)


def _relay(sock: socket.socket, source: int, target: int) -> None:
    sources: list[t.Any] = [sock, source]
    # A shell that sees the end of its input ends.
    while True:
        for ready in select.select(sources, [], [])[0]:
            if ready is sock:
                data = _receive(sock)
                if not data:
                    return
                os.write(target, data)
                continue
            data = os.read(source, 4096)
            if not data:
                sources.remove(source)
            elif os.isatty(source) and _LEAVE in data:
                return
            else:
                try:
                    sock.sendall(data)
                except ConnectionError:
                    # The machine has gone: its last words are to be read.
                    sources.remove(source)


def _receive(sock: socket.socket) -> bytes:
    """Return what the machine says; nothing once it has gone, whatever it had not read yet."""
    try:
        return sock.recv(4096)
    except ConnectionError:
        return b""
