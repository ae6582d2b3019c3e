# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The journal: every task of this host, and its result until the controller has it.

A file of SQLite, shared by all agents and plays of a host. Each operation opens it
anew: connections do not outlive a fork. A change is on disk when its method returns.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import typing as t

from ..errors import EngineError
from ..formats.base64 import decode
from ..records.arrived import read_arrived
from ..records.exchange import ResultRequest, TaskResponse
from ..records.result import Result
from ..records.task import Task
from ..records.values import Status
from .backoff import LONGEST_PAUSE
from .entries import STATES, Entry, Row, State, columns, read, text
from .generation import knows_interrupt
from .schema import JournalError, changing, opened, reading, shrink, transaction

__all__ = ["FILE", "Entry", "Journal", "JournalError", "Row", "settle"]

# Under the folder of the host's state.
FILE = "journal.sqlite"

# Seconds for which brep waits for a result; then it gives the task to somebody else.
RESULT_TIMEOUT = 3 * 3600.0

# Tasks that are over are kept for reading, the last so many.
_HISTORY = 10_000
# Of so many tasks at most it is told what became of them lately.
_LATELY = 1000
# Results that have expired are kept with their text, the last so many.
_EXPIRED_TEXTS = 20

# An agent that is up counts its time at least that often, in seconds; what is longer is time
# in which none was.
_STEP = 120.0
# Less is not worth a write.
_LEAST_STEP = 5.0

# The longest words that are kept about a failure.
_WORDS = 2000

_OVER = "('delivered', 'expired', 'done', 'damaged')"

_AnyRow = t.TypeVar("_AnyRow", bound=Row)


