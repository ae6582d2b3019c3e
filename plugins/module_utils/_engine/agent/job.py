# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Work in a process of its own, so that the agent's loop never waits for it.

A forked child runs a function and leaves the outcome in a file in memory. It dies with its
parent, at once: what it leaves behind is named in leases.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import signal
import sys
import time
import traceback
import typing as t

from ..errors import EngineError

_PR_SET_PDEATHSIG = 1

# A handler that the parent has for one of these must not run in the child.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

# Seconds between two attempts to kill a job whose time is over.
_KILL_INTERVAL = 1.0

_libc = ctypes.CDLL(None, use_errno=True)


class JobError(EngineError):
    """A job that ended without a usable outcome; the text says how."""


class CancelToken:
    """Whether the outcome of some work is still wanted. Called, it returns just that."""

    def __init__(self) -> None:
        self._wanted = True

    def __call__(self) -> bool:
        return self._wanted

    def cancel(self, *arguments: object) -> None:
        """Want the outcome no more. Can serve as the handler of a signal."""
        self._wanted = False


_Outcome = t.TypeVar("_Outcome")


class Job(t.Generic[_Outcome]):
    """A running function `work`, which is handed a CancelToken.

    It returns an instance of the dataclass `kind`, whose fields are plain data. `timeout` is
    after how many seconds the job is killed. Raises OSError if no process can be started.
    """

    def __init__(
        self,
        name: str,
        work: t.Callable[[CancelToken], _Outcome],
        kind: type[_Outcome],
        *,
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self._kind = kind
        self._status: int | None = None
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        with contextlib.ExitStack() as undo:
            # Not the job's name, which is made of what others wrote and may be too long.
            self._memory = os.memfd_create("bbot-agent-job", os.MFD_CLOEXEC)
            undo.callback(os.close, self._memory)
            self.pid = self._fork(work)
            undo.callback(self._abandon)
            self._pidfd = os.pidfd_open(self.pid)
            undo.pop_all()

    def _fork(self, work: t.Callable[[CancelToken], _Outcome]) -> int:
        parent = os.getpid()
        # A signal that comes before the child has its own handlers waits until then.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._child(parent, mask, work)
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _abandon(self) -> None:
        """End a child that cannot be watched."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _child(
        self, parent: int, mask: t.Any, work: t.Callable[[CancelToken], _Outcome]
    ) -> t.NoReturn:
        status = 1
        try:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            # Of a group of its own: Ctrl-C is for the parent, which tells us.
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            token = CancelToken()
            signal.signal(signal.SIGTERM, token.cancel)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            if os.getppid() == parent:
                outcome = dataclasses.asdict(t.cast("t.Any", work(token)))
                with os.fdopen(os.dup(self._memory), "w", encoding="utf-8") as file:
                    json.dump(outcome, file)
                status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(status)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the job has ended."""
        return self._pidfd

    def ended(self) -> bool:
        """Return whether the job has ended. Kills one whose time is over."""
        if self._status is None:
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self.kill()
                # A process that the kernel holds may take its time.
                self.deadline = time.monotonic() + _KILL_INTERVAL
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody else has taken its exit status.
                self._status = 1
                return True
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def result(self) -> _Outcome:
        """Return the outcome of the ended job. Raises JobError. To be called once."""
        try:
            with os.fdopen(self._memory, encoding="utf-8") as file:
                file.seek(0)
                text = file.read()
        except (OSError, ValueError, MemoryError) as error:
            raise JobError(f"{self.name}: its outcome cannot be read: {error}") from error
        finally:
            with contextlib.suppress(OSError):
                os.close(self._pidfd)
        status = self._status or 0
        if status != 0:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            raise JobError(f"{self.name} ended with {how}")
        try:
            return decode(self._kind, json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise JobError(f"{self.name}: its outcome cannot be read: {error}") from error

    def terminate(self) -> None:
        """Tell the job that its outcome is not wanted any more; it clears away and ends."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the job at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)


def decode(kind: type[_Outcome], data: t.Any) -> _Outcome:
    """Return the dataclass `kind` made of `data`, which came through JSON.

    Fields are texts, numbers, truth values, None, and tuples of such. Raises ValueError or
    TypeError if a field is missing, unknown or of another type.
    """
    if not isinstance(data, dict):
        raise TypeError(f"an object was expected, not {type(data).__name__}")
    hints = t.get_type_hints(kind)
    values = {name: _decode(hints.get(name), value) for name, value in data.items()}
    return kind(**values)


def _decode(hint: t.Any, value: t.Any) -> t.Any:
    arguments = t.get_args(hint)
    if t.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"a list was expected, not {value!r:.40}")
        if arguments[-1] is Ellipsis:
            return tuple(_decode(arguments[0], each) for each in value)
        return tuple(_decode(each, part) for each, part in zip(arguments, value, strict=True))
    if t.get_origin(hint) is t.Literal:
        if value not in arguments:
            raise ValueError(f"{value!r:.40} is none of {arguments}")
        return value
    allowed = arguments or (hint,)
    if type(value) not in allowed:
        raise TypeError(f"{hint} was expected, not {value!r:.40}")
    return value
