# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Programs that are run to their end by whoever prepares a task, with an environment of their own.

They say what they like, in bytes: their output goes to files, so that nobody waits for anybody.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import tempfile
import typing as t

from .spawn import die_with


def run_program(
    command: t.Sequence[str],
    *,
    environment: t.Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> tuple[int, bytes, bytes]:
    """Run `command`, found by the search path; its exit status, output and error output.

    It dies with us: what it would go on with belongs to a lease that others take over then.
    The status of one that a signal has ended is the signal's negative number. `environment` is all
    that it has, None for ours. It is killed if it takes longer than `timeout` seconds, and if an
    exception ends the waiting. Raises OSError, TimeoutError among them.
    """
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with(parent)
            _become(program, command, environment, (output.fileno(), errors.fileno()))
        status = _await(pid, timeout)
        return status, _content(output), _content(errors)


def _become(
    program: str,
    command: t.Sequence[str],
    environment: t.Mapping[str, str] | None,
    outputs: t.Sequence[int],
) -> t.NoReturn:
    """Be the program from here on. What keeps it from that is its only error output."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for target, source in enumerate(outputs, 1):
            os.dup2(source, target)
        os.execve(program, list(command), os.environ if environment is None else environment)
    except OSError as error:
        os.write(2, f"{program}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _await(pid: int, timeout: float | None) -> int:
    process = os.pidfd_open(pid)
    try:
        if not select.select([process], [], [], timeout)[0]:
            raise TimeoutError(f"it took longer than {timeout:g} s")
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(process)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _content(file: t.IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