class Journal:
    """The journal in the file `path`, which is made at the first use.

    One that is `read_only` is for those who look: what they ask writes nothing.
    """

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.path = path
        self._reading = reading if read_only else opened

    def accept(
        self,
        response: TaskResponse,
        *,
        toolchain: str,
        controller: str,
        answer: str | None,
        agent_checksum: str | None = None,
        owner: str | None = None,
        timeout: float = RESULT_TIMEOUT,
    ) -> int:
        """Note the task of `response`; return the number of its entry.

        `owner` is who sees to it until it is performed; `timeout` is for how many
        seconds the controller will want the result. Raises JournalError.
        """
        task = response.task
        if task is None or response.result_url is None:
            raise AssertionError("a response with a session has a task and a result URL")
        return self._insert(
            task,
            toolchain=toolchain,
            controller=controller,
            session=response.session,
            answer=answer,
            result_url=response.result_url,
            upload_urls=json.dumps(dict(response.upload_urls)),
            agent_checksum=agent_checksum,
            owner=owner,
            lifetime=timeout,
        )

    def note(
        self, task: Task, *, toolchain: str, owner: str | None = None, logs: str | None = None
    ) -> int:
        """Note a `task` that no controller gave; return the number of its entry.

        Its result is described here, and its text is in its `logs`. Raises JournalError.
        """
        return self._insert(
            task,
            toolchain=toolchain,
            controller="",
            session="",
            result_url="",
            upload_urls="{}",
            owner=owner,
            logs=logs,
        )

    def _insert(self, task: Task, **values: t.Any) -> int:
        now = time.monotonic()
        values |= {
            "task": task.to_text(),
            "name": task.name,
            "version": task.version,
            "machine": task.machine,
            "state": "running",
            "received": time.time(),
            "noted": now,
            "counted": now,
        }
        marks = ", ".join(f":{name}" for name in values)
        with changing(self.path) as db:
            cursor = db.execute(f"INSERT INTO tasks ({', '.join(values)}) VALUES ({marks})", values)
            _trim(db)
            return int(cursor.lastrowid or 0)

    def own(self, entry: int, owner: str, logs: str) -> None:
        """Note who performs the task, and where its logs will be. Raises JournalError."""
        self._update(entry, "running", owner=owner, logs=logs)

    def store(self, entry: int, result: Result, *, culprit: str = "", reason: str = "") -> bool:
        """Keep the result of a task that has none yet; return whether it had none.

        Raises JournalError.
        """
        values = {
            "status": str(result.status),
            "culprit": culprit,
            "reason": _short(reason),
            "finished": time.time(),
        }
        with changing(self.path) as db:
            asked = db.execute(
                "SELECT controller = '', agent_checksum IS NOT NULL FROM tasks"
                " WHERE id = ? AND state = 'running'",
                (entry,),
            ).fetchone()
            if asked is None:
                return False
            _set(db, entry, "running", state="done" if asked[0] else "queued", **values)
            if not asked[0]:
                content = result.for_controller(checksums=bool(asked[1])).to_text()
                db.execute("INSERT OR REPLACE INTO results VALUES (?, ?)", (entry, content))
            return True

    def give_back(self, entry: int, task: Task, *, culprit: str, reason: str) -> Status | None:
        """Note that a task without a result ended for another's sake; return its status, if so.

        A controller that knows interrupted tasks queues it again; one that does not gives it to
        somebody else after a while, if it is told nothing, where an aborted one would stay so
        for days. A task of this host's own people is aborted. Raises JournalError.
        """
        found = self.get(entry)
        if found is None or found.state != "running":
            return None
        if not found.controller:
            self.store(entry, Result.for_task(task), culprit=culprit, reason=reason)
            return Status.ABORT
        result = Result.for_task(task, Status.INTERRUPT)
        if knows_interrupt(found.session):
            self.store(entry, result, culprit=culprit, reason=reason)
        else:
            words, now = _short(reason), time.time()
            status = str(result.status)
            values = {"state": "done", "status": status, "culprit": culprit, "reason": words}
            self._update(entry, "running", **values, finished=now)
        return result.status

    def describe(self, entry: int, *, culprit: str, reason: str, phases: dict[str, float]) -> None:
        """Add what is known only after the machine is down. Harmless at any time.

        Raises JournalError.
        """
        words = _short(reason)
        self._update(entry, None, culprit=culprit, reason=words, phases=json.dumps(phases))

    def failed(self, entry: int, error: str, delay: float, *, reset: bool = False) -> None:
        """Note that the result could not be delivered, and to try again after `delay` seconds.

        `reset` says that the controller hung up while it was sent. Raises JournalError.
        """
        with changing(self.path) as db:
            db.execute(
                "UPDATE tasks SET attempts = attempts + 1, next_try = ?, last_error = ?,"
                " resets = resets + ? WHERE id = ? AND state = 'queued'",
                (_after(delay), _short(error), reset, entry),
            )

    def limit(self, entry: int, size_limit: int) -> None:
        """Note that the controller takes no more than `size_limit` bytes. Raises JournalError."""
        self._update(entry, "queued", size_limit=size_limit, resets=0)

    def postpone(self, entry: int, delay: float) -> None:
        """Try to deliver the result after `delay` seconds at the earliest. Raises JournalError."""
        with changing(self.path) as db:
            db.execute(
                "UPDATE tasks SET next_try = max(next_try, ?) WHERE id = ? AND state = 'queued'",
                (_after(delay), entry),
            )

    def delivered(self, entry: int) -> None:
        """Note that the controller has acknowledged the result, whose text goes then.

        Raises JournalError.
        """
        with opened(self.path) as db:
            self._finish(db, entry, "delivered", delivered=time.time(), last_error="", answer=None)
            shrink(db)

    def set_aside(self, entry: int, reason: str) -> None:
        """Never look at an entry again that cannot be used. Raises JournalError."""
        with opened(self.path) as db:
            _set(db, entry, None, state="damaged", reason=_short(reason))

    def set_aside_damaged(self) -> list[str]:
        """Set the entries aside that cannot be read; return a line for each.

        Raises JournalError.
        """
        known = ", ".join(f"'{state}'" for state in STATES)
        # Each half is answered by the index of states alone.
        condition = (
            "id IN (SELECT id FROM tasks WHERE state IN ('running', 'queued')) OR"
            f" id IN (SELECT id FROM tasks WHERE state IS NULL OR state NOT IN ({known}))"
        )
        lines = []
        for row, odd in self._select(Entry, f"{condition} ORDER BY id"):
            if odd:
                self.set_aside(row.id, odd)
                lines.append(f"task {row.id} in the journal {self.path} is set aside: {odd}")
        return lines

    def expire(self, toolchain: str | None = None) -> list[Row]:
        """Give up the results that nobody waits for any more; return which those were.

        Of one toolchain, or of all. The time since the last call counts as time in which an
        agent was up, unless it is longer than an agent would have let pass. Raises JournalError.
        """
        if not os.path.exists(self.path):
            return []
        condition, values = _of(toolchain)
        with opened(self.path) as db:
            _count(db, condition, values)
            old = self._sound(
                Row,
                f"state = 'queued' AND uptime >= lifetime{condition} ORDER BY id",
                values,
                db,
            )
            expired = [row for row in old if self._finish(db, row.id, "expired")]
            if expired:
                shrink(db)
        return expired

    def _finish(self, db: sqlite3.Connection, entry: int, state: State, **values: t.Any) -> bool:
        """Take an entry out of the queue; return whether it was there."""
        with transaction(db):
            done = _set(db, entry, "queued", state=state, **values)
            db.execute(
                "DELETE FROM results WHERE id NOT IN (SELECT id FROM tasks WHERE state = 'queued')"
                " AND id NOT IN (SELECT id FROM tasks WHERE state = 'expired'"
                " ORDER BY id DESC LIMIT ?)",
                (_EXPIRED_TEXTS,),
            )
        return done

    def orphans(self, owners: t.Collection[str], grace: float) -> list[Row]:
        """Return the running tasks of which none of `owners` is the owner.

        One that has no owner yet may still get one for `grace` seconds. Raises JournalError.
        """
        return [
            row
            for row in self._sound(Row, "state = 'running' ORDER BY id")
            if (row.owner not in owners if row.owner else row.age > grace)
        ]

    def queue(self, toolchain: str | None = None) -> list[Row]:
        """Return the results that wait to be delivered, the oldest first.

        Of one toolchain, or of all. Raises JournalError.
        """
        condition, values = _of(toolchain)
        return self._sound(Row, f"state = 'queued'{condition} ORDER BY id", values)

    def running(self) -> list[Row]:
        """Return the tasks that have no result yet, the oldest first. Raises JournalError."""
        return self._sound(Row, "state = 'running' ORDER BY id")

    def latest(self, count: int) -> list[Row]:
        """Return the last entries, the newest first. Raises JournalError."""
        return [row for row, _odd in self._select(Row, "1 ORDER BY id DESC LIMIT ?", (count,))]

    def tally(self, seconds: float) -> tuple[int, dict[str, int]]:
        """Return how many tasks were ever noted, and those that ended lately, by status.

        These are of the last `seconds`, and of the last thousand at most. Raises JournalError.
        """
        counts = dict.fromkeys((str(status) for status in Status), 0)
        if not os.path.exists(self.path):
            return 0, counts
        now = time.time()
        with opened(self.path) as db:
            total = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'").fetchone()
            # Not the whole of a table that holds texts of megabytes.
            lately = db.execute(
                "SELECT status, count(*) FROM"
                " (SELECT status, finished FROM tasks ORDER BY id DESC LIMIT ?)"
                " WHERE finished BETWEEN ? AND ? GROUP BY status",
                (_LATELY, now - seconds, now),
            ).fetchall()
        for status, count in lately:
            # What is damaged is nobody's status.
            name = status.decode(errors="replace") if isinstance(status, bytes) else ""
            if name in counts:
                counts[name] += count
        return (total[0] if total and isinstance(total[0], int) else 0), counts

    def find(self, name: str, version: str | None = None) -> Row | None:
        """Return the last task of a package, of one version or of any. Raises JournalError."""
        condition, values = "name = ?", [name]
        if version is not None:
            condition, values = "name = ? AND version = ?", [name, version]
        found = self._select(Row, f"{condition} ORDER BY id DESC LIMIT 1", tuple(values))
        return found[0][0] if found else None

    def get(self, entry: int) -> Entry | None:
        """Return one entry; None if there is none of that number.

        Raises JournalError, for one that is damaged as well.
        """
        for found, odd in self._select(Entry, "id = ?", (entry,)):
            if odd:
                raise JournalError(
                    f"task {entry} in the journal {self.path} is damaged: {odd}", temporary=False
                )
            return found
        return None

    def result(self, entry: int) -> str | None:
        """Return the text of a result that is kept; None if there is none.

        Raises JournalError.
        """
        if not os.path.exists(self.path):
            return None
        with self._reading(self.path) as db:
            row = db.execute("SELECT text FROM results WHERE id = ?", (entry,)).fetchone()
        try:
            return text(row[0]) if row else None
        except ValueError as error:
            raise JournalError(
                f"the result of task {entry} in the journal {self.path} is damaged",
                temporary=False,
            ) from error

    def request(self, entry: Entry) -> ResultRequest:
        """Return what to send to the controller.

        Raises JournalError: for good (not `temporary`) if what is kept of it is damaged.
        """
        content = self.result(entry.id)
        try:
            if content is None:
                raise ValueError("it is gone")
            return ResultRequest(
                entry.session,
                Result.parse(content, f"journal entry {entry.id}"),
                challenge=None if entry.answer is None else decode(entry.answer),
                agent_checksum=entry.agent_checksum,
            )
        except (EngineError, ValueError) as error:
            raise JournalError(
                f"the result of task {entry.id} in the journal {self.path} cannot be read: {error}",
                temporary=False,
            ) from error

    def check(self) -> None:
        """Raise JournalError if a task could not be noted: better before it is asked for."""
        with changing(self.path) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {int(version)}")

    def _sound(
        self,
        kind: type[_AnyRow],
        condition: str,
        values: tuple[t.Any, ...] = (),
        db: sqlite3.Connection | None = None,
    ) -> list[_AnyRow]:
        """Return the rows that are not damaged; set_aside_damaged() tells of the others."""
        return [row for row, odd in self._select(kind, condition, values, db) if not odd]

    def _select(
        self,
        kind: type[_AnyRow],
        condition: str,
        values: tuple[t.Any, ...] = (),
        db: sqlite3.Connection | None = None,
    ) -> list[tuple[_AnyRow, str]]:
        query = f"SELECT {columns(kind)} FROM tasks WHERE {condition}"
        if db is not None:
            return [read(kind, row) for row in db.execute(query, values)]
        if not os.path.exists(self.path):
            return []
        with self._reading(self.path) as own:
            return [read(kind, row) for row in own.execute(query, values)]

    def _update(self, entry: int, former: State | None, **values: t.Any) -> bool:
        """Change an entry, if its state is `former`; return whether it was."""
        with changing(self.path) as db:
            return _set(db, entry, former, **values)


