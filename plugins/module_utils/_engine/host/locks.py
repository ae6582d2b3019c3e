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
import errno
import fcntl
import json
import os
import time
import typing as t

from ..errors import EngineError
from ..linux.private import make_private
from .lease_record import read_record

# For so long, in seconds, a lock that nobody living holds by its own words is tried again:
# somebody only looks at it, removes it, or has just got it.
_GLANCE = 0.2
# After so long, in seconds, people are told that something waits.
_MOMENT = 0.5
# A lease of more bytes is written anew: an agent lives for months, and notes its troubles.
_LONG = 1 << 17


class LockError(EngineError):
    """A lock that cannot be had; the text says what for and who holds it."""


def _try_lock(path: str) -> int | None:
    """A descriptor of ``path``, locked; None if somebody else has the lock."""
    while True:
        # For nobody else: a lock that any user may hold is no lock.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags | os.O_NONBLOCK, 0o600)
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
    return _stat(pid, 19)


def parent_of(pid: int) -> int | None:
    """The parent of process ``pid``; None if there is no such process."""
    return _stat(pid, 1)


def _stat(pid: int, field: int) -> int | None:
    """The number in the ``field`` of a process's status behind its name."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[field])
    except (OSError, IndexError, ValueError):
        return None


class Lock:
    """An exclusive lock named by a file, for use in a with statement.

    ``purpose`` is what the holder does, told to whoever finds the lock taken.
    ``timeout`` is how many seconds to wait for it; LockError after that, or as soon as
    it is not wanted any more by ``alive``. ``report`` is told for whom it waits, if that takes
    longer than a moment.
    """

    def __init__(
        self,
        path: str,
        purpose: str,
        timeout: float = 0,
        alive: t.Callable[[], bool] = lambda: True,
        report: t.Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.path = path
        self.purpose = purpose
        self.timeout = timeout
        self._alive = alive
        self._report = report
        self._fd = -1

    def __enter__(self) -> Lock:
        begun = time.monotonic()
        told = ""
        make_private(os.path.dirname(self.path))
        while (fd := _try_lock(self.path)) is None:
            waited = time.monotonic() - begun
            if waited < _GLANCE and not self._has_living_holder():
                time.sleep(0.002)
                continue
            if waited >= self.timeout or not self._alive():
                raise LockError(
                    f"cannot {self.purpose}: {self._holder() or 'another process holds it'} "
                    f"(lock {self.path}); wait for it to end and try again"
                )
            if waited >= _MOMENT and (holder := self._holder()) != told:
                told = holder
                self._report(f"waiting to {self.purpose}: {told or 'another process is at it'}")
            time.sleep(0.1)
        self._fd = fd
        os.ftruncate(fd, 0)
        os.write(fd, f"process {os.getpid()} is there to {self.purpose}\n".encode())
        return self

    def held(self) -> bool:
        """Whether somebody has the lock now. Looks only: whoever takes it meanwhile gets it."""
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(fd)
        return False

    def drop_dead(self) -> None:
        """Remove the file if nobody has the lock. Raises OSError."""
        if os.path.exists(self.path) and (fd := _try_lock(self.path)) is not None:
            os.unlink(self.path)
            os.close(fd)

    def _holder(self) -> str:
        """What the holder says of itself; the file may hold anything."""
        with contextlib.suppress(OSError), open(self.path, "rb") as file:
            text = file.read(500).decode(errors="replace").strip()
            return "".join(each if each.isprintable() else "?" for each in text)
        return ""

    def _has_living_holder(self) -> bool:
        words = self._holder().split()
        pid = words[1] if len(words) > 1 and words[0] == "process" else ""
        return pid.isdecimal() and os.path.exists(f"/proc/{pid}")

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
        """Add ``facts`` to the record, in its file when this returns. Raises OSError.

        A line that the disk has no room for leaves nothing behind: what it was to name must
        not be made.
        """
        line = json.dumps(facts).encode() + b"\n"
        size = os.fstat(self._fd).st_size
        if size + len(line) > _LONG:
            size = self._shorten(size)
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size)
            raise
        self.record.update(facts)

    def _shorten(self, size: int) -> int:
        """Write the record over its log of ``size`` bytes; return how long that is then.

        Whoever reads meanwhile finds all facts: each has a line of its own, those first that say
        who we are, and the end of the log is there until it is cut off. Raises OSError.
        """
        facts = [{name: fact} for name, fact in self.record.items()]
        lines = b"".join(json.dumps(fact).encode() + b"\n" for fact in facts)
        if 2 * len(lines) > size:
            return size
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
        try:
            written = 0
            while written < len(lines):
                written += os.pwrite(self._fd, lines[written:], written)
            os.ftruncate(self._fd, written)
        finally:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags)
        return written

    def end(self) -> None:
        """Give the lease up: nothing it names exists any more."""
        os.unlink(self.path)
        os.close(self._fd)

    def abandon(self) -> None:
        """Let go of the lease without ending it: the next sweep takes it over."""
        os.close(self._fd)


def lease_name(lease: str, record: t.Mapping[str, t.Any]) -> str:
    """The name, unique for good, of the lease with this id and ``record``."""
    return f"{lease}@{record.get('since', 0.0):.3f}"


class Leases:
    """The leases of one host, files in ``directory``; ``report`` is told of damaged ones."""

    def __init__(
        self, directory: str, report: t.Callable[[str], None] = lambda _line: None
    ) -> None:
        self.directory = directory
        self._report = report
        self._counter = 0

    def take(self, **facts: t.Any) -> Lease:
        """A new lease. Its id is `<pid>-<counter>`, bbot's form of temporary names."""
        make_private(self.directory)
        while True:
            path = os.path.join(self.directory, f"{os.getpid()}-{self._counter}.lease")
            self._counter += 1
            # A dead owner of the same pid may have left a lease of this name.
            if not os.path.lexists(path) and (fd := _try_lock(path)) is not None:
                lease = Lease(path, fd, {})
                try:
                    lease.note(pid=os.getpid(), since=time.time(), **facts)
                except OSError:
                    lease.end()
                    raise
                return lease

    def records(self) -> dict[str, dict[str, t.Any]]:
        """Id and record of every lease, of dead owners too; what is damaged in them is left out."""
        found = {}
        for path in self._paths():
            with contextlib.suppress(OSError):
                record, _damage = read_record(path)
                found[os.path.basename(path).removesuffix(".lease")] = record
        return found

    def living(self) -> dict[str, dict[str, t.Any]]:
        """Id and record of every lease whose owner lives."""
        return {
            name: record
            for name, record in self.records().items()
            if Lock(os.path.join(self.directory, f"{name}.lease"), "look at it").held()
        }

    def stale(self) -> t.Iterator[Lease]:
        """Take over, one by one, the leases whose owner is dead.

        The caller clears what the lease names away and ends it. One that cannot be read, or
        says what no lease says, is set aside.
        """
        for path in self._paths():
            try:
                if not os.path.lexists(path) or (fd := _try_lock(path)) is None:
                    continue
            except OSError as error:
                self._move_aside(path, error.strerror or str(error))
                continue
            try:
                record, damage = read_record(path)
            except OSError as error:
                record, damage = {}, error.strerror or str(error)
            lease = Lease(path, fd, record)
            if damage:
                self.set_aside(lease, damage)
            else:
                yield lease

    def set_aside(self, lease: Lease, why: str) -> None:
        """Believe nothing of ``lease``, but keep its file under another name for people."""
        self._move_aside(lease.path, why)
        lease.abandon()

    def _move_aside(self, path: str, why: str) -> None:
        place = f"{path}.damaged"
        try:
            os.rename(path, place)
        except OSError:
            # Something stands in the way, of an earlier one.
            place = f"{place}-{time.time_ns()}"
            with contextlib.suppress(OSError):
                os.rename(path, place)
        self._report(f"error: a lease is damaged ({why}); it was set aside as {place}")

    def _paths(self) -> list[str]:
        try:
            names = os.listdir(self.directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(os.path.join(self.directory, n) for n in names if n.endswith(".lease"))
