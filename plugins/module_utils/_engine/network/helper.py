# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Programs of others that serve a guest's network for as long as it is there."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import typing as t

from ..errors import EngineError
from ..linux.spawn import end_child, spawn
from .bridge import NetworkError

# Whom they run as, where root starts them: the first of these that there is.
_USERS = ("dnsmasq", "nobody")
# Bytes of what one has said that are read.
_SAID = 65536


def account() -> pwd.struct_passwd:
    """Return whom a helper is to be: who is not root cannot have it be another."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NetworkError(
        "the helpers of guests have nobody to run as: this host has no user "
        f"{' or '.join(_USERS)}; add one"
    )


class Helper:
    """A running program, from its making to close(); it dies with us.

    `what` stands for it in errors, and `title` is what lists of processes show. `options` are
    further ones of spawn(). Raises NetworkError if it cannot be started.
    """

    def __init__(
        self, what: str, program: str, arguments: t.Sequence[str], title: str, **options: t.Any
    ) -> None:
        self._what = what
        self._said, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._said)
            try:
                self.pid = spawn(
                    program, arguments, directory="/", output=output, title=title, **options
                )
            except EngineError as error:
                raise NetworkError(str(error)) from error
            finally:
                os.close(output)
            undo.callback(end_child, self.pid)
            self._pidfd = os.pidfd_open(self.pid)
            undo.callback(os.close, self._pidfd)
            self._undo = undo.pop_all()

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when it has ended."""
        return self._pidfd

    def lines(self) -> list[str]:
        """What it has said since this was asked last, without blank lines; never waits."""
        with contextlib.suppress(BlockingIOError):
            text = os.read(self._said, _SAID).decode(errors="replace")
            return [line.strip() for line in text.splitlines() if line.strip()]
        return []

    def check(self) -> None:
        """Raise NetworkError if it has ended, which it never does by itself."""
        if select.select([self._pidfd], [], [], 0)[0]:
            raise NetworkError(f"{self._what} has ended: {' '.join(self.lines()) or 'no message'}")

    def close(self) -> None:
        """End it; harmless a second time."""
        self._undo.close()
