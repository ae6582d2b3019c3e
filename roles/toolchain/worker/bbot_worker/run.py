# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the commands of an operation."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import time

from .errors import WorkerError
from .ioctls import FIONREAD, TIOCSCTTY, TIOCSWINSZ
from .log import LINE_LIMIT

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from .account import Account
    from .log import Log
    from .scanners import Scanner

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Seconds that the rest of a command's process group may go on printing after it.
_AFTERMATH = 2.0
# Seconds of silence after which a terminal has told all, and for which it is read at most.
_TERMINAL_PAUSE, _TERMINAL_MOST = 0.1, 0.5
# Bytes of an answer that are kept.
_ANSWER_LIMIT = 1 << 20


class Command:
    """A program with its arguments, the directory to run it in, and variables to add.

    A privileged one is run as who the worker is, not as the build user.
    """

    def __init__(
        self,
        arguments: list[str],
        directory: str,
        environment: dict[str, str] | None = None,
        privileged: bool = False,
    ) -> None:
        self.arguments = arguments
        self.directory = directory
        self.environment = environment or {}
        self.privileged = privileged


class Answer:
    """What a tool said to a question: its exit status and all its output."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output

    def __bool__(self) -> bool:
        return self.code == 0


class CommandFailed(WorkerError):
    """A command that ended badly by itself: ``code`` as subprocess has it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Runner:
    """Runs the commands of one operation into its log."""

    def __init__(
        self, log: Log, account: Account, timeout: float | None = None, pty: bool = False
    ) -> None:
        self.log = log
        self.account = account
        self.until: float | None = None
        self.bound = ""
        self.pty = pty
        self.environment: dict[str, str] = {}
        self.limit(timeout)

    def limit(self, seconds: float | None, bound: str = "") -> None:
        """Have time run out so many seconds from now, unless it does before; None is no limit.

        *bound* says how long that is, for people.
        """
        if seconds is None:
            return
        until = time.monotonic() + seconds
        if self.until is None or until < self.until:
            self.until, self.bound = until, bound or f"{seconds:g} seconds"

    @contextlib.contextmanager
    def limited(self, seconds: float | None) -> Iterator[None]:
        """Have time run out sooner for the length of a with statement."""
        before = self.until, self.bound
        self.limit(seconds)
        try:
            yield
        finally:
            self.until, self.bound = before

    @property
    def path(self) -> str:
        """The PATH of commands."""
        return _PATH if self.account.ids else os.environ.get("PATH", _PATH)

    def run(self, command: Command, scanner: Scanner | None = None) -> None:
        """Run it to its end; *scanner* sees the lines that it prints.

        Raises CommandFailed, or WorkerError where it cannot be run or time runs out.
        """
        import shlex

        shown = [f"{name}={shlex.quote(text)}" for name, text in command.environment.items()]
        self.log.note(" ".join(["+", *shown, shlex.join(command.arguments)]))
        if scanner is None:
            code = self._execute(command, self.log)
        else:
            with self.log.watched(scanner.feed):
                code = self._execute(command, self.log)
        program = command.arguments[0]
        if code < 0:
            raise CommandFailed(f"{program} was killed by signal {_signal_name(-code)}", code)
        if code:
            raise CommandFailed(f"{program} failed with exit status {code}", code)

    def ask(self, command: Command) -> Answer:
        """Put a question to a tool, without a trace in the log.

        A tool that is not there answers with exit status 127.
        """
        answer = _Kept()
        try:
            code = self._execute(command, answer)
        except WorkerError as error:
            if error.status == "abort":
                raise
            return Answer(127, str(error))
        return Answer(code, answer.text())

    def _execute(self, command: Command, output: Log | _Kept) -> int:
        """Run it, its output to *output*; its exit status, negative for a signal."""
        import signal

        program = command.arguments[0]
        reading, writing = self._channel()
        try:
            process = self._start(command, writing)
        except FileNotFoundError:
            os.close(reading)
            if not os.path.isdir(command.directory):
                raise WorkerError(f"there is no directory {command.directory}") from None
            raise WorkerError(f"cannot run {program}: this machine does not have it") from None
        except (OSError, ValueError) as error:
            os.close(reading)
            raise WorkerError(f"cannot run {program}: {error}") from None
        finally:
            os.close(writing)
        try:
            late = self._follow(process, reading, output)
        finally:
            os.close(reading)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if late:
            raise WorkerError(f"{program} was ended after {self.bound}", "abort")
        return code

    def _channel(self) -> tuple[int, int]:
        """Where a command's output is read, and written."""
        if not self.pty:
            reading, writing = os.pipe()
        else:
            import pty

            reading, writing = pty.openpty()
            size = struct.pack("HHHH", 24, 80, 0, 0)
            fcntl.ioctl(writing, TIOCSWINSZ, size)
        # So that it can open its /dev/stdout and /dev/stderr.
        self.account.own_descriptor(writing)
        os.set_blocking(reading, False)
        return reading, writing

    def open_shell(self, command: Command, terminal: int) -> subprocess.Popen[bytes]:
        """Start a command that a person talks to, at the descriptor of a *terminal*."""
        person = Runner(self.log, self.account, pty=True)
        person.environment = self.environment
        return person._start(command, terminal)

    def _start(self, command: Command, writing: int) -> subprocess.Popen[bytes]:
        import subprocess

        ids = None if command.privileged else self.account.ids
        return subprocess.Popen(
            command.arguments,
            cwd=command.directory,
            env={**self._base(), **self.environment, **command.environment},
            stdin=writing if self.pty else subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
            preexec_fn=_take_terminal if self.pty else None,
            umask=0o022,
            user=ids[0] if ids else None,
            group=ids[1] if ids else None,
            extra_groups=[] if ids else None,
        )

    def _follow(self, process: subprocess.Popen[bytes], reading: int, output: Log | _Kept) -> bool:
        """Read until the process and its group have ended; whether time ran out before."""
        ended: float | None = None
        is_open = True
        finish = _finish_terminal if self.pty else _drain
        while True:
            now = time.monotonic()
            if self.until is not None and now >= self.until:
                finish(reading, output)
                return True
            if ended is None and process.poll() is not None:
                ended = now
            if ended is not None and not (
                is_open and now - ended < _AFTERMATH and _lives(process.pid)
            ):
                finish(reading, output)
                return False
            if not is_open:
                # It goes on in silence.
                if self._ends_within(
                    process, 0.2 if self.until is None else min(0.2, self.until - now)
                ):
                    ended = time.monotonic()
                continue
            wait = 0.2 if ended is None else 0.02
            if self.until is not None:
                wait = min(wait, self.until - now)
            if select.select([reading], [], [], wait)[0]:
                is_open = _read(reading, output) > 0

    @staticmethod
    def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
        import subprocess

        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _base(self) -> dict[str, str]:
        base = {
            "HOME": self.account.home,
            "LANG": "C.UTF-8",
            "PATH": self.path,
        }
        if self.pty:
            base["TERM"] = "xterm"
        if self.account.name:
            base["USER"] = base["LOGNAME"] = self.account.name
        return base