def _set(db: sqlite3.Connection, entry: int, former: State | None, **values: t.Any) -> bool:
    changes = ", ".join(f"{name} = :{name}" for name in values)
    condition = "id = :_id" + (" AND state = :_former" if former else "")
    cursor = db.execute(
        f"UPDATE tasks SET {changes} WHERE {condition}",
        {**values, "_id": entry, "_former": former},
    )
    return cursor.rowcount > 0


def _of(toolchain: str | None) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if toolchain is None else (" AND toolchain = ?", (toolchain,))


def _count(db: sqlite3.Connection, condition: str, values: tuple[str, ...]) -> None:
    """Add the time since the last call to the entries that are not over yet."""
    now = time.monotonic()
    due = f"state IN ('running', 'queued') AND abs(? - counted) >= ?{condition}"
    chosen = (now, _LEAST_STEP, *values)
    if db.execute(f"SELECT 1 FROM tasks WHERE {due} LIMIT 1", chosen).fetchone():
        # A moment that lies ahead is one before the host was booted.
        db.execute(
            "UPDATE tasks SET uptime = uptime + max(0, min(? - counted, ?)), counted = ?"
            f" WHERE {due}",
            (now, _STEP, now, *chosen),
        )


def _trim(db: sqlite3.Connection) -> None:
    db.execute(
        f"DELETE FROM tasks WHERE state IN {_OVER} AND id <= (SELECT max(id) FROM tasks) - ?",
        (_HISTORY,),
    )


