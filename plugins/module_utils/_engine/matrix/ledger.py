# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The index of a matrix on disk, which says at any moment what has become of each combination.

Several processes may have it, such as one for each host of a play: each change is made under a
lock, and the file is replaced as a whole. All of them look at it all the time, so what has not
changed is not read again: what they do grows with the combinations, not with its square.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from ..host.locks import process_start
from .asked import MatrixError
from .plan import Combination, varying
from .states import CANCELLED, DONE, FAILED, RUNNING, WAITING, Entry, Index, check_index

INDEX = "index.json"
# The lock; what is in a folder with this file is no part of sources that are packed.
MARK = ".bbot-matrix"
FORMAT = 1

# What an index says of one run: why it was stopped, which hosts have left it, and why.
STOPPED, LEFT, TROUBLES = "stopped", "left", "troubles"
_OF_A_RUN = (STOPPED, LEFT, TROUBLES)

_T = t.TypeVar("_T")

# What tells one index from the one before it: of those that are so old, in nanoseconds, when they
# are read. A younger one may be replaced by one with the same stamp (a coarse clock of the file
# system, an inode that is used again).
_Stamp = tuple[int, int, int]
_SETTLED = 2_000_000_000


def folder_name() -> str:
    """The name of a new folder for the results of a matrix."""
    return f"matrix-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"


def new_index(
    asked: t.Mapping[str, t.Any],
    combinations: t.Sequence[Combination],
    sources: t.Sequence[t.Mapping[str, str]],
) -> Index:
    """Return the index of a matrix that has not begun; ``sources`` are digests by project."""
    entries = [
        {
            "id": each.id,
            "axes": each.axes,
            "project": each.project,
            "task": each.fields,
            "sources": dict(sources[each.project]),
            "state": WAITING,
        }
        for each in combinations
    ]
    return {
        "format": FORMAT,
        "began": round(time.time(), 3),
        "ended": None,
        "owner": None,
        "asked": dict(asked),
        "varying": varying(each.axes for each in combinations),
        "combinations": entries,
    }


