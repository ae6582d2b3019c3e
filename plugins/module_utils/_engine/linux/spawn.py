# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Processes that do not outlive us: programs, and functions that hand over descriptors."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import signal
import socket
import struct
import time
import typing as t

from ..errors import EngineError, sentence
from .capabilities import become
from .netns import enter_network

_PR_SET_PDEATHSIG = 1
# What a child says at most of what went wrong, in bytes, and how many descriptors it hands over.
_LONGEST = 4096
_MOST = 32
_INT = 4
# The descriptor of a socket that is handed over (sd_listen_fds(3)).
_LISTEN = 3
# Seconds in which a process that was killed is gone, unless the kernel has trouble with it.
_GIVE_UP = 5.0

_libc = ctypes.CDLL(None, use_errno=True)


class SpawnError(EngineError):
    """A process that cannot be started, or has not done its work; the text says why."""


def die_with(parent: int) -> None:
    """In a child: end at once when `parent` does, even if it has done so already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def spawn(
    program: str,
    arguments: t.Sequence[str],
    *,
    directory: str,
    output: int,
    keep: t.Collection[int] = (),
    account: pwd.struct_passwd | None = None,
    capabilities: t.Collection[int] = (),
    namespace: int | None = None,
    listen: t.Sequence[int] = (),
    title: str | None = None,
    prepare: t.Callable[[], None] | None = None,
    environment: t.Mapping[str, str] | None = None,
) -> int:
    """Start `program` so that it dies with us, and return its pid.

    It gets standard streams (an empty input, the others to the descriptor `output`) and the
    descriptors `keep`, is `account` with these `capabilities`, and in the network `namespace` of
    that descriptor. It must not change its user, or it would outlive us. `listen` are sockets that
    are handed over to it as systemd does (sd_listen_fds(3)). `title` is what lists of processes
    show in place of its path. `prepare` is done in its process before it becomes the program, and
    `environment` are further variables. Raises SpawnError.
    """
    parent = os.getpid()
    variables = {"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"}
    failure_out, failure_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            # As whom we are: another user need not be able to come here.
            os.chdir(directory)
            null = os.open(os.devnull, os.O_RDONLY)
            if namespace is not None:
                enter_network(namespace)
            if account is not None:
                become(account, capabilities)
            # After the change of user, which would clear it (prctl(2)).
            die_with(parent)
            if prepare is not None:
                prepare()
            # Above the standard streams, which may be closed in a service.
            output = os.dup(output)
            for source, target in ((null, 0), (output, 1), (output, 2)):
                os.dup2(source, target)
            kept = set(keep)
            if listen:
                failure_in = _move(failure_in, len(listen))
                handed = [_move(each, len(listen)) for each in listen]
                for number, each in enumerate(handed, _LISTEN):
                    os.dup2(each, number)
                    kept.add(number)
                variables |= {"LISTEN_FDS": str(len(listen)), "LISTEN_PID": str(os.getpid())}
            for name in os.listdir("/proc/self/fd"):
                fd = int(name)
                if fd > 2 and fd != failure_in:
                    with contextlib.suppress(OSError):
                        os.set_inheritable(fd, fd in kept)
            for number in (signal.SIGPIPE, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            variables |= environment or {}
            os.execve(program, [title or program, *arguments], variables)
        except OSError as error:
            os.write(failure_in, f"{error.strerror}: {error.filename or program}".encode())
        except Exception as error:
            os.write(failure_in, sentence(error).encode(errors="replace")[:_LONGEST])
        finally:
            os._exit(127)
    os.close(failure_in)
    with open(failure_out, "rb") as pipe:
        failure = pipe.read().decode(errors="replace")
    if failure:
        os.waitpid(pid, 0)
        raise SpawnError(f"cannot start {program}: {failure}")
    return pid


def _move(fd: int, handed: int) -> int:
    """Return a descriptor for the same that is none of so many sockets that are handed over."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LISTEN + handed)


def hand_over(work: t.Callable[[], t.Sequence[int]], timeout: float) -> list[int]:
    """Return new descriptors of what `work` opens in a process of its own, in that order.

    Whatever it does to itself there, its namespaces for example, is not done to us. It may take
    `timeout` seconds. Raises SpawnError with the words of whatever it raised.
    """
    parent = os.getpid()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            _work(work, parent, theirs)
        theirs.close()
        ours.settimeout(timeout)
        try:
            # Not recv_fds(), which forgets the flags that it is given.
            room = socket.CMSG_SPACE(_MOST * _INT)
            words, parts, flags, _peer = ours.recvmsg(_LONGEST, room, socket.MSG_CMSG_CLOEXEC)
        except TimeoutError as error:
            raise SpawnError(f"it took longer than {timeout:g} s") from error
        finally:
            end_child(pid)
    fds = [fd for _level, _kind, data in parts for (fd,) in struct.iter_unpack("=i", data)]
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise SpawnError("this process has too many files open")
    if not fds:
        raise SpawnError(words.decode(errors="replace") or "its process ended without a word")
    return fds


def _work(work: t.Callable[[], t.Sequence[int]], parent: int, sock: socket.socket) -> t.NoReturn:
    try:
        die_with(parent)
        try:
            socket.send_fds(sock, [b"+"], work())
        except Exception as error:
            sock.send(sentence(error).encode(errors="replace")[:_LONGEST])
    finally:
        os._exit(0)


def end_child(pid: int) -> None:
    """End a child, however far it is. One that the kernel does not let go is left to itself."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + _GIVE_UP
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < until:
            time.sleep(0.001)
