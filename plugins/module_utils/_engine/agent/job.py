# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Work in a process of its own, so that the agent's loop never waits for it.

A forked child runs a function and leaves what that returns in a file in memory. It
dies with its parent, at once: what it leaves behind is named in leases.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
import typing as t

from ..errors import EngineError

_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class JobError(EngineError):
    """A job that ended without a result; the text says how."""


class Wanted:
    """Whether the outcome of a job is still wanted: not any more after SIGTERM."""

    def __init__(self) -> None:
        self._wanted = True

    def __call__(self) -> bool:
        return self._wanted

    def refuse(self, *_: object) -> None:
        """Want it no more; a handler of signals."""
        self._wanted = False


class Job:
    """A running function ``work``, which is told by what it is given whether to go on.

    What it returns must be plain data. ``timeout`` is after how many seconds it is killed.
    """

    def __init__(
        self,
        name: str,
        work: t.Callable[[Wanted], t.Any],
        *,
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self._memory = os.memfd_create(name, os.MFD_CLOEXEC)
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(parent, work)
        self._pidfd = os.pidfd_open(self.pid)
        self._status: int | None = None

    def _child(self, parent: int, work: t.Callable[[Wanted], t.Any]) -> t.NoReturn:
        status = 1
        try:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            # Of a group of its own: Ctrl-C is for the parent, which tells us.
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            wanted = Wanted()
            signal.signal(signal.SIGTERM, wanted.refuse)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)
            if os.getppid() == parent:
                with os.fdopen(os.dup(self._memory), "w", encoding="utf-8") as file:
                    json.dump(work(wanted), file)
                status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(status)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the job has ended."""
        return self._pidfd

    def ended(self) -> bool:
        """Whether the job has ended; kills one whose time is over."""
        if self._status is None:
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self.kill()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def result(self) -> t.Any:
        """What the ended job returned. Raises JobError. To be called once."""
        with open(self._memory, encoding="utf-8") as file:
            file.seek(0)
            text = file.read()
        os.close(self._pidfd)
        status = self._status or 0
        if status == 0:
            return json.loads(text)
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise JobError(f"{self.name} ended with {how}")

    def terminate(self) -> None:
        """Tell the job that its outcome is not wanted any more; it clears away and ends."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the job at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)
