# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files out of a machine, by a real shell at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent import fetch as _fetch
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.fetch import (
    FetchError,
    copy_out,
)

SHELLS = [["/bin/bash", "-i"], ["/bin/dash", "-i"], ["/bin/busybox", "sh", "-i"]]


@contextlib.contextmanager
def shell(folder: Path, command: list[str]) -> t.Iterator[str]:
    """A shell at a terminal, whose other end is at a socket, as it is at a machine's."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(command[0], command, {"PATH": "/usr/bin:/bin", "TERM": "dumb", "PS1": "$ "})
    path = str(folder / "shell")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        thread = threading.Thread(target=relay, args=(listening, terminal))
        thread.start()
        yield path
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    thread.join()
    os.close(terminal)


def relay(listening: socket.socket, terminal: int) -> None:
    with contextlib.suppress(OSError):
        sock, _address = listening.accept()
        with sock:
            while True:
                for ready in select.select([sock, terminal], [], [])[0]:
                    if ready is sock:
                        data = sock.recv(4096)
                        if not data:
                            return
                        os.write(terminal, data)
                    else:
                        sock.sendall(os.read(terminal, 4096))


@pytest.mark.parametrize("command", SHELLS, ids=lambda command: Path(command[0]).name)
@pytest.mark.parametrize("size", [0, 1, 24576, 60000])
def test_a_file_comes_as_it_is(tmp_path: Path, command: list[str], size: int) -> None:
    content = os.urandom(size)
    name = 'it\'s a "file" $HOME; `ls`'
    (tmp_path / name).write_bytes(content)
    with shell(tmp_path, command) as path:
        place, told = copy_out(path, name, str(tmp_path / "copy"))
    assert (place, told) == (str(tmp_path / "copy"), size)
    assert (tmp_path / "copy").read_bytes() == content


@pytest.mark.parametrize("name", ["none", "folder", "folder/none", "/proc/self/none"])
def test_a_file_that_there_is_not(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with (
        shell(tmp_path, SHELLS[0]) as path,
        pytest.raises(FetchError, match=f"no file {name} in the machine"),
    ):
        copy_out(path, name, str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fetch, "_MOST", 10)
    (tmp_path / "file").write_bytes(bytes(11))
    with (
        shell(tmp_path, SHELLS[0]) as path,
        pytest.raises(FetchError, match="file has 11 bytes, more than 10"),
    ):
        copy_out(path, "file", str(tmp_path / "copy"))


def test_what_a_user_has_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(FileExistsError):
        copy_out(str(tmp_path / "shell"), "file", str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "mine"


def test_a_folder_gets_it_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("x")
    with shell(tmp_path, SHELLS[0]) as path:
        place, _size = copy_out(path, f"{tmp_path}/file", str(tmp_path / "there"))
    assert place == str(tmp_path / "there" / "file")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/bin/cat"], "does not answer within"),
        (["/bin/sleep", "60"], "does not answer within"),
        (["/bin/true"], "has gone|has ended"),
        (["/bin/bash", "-c", "read x; exit"], "has gone|has ended"),
    ],
)
def test_whatever_else_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], words: str
) -> None:
    monkeypatch.setattr(_fetch, "_TIMEOUT", 0.5)
    with shell(tmp_path, command) as path, pytest.raises(FetchError, match=words):
        copy_out(path, "file", str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_a_shell_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot reach the shell"):
        copy_out(str(tmp_path / "shell"), "file", str(tmp_path / "copy"))
