# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other users of the build host can do with what a task makes there: nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.build_host import BuildHost

# Neither root nor QEMU's user, and of no group of theirs.
OUTSIDER = 65533


def uses(path: str) -> t.Iterator[str]:
    """What the one who asks can do with this file."""
    mode = os.lstat(path).st_mode
    if stat.S_ISSOCK(mode):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            yield "connect"
        return
    for what, flags in (("read", os.O_RDONLY), ("write", os.O_WRONLY)):
        with contextlib.suppress(OSError):
            fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
            yield what
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                yield "lock"
            os.close(fd)


def usable_by(user: int, places: t.Sequence[Path]) -> list[str]:
    """What `user` can do with the files in these places, however it came to know their names."""
    names = [os.path.join(*each) for place in places for each in below(place)]
    out, inner = os.pipe()
    pid = os.fork()
    if pid == 0:
        found: list[str] = []
        try:
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            for name in names:
                with contextlib.suppress(PermissionError):
                    found += [f"{use} {name}" for use in uses(name)]
            os.write(inner, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(inner)
    with open(out, "rb") as pipe:
        usable: list[str] = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return usable


def below(place: Path) -> t.Iterator[tuple[str, str]]:
    for folder, _folders, names in os.walk(place):
        for name in names:
            yield folder, name


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz"))}


def test_nothing_is_of_use_to_another_user(ready: BuildHost, files: dict[str, str]) -> None:
    found: dict[int, list[str]] = {}

    def look(line: str) -> None:
        if line != "| +update":
            return
        (work,) = ready.volume.glob("tiny/tiny-default-*")
        places = [ready.state, ready.runtime, ready.logs, ready.tftp / "build", work]
        with ready.engine().lock("some", "be looked at"):
            for user in (0, OUTSIDER):
                found[user] = usable_by(user, places)

    old = os.umask(0o022)
    try:
        outcome = ready.perform(files=files, progress=look)
    finally:
        os.umask(old)
    assert outcome.result.status is Status.SUCCESS
    assert found[OUTSIDER] == []
    # The test would see it.
    kinds = {line.split()[0] for line in found[0]}
    assert kinds == {"read", "write", "lock", "connect"}
    for name in (".lease", ".lock", "disk.img", "manifest", "console.log", "vnc"):
        assert any(line.endswith(name) for line in found[0]), (name, found[0])
    assert usable_by(OUTSIDER, [ready.logs, ready.state]) == []
