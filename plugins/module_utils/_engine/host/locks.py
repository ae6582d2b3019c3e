# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Locks and leases on disk: who does what on this host.

Both are flock(2) locks, so they end with their owner, however it ends. The
file's content tells people and other processes what the owner is about.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from ..errors import EngineError


class LockError(EngineError):
    """A lock that cannot be had; the text says what for and who holds it."""


def _try_lock(path: str) -> int | None:
    """A descriptor of ``path``, locked; None if somebody else has the lock."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The former owner may have unlinked the file between open and flock.
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(fd).st_ino == os.stat(path).st_ino:
                    return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def process_start(pid: int) -> int | None:
    """When process ``pid`` was started, in clock ticks since boot; None if there is none.

    Together with the pid it names a process for good (proc(5), stat field 22).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


class Lock:
    """An exclusive lock named by a file, for use in a with statement.

    ``purpose`` is what the holder does, told to whoever finds the lock taken.
    ``timeout`` is how many seconds to wait for it; LockError after that, or as soon as
    it is not wanted any more by ``alive``.
    """

    def __init__(
        self,
        path: str,
        purpose: str,
        timeout: float = 0,
        alive: t.Callable[[], bool] = lambda: True,
    ) -> None:
        self.path = path
        self.purpose = purpose
        self.timeout = timeout
        self._alive = alive
        self._fd = -1

    def __enter__(self) -> Lock:
        deadline = time.monotonic() + self.timeout
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        while (fd := _try_lock(self.path)) is None:
            if time.monotonic() >= deadline or not self._alive():
                raise LockError(
                    f"cannot {self.purpose}: {self._holder()} (lock {self.path}); "
                    "wait for it to end and try again"
                )
            time.sleep(0.1)
        self._fd = fd
        os.ftruncate(fd, 0)
        os.write(fd, f"process {os.getpid()} is there to {self.purpose}\n".encode())
        return self

    def held(self) -> bool:
        """Whether somebody has the lock now; wait for nothing."""
        if not os.path.exists(self.path) or (fd := _try_lock(self.path)) is None:
            return os.path.exists(self.path)
        os.unlink(self.path)
        os.close(fd)
        return False

    def _holder(self) -> str:
        with contextlib.suppress(OSError), open(self.path, encoding="utf-8") as file:
            return file.read().strip() or "another process holds it"
        return "another process holds it"

    def __exit__(self, *_: object) -> None:
        os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1


class Lease:
    """A registered use of the host's resources, held as long as its owner lives.

    The file is a log of JSON objects, one a line, whose keys add up: a line cut
    short by a crash costs that line only. What is noted *before* a resource is
    made can be found and removed by whoever meets the lease of a dead owner.
    """

    def __init__(self, path: str, fd: int, record: dict[str, t.Any]) -> None:
        self.path = path
        self.record = record
        self._fd = fd

    @property
    def id(self) -> str:
        """The name of the lease, unique on this host while it exists."""
        return os.path.basename(self.path).removesuffix(".lease")

    @property
    def name(self) -> str:
        """Like the id, but not used a second time."""
        return lease_name(self.id, self.record)

    def tell(self, **facts: t.Any) -> None:
        """Add facts for people to the record; that the disk is full does not matter then."""
        with contextlib.suppress(OSError):
            self.note(**facts)

    def note(self, **facts: t.Any) -> None:
        """Add ``facts`` to the record, on disk when this returns."""
        self.record.update(facts)
        os.write(self._fd, json.dumps(facts).encode() + b"\n")

    def end(self) -> None:
        """Give the lease up: nothing it names exists any more."""
        os.unlink(self.path)
        os.close(self._fd)

    def abandon(self) -> None:
        """Let go of the lease without ending it: the next sweep takes it over."""
        os.close(self._fd)


def lease_name(lease: str, record: t.Mapping[str, t.Any]) -> str:
    """The name, unique for good, of the lease with this id and ``record``."""
    return f"{lease}@{record.get('since', 0):.3f}"


class Leases:
    """The leases of one host, files in ``directory``."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._counter = 0

    def take(self, **facts: t.Any) -> Lease:
        """A new lease. Its id is `<pid>-<counter>`, bbot's form of temporary names."""
        os.makedirs(self.directory, exist_ok=True)
        while True:
            path = os.path.join(self.directory, f"{os.getpid()}-{self._counter}.lease")
            self._counter += 1
            # A dead owner of the same pid may have left a lease of this name.
            if not os.path.exists(path) and (fd := _try_lock(path)) is not None:
                lease = Lease(path, fd, {})
                lease.note(pid=os.getpid(), since=time.time(), **facts)
                return lease

    def records(self) -> dict[str, dict[str, t.Any]]:
        """Id and record of every lease, of dead owners too."""
        found = {}
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):
                found[os.path.basename(path).removesuffix(".lease")] = _read(path)
        return found

    def stale(self) -> t.Iterator[Lease]:
        """Take over, one by one, the leases whose owner is dead.

        The caller clears what the lease names away and ends it.
        """
        for path in self._paths():
            if not os.path.exists(path) or (fd := _try_lock(path)) is None:
                continue
            yield Lease(path, fd, _read(path))

    def _paths(self) -> list[str]:
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        return sorted(os.path.join(self.directory, n) for n in names if n.endswith(".lease"))


def _read(path: str) -> dict[str, t.Any]:
    record: dict[str, t.Any] = {}
    with open(path, "rb") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                record.update(json.loads(line))
    return record
