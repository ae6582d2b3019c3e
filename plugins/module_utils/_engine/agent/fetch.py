# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Files out of a machine at a breakpoint, by the shell that a person has there."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import shlex
import socket
import time
import typing as t

from ..errors import EngineError

# Bytes for each command: the worker keeps 64 KiB of what nobody has read yet, and a text of
# base64 with its line ends is longer by half.
_PIECE = 24576
# Seconds for an answer of a shell that may be emulated, and busy.
_TIMEOUT = 60.0
_MOST = 1 << 30
_LONGEST = 4 * _PIECE


class FetchError(EngineError):
    """A file that cannot be had from a machine; the text says which and why."""


def fetch(shell: str, path: str, target: t.BinaryIO) -> int:
    """Write the file ``path`` of the machine with the socket ``shell`` to ``target``; its size.

    The shell has what a POSIX system has, and base64. Nobody else may be at it. Raises FetchError
    and OSError.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.settimeout(_TIMEOUT)
            sock.connect(shell)
        except OSError as error:
            raise FetchError(f"cannot reach the shell at {shell}: {error}") from error
        line = _Line(sock)
        name = shlex.quote(path)
        # Nobody is to see what is typed here, and it is no history either.
        line.ask("stty -echo")
        try:
            status, said = line.ask(f"test -f {name} && test -r {name} && wc -c < {name}")
            if status != 0 or not said.strip().isdigit():
                raise FetchError(f"there is no file {path} in the machine that its build can read")
            size = int(said)
            if size > _MOST:
                raise FetchError(f"{path} has {size} bytes, more than {_MOST}")
            for number in range(-(-size // _PIECE)):
                target.write(_piece(line, name, path, number))
            return size
        finally:
            line.ask("stty echo")


def _piece(line: _Line, name: str, path: str, number: int) -> bytes:
    command = f"dd if={name} bs={_PIECE} count=1 skip={number} 2> /dev/null | base64"
    status, said = line.ask(command)
    try:
        return base64.b64decode("".join(said.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise FetchError(f"{path} did not come whole: {error}, status {status}") from error


class _Line:
    """Commands and their answers, over what else the shell says."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._said = b""

    def ask(self, command: str) -> tuple[int, str]:
        """Return the status of the command, and what it says. Raises FetchError."""
        mark = secrets.token_hex(8)
        # Halved, so that the command's own echo is not taken for the answer.
        half = f"'{mark[:8]}''{mark[8:]}'"
        text = f" echo {half}; {command}; echo {half} $?\n"
        pattern = re.compile(rf"{mark}\r?\n(.*){mark} (\d+)\r?\n".encode(), re.S)
        until = time.monotonic() + _TIMEOUT
        try:
            self._sock.sendall(text.encode())
            while not (found := pattern.search(self._said)):
                self._sock.settimeout(max(0.01, until - time.monotonic()))
                data = self._sock.recv(65536)
                if not data:
                    raise FetchError("the machine has ended")
                self._said = (self._said + data)[-_LONGEST:]
        except TimeoutError as error:
            raise FetchError(
                f"the shell does not answer within {_TIMEOUT:g} s: is somebody else at it, or is "
                "a program running in it?"
            ) from error
        except OSError as error:
            raise FetchError(f"the shell has gone: {error}") from error
        self._said = self._said[found.end() :]
        return int(found[2]), found[1].decode(errors="replace")


def copy_out(shell: str, path: str, target: str) -> tuple[str, int]:
    """Copy the file ``path`` out of a machine to the new file ``target``, or into that folder.

    Returns where it is, and its size. Raises FetchError and OSError; no part of it is left then.
    """
    if os.path.isdir(target):
        target = os.path.join(target, os.path.basename(path.rstrip("/")) or "file")
    with open(target, "xb") as file:
        try:
            return target, fetch(shell, path, file)
        except BaseException:
            os.unlink(target)
            raise