class Ledger:
    """The index in the folder of a matrix's results."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._seen: tuple[_Stamp, Index] | None = None

    @classmethod
    def create(cls, folder: str, index: Index) -> Ledger:
        """Make the new ``folder`` with this ``index`` in it. Raises OSError."""
        os.makedirs(folder)
        ledger = cls(folder)
        for name, text in ((MARK, ""), (".gitignore", "*\n")):
            with open(os.path.join(folder, name), "x", encoding="utf-8") as file:
                file.write(text)
        ledger._write(index)
        return ledger

    def read(self) -> Index:
        """Return the index, to be looked at only. Raises MatrixError if none can be used."""
        with contextlib.suppress(OSError):
            stamp = _stamp(os.stat(os.path.join(self.folder, INDEX)))
            if self._seen is not None and self._seen[0] == stamp:
                return self._seen[1]
        stamp, index = self._load()
        _inode, changed, _size = stamp
        settled = time.time_ns() - changed > _SETTLED
        self._seen = (stamp, index) if settled else None
        return index

    def _load(self) -> tuple[_Stamp, Index]:
        path = os.path.join(self.folder, INDEX)
        try:
            with open(path, encoding="utf-8") as file:
                stamp = _stamp(os.fstat(file.fileno()))
                index = json.load(file)
            check_index(index, FORMAT)
        except OSError as error:
            raise MatrixError(
                f"{self.folder} has no results of a matrix: {error.strerror}"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise MatrixError(f"{path} is no index of a matrix: {error}") from None
        return stamp, t.cast("Index", index)

    def change(self, change: t.Callable[[Index], _T]) -> _T:
        """Have ``change`` alter the index, alone; what it returns. Raises MatrixError, OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(os.path.join(self.folder, MARK), flags, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _dummy, index = self._load()
            done = change(index)
            self._write(index)
            return done
        finally:
            os.close(lock)

    def own(self, pid: int) -> None:
        """Say that process ``pid`` is at it. Raises MatrixError if another one is that lives."""

        def begin(index: Index) -> None:
            owner = index.get("owner")
            if owner and owner != [pid, process_start(pid)] and _lives(owner):
                raise MatrixError(
                    f"process {owner[0]} is at the matrix in {self.folder}: wait for its end"
                )
            index["owner"] = [pid, process_start(pid)]
            index["ended"] = None
            for name in _OF_A_RUN:
                index.pop(name, None)

        self.change(begin)

    def take(self, host: str, can: t.Callable[[Entry], bool]) -> Entry | None:
        """Return the next combination that waits and that ``host`` ``can`` do, now running."""

        def next_of(index: Index) -> Entry | None:
            for entry in index["combinations"]:
                if entry["state"] == WAITING and host not in entry.get("tried", []) and can(entry):
                    return t.cast("Entry", entry)
            return None

        def choose(index: Index) -> Entry | None:
            entry = next_of(index)
            if entry is not None:
                entry.update(state=RUNNING, host=host, since=round(time.time(), 3))
            return entry

        # Most who ask do so in vain, and need not write it all anew.
        return self.change(choose) if next_of(self.read()) is not None else None

    def is_open(self) -> bool:
        """Whether there is something that waits, or runs and may have to be done again."""
        return any(entry["state"] in (WAITING, RUNNING) for entry in self.read()["combinations"])

    def settle(self, key: str, state: str, **facts: t.Any) -> Entry:
        """Note what has become of the combination ``key``; all of it."""

        def end(index: Index) -> Entry:
            entry = find(index, key)
            _clear(entry)
            entry.update(state=state, **facts)
            return entry

        return self.change(end)

    def put_back(self, host: str, keys: t.Collection[str], reason: str) -> None:
        """Let others have what ``host``, which failed, was at: it is not tried there again."""

        def back(index: Index) -> None:
            index.setdefault(TROUBLES, []).append(reason)
            for entry in index["combinations"]:
                if entry["id"] in keys and entry["state"] == RUNNING:
                    tried = [*entry.get("tried", []), host]
                    _clear(entry)
                    entry.update(state=WAITING, tried=tried, reason=reason)

        self.change(back)

    def stop(self, why: str) -> None:
        """Have all who are at it cancel what runs, and begin nothing more."""
        self.change(lambda index: index.setdefault(STOPPED, why))

    def leave(self, host: str) -> set[str]:
        """Note that ``host`` is at it no more; all of which that is true."""

        def left(index: Index) -> set[str]:
            gone = {*index.get(LEFT, []), host}
            index[LEFT] = sorted(gone)
            return gone

        return self.change(left)

    def end(self, *, stopped: bool = False) -> Index:
        """Note that nobody goes on; the index then.

        What has not begun is cancelled if the matrix was ``stopped``, else it has failed for
        want of a host.
        """

        def close(index: Index) -> Index:
            for entry in index["combinations"]:
                if entry["state"] == RUNNING or (stopped and entry["state"] == WAITING):
                    _clear(entry)
                    entry.update(state=CANCELLED)
                elif entry["state"] == WAITING:
                    troubles = "; ".join(index.get(TROUBLES, []))
                    reason = entry.get("reason") or troubles or "no host could take it"
                    _clear(entry)
                    entry.update(state=FAILED, culprit="host", reason=reason)
            index.update(ended=round(time.time(), 3), owner=None)
            return index

        return self.change(close)

    def _write(self, index: Index) -> None:
        path = os.path.join(self.folder, INDEX)
        new = f"{path}.new"
        with open(new, "w", encoding="utf-8") as file:
            json.dump(index, file, indent=1)
            file.write("\n")
        os.replace(new, path)


def _stamp(facts: os.stat_result) -> _Stamp:
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def find(index: Index, key: str) -> Entry:
    """Return the entry of a combination. Raises MatrixError if there is none."""
    for entry in index["combinations"]:
        if entry["id"] == key:
            return t.cast("Entry", entry)
    raise MatrixError(f"there is no combination {key}")


def is_kept(entry: Entry) -> bool:
    """Whether a resumed matrix keeps what there is: a result that is not a machine's fault."""
    return entry["state"] == DONE and entry.get("culprit") not in ("machine", "host")


def renew(entry: Entry) -> None:
    """Have a combination wait as if it had not begun."""
    _clear(entry)
    entry.pop("tried", None)
    entry["state"] = WAITING


_LASTING = ("id", "axes", "project", "task", "sources", "state", "tried")


def _clear(entry: Entry) -> None:
    for name in set(entry) - set(_LASTING):
        del entry[name]


def _lives(owner: t.Any) -> bool:
    with contextlib.suppress(TypeError, ValueError, IndexError):
        start = process_start(int(owner[0]))
        return start is not None and start == owner[1]
    return False