def _after(delay: float) -> float:
    return time.time() + min(delay, LONGEST_PAUSE)


def _short(words: str) -> str:
    return words if len(words) <= _WORDS else f"{words[:_WORDS]}…"


def settle(journal: Journal, entry: int, delivered: str | None = None) -> None:
    """See to it that a task whose performer is gone has a result.

    `delivered` is a file beside which a result may have arrived; without a usable one
    the task is given back. Nothing happens if it has a result already. One that cannot be
    read is set aside. Raises JournalError.
    """
    try:
        found = journal.get(entry)
        if found is None or found.state != "running":
            return
        task = Task.parse(found.task, f"journal entry {entry}")
    except (EngineError, ValueError) as error:
        if isinstance(error, JournalError) and error.temporary:
            raise
        journal.set_aside(entry, str(error))
        return
    result = _arrived(delivered, task) if delivered else None
    if result is not None:
        journal.store(entry, result, culprit="none" if result.status < Status.ERROR else "task")
    else:
        reason = "the agent was interrupted"
        journal.give_back(entry, task, culprit="host", reason=reason)


def _arrived(path: str, task: Task) -> Result | None:
    """Return the result of `task` in the folder of `path`, if there is a usable one."""
    # Whatever a guest has left there: the task gets a result all the same.
    try:
        return read_arrived(os.path.dirname(path), task)
    except (OSError, ValueError, MemoryError, RecursionError):
        return None