class _Kept:
    """The first bytes of an answer."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data += data[: _ANSWER_LIMIT - len(self._data)]

    def text(self) -> str:
        return self._data.decode("utf-8", "replace")


def _read(reading: int, output: Log | _Kept) -> int:
    """Pass on what is there to be read; the number of bytes, 0 at the end."""
    try:
        data = os.read(reading, LINE_LIMIT)
    except BlockingIOError:
        return 1
    except OSError:
        return 0  # A terminal whose last user has gone.
    if data:
        output.feed(data)
    return len(data)


def _drain(reading: int, output: Log | _Kept) -> None:
    """Pass on what is in the pipe at this moment, and nothing that comes later."""
    left = struct.unpack("i", fcntl.ioctl(reading, FIONREAD, bytes(4)))[0]
    while left > 0:
        try:
            data = os.read(reading, min(left, LINE_LIMIT))
        except OSError:
            return
        if not data:
            return
        output.feed(data)
        left -= len(data)


def _finish_terminal(reading: int, output: Log | _Kept) -> None:
    """Pass on what was written to a terminal: the kernel brings it a moment later."""
    until = time.monotonic() + _TERMINAL_MOST
    while time.monotonic() < until and select.select([reading], [], [], _TERMINAL_PAUSE)[0]:
        if _read(reading, output) == 0:
            return


def _lives(group: int) -> bool:
    """Whether there is a process in the group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _take_terminal() -> None:
    """Make the terminal that is our stdin the one of our session."""
    fcntl.ioctl(0, TIOCSCTTY, 0)


def _signal_name(number: int) -> str:
    import signal

    return signal.Signals(number).name if number in set(signal.Signals) else f"{number}"
