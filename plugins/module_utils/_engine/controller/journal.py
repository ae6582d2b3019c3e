# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The journal: every task that a controller gave, and its result until the controller has it.

A file of SQLite, shared by all agents and plays of a host. Each operation opens it
anew: connections do not outlive a fork. A change is on disk when its method returns.
"""

from __future__ import annotations

import contextlib
import dataclasses
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

# Under the folder of the host's state.
FILE = "journal.sqlite"

# Seconds for which brep waits for a result; then it gives the task to somebody else.
RESULT_TIMEOUT = 3 * 3600.0

# Results that were delivered or have expired are kept for reading, the last so many.
_HISTORY = 1000
# For how long another process may have the file to itself, in seconds.
_BUSY = 30.0

State = t.Literal["running", "queued", "delivered", "expired"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  toolchain TEXT NOT NULL,
  controller TEXT NOT NULL,
  session TEXT NOT NULL,
  answer TEXT,
  result_url TEXT NOT NULL,
  upload_urls TEXT NOT NULL,
  agent_checksum TEXT,
  task TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  machine TEXT NOT NULL,
  state TEXT NOT NULL,
  received REAL NOT NULL,
  expires REAL NOT NULL,
  owner TEXT,
  finished REAL,
  status TEXT,
  culprit TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '',
  phases TEXT NOT NULL DEFAULT '{}',
  logs TEXT,
  result TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_try REAL NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '',
  size_limit INTEGER,
  delivered REAL
);
CREATE INDEX IF NOT EXISTS tasks_state ON tasks (state);
"""


class JournalError(EngineError):
    """The journal cannot be read or written; the text names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A task in the journal.

    ``controller`` is the URL that was asked, ``answer`` the signature for its challenge
    as it goes over the wire. Times are seconds since the epoch. ``state``:

    - `running`: accepted, without a result yet
    - `queued`: there is a result that the controller does not have yet
    - `delivered`: the controller has acknowledged the result
    - `expired`: it has not, and does not wait for it any more

    ``owner`` names the lease (Lease.name) of the process that has to do with the task.
    ``result`` is the result manifest, ``size_limit`` what the controller turned out to
    take, in bytes.
    """

    id: int
    toolchain: str
    controller: str
    session: str
    answer: str | None
    result_url: str
    upload_urls: dict[str, str]
    agent_checksum: str | None
    task: str
    name: str
    version: str
    machine: str
    state: State
    received: float
    expires: float
    owner: str | None
    finished: float | None
    status: str | None
    culprit: str
    reason: str
    phases: dict[str, float]
    logs: str | None
    result: str | None
    attempts: int
    next_try: float
    last_error: str
    size_limit: int | None
    delivered: float | None

    @property
    def title(self) -> str:
        """The package and its version, for people."""
        return f"{self.name}/{self.version}"

    def request(self) -> ResultRequest:
        """What to send to the controller. Raises ManifestError if the journal was tampered with."""
        if self.result is None:
            raise AssertionError(f"task {self.id} has no result")
        return ResultRequest(
            self.session,
            Result.parse(self.result, f"journal entry {self.id}"),
            challenge=None if self.answer is None else decode(self.answer),
            agent_checksum=self.agent_checksum,
        )


_COLUMNS = ", ".join(field.name for field in dataclasses.fields(Entry))
_JSON = ("upload_urls", "phases")


class Journal:
    """The journal in the file ``path``, which is made at the first use."""

    def __init__(self, path: str) -> None:
        self.path = path

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
        """Note the task of ``response``; the id of its entry.

        ``owner`` is who sees to it until it is performed; ``timeout`` is for how many
        seconds the controller will want the result.
        """
        task = response.task
        if task is None or response.result_url is None:
            raise AssertionError("a response with a session has a task and a result URL")
        now = time.time()
        row = {
            "toolchain": toolchain,
            "controller": controller,
            "session": response.session,
            "answer": answer,
            "result_url": response.result_url,
            "upload_urls": json.dumps(dict(response.upload_urls)),
            "agent_checksum": agent_checksum,
            "task": task.to_text(),
            "name": task.name,
            "version": task.version,
            "machine": task.machine,
            "state": "running",
            "owner": owner,
            "received": now,
            "expires": now + timeout,
        }
        marks = ", ".join(f":{name}" for name in row)
        with self._changing() as db:
            cursor = db.execute(f"INSERT INTO tasks ({', '.join(row)}) VALUES ({marks})", row)
            self._trim(db)
            return int(cursor.lastrowid or 0)

    def own(self, entry: int, owner: str, logs: str) -> None:
        """Note who performs the task, and where its logs will be."""
        self._update(entry, "running", owner=owner, logs=logs)

    def store(self, entry: int, result: Result, *, culprit: str = "", reason: str = "") -> bool:
        """Keep the result of a task that has none yet; whether it had none."""
        return self._update(
            entry,
            "running",
            state="queued",
            result=result.for_controller().to_text(),
            status=str(result.status),
            culprit=culprit,
            reason=reason,
            finished=time.time(),
        )

    def describe(self, entry: int, *, culprit: str, reason: str, phases: dict[str, float]) -> None:
        """Add what is known only after the machine is down. Harmless at any time."""
        self._update(entry, None, culprit=culprit, reason=reason, phases=json.dumps(phases))

    def failed(self, entry: int, error: str, delay: float, size_limit: int | None = None) -> None:
        """Note that the result could not be delivered, and to try again after ``delay`` seconds."""
        with self._changing() as db:
            db.execute(
                "UPDATE tasks SET attempts = attempts + 1, next_try = ?, last_error = ?,"
                " size_limit = coalesce(?, size_limit) WHERE id = ? AND state = 'queued'",
                (time.time() + delay, error, size_limit, entry),
            )

    def delivered(self, entry: int) -> None:
        """Note that the controller has acknowledged the result."""
        self._update(
            entry, "queued", state="delivered", delivered=time.time(), last_error="", answer=None
        )

    def expire(self) -> list[Entry]:
        """Give up the results that nobody waits for any more; which those were."""
        old = self._select("state = 'queued' AND expires < ?", (time.time(),))
        return [entry for entry in old if self._update(entry.id, "queued", state="expired")]

    def orphans(self, owners: t.Collection[str], grace: float) -> list[Entry]:
        """Running tasks of which none of ``owners`` is the owner.

        One that has no owner yet may still get one for ``grace`` seconds.
        """
        running = self._select("state = 'running'")
        limit = time.time() - grace
        return [
            entry
            for entry in running
            if (entry.owner not in owners if entry.owner else entry.received < limit)
        ]

    def queue(self, toolchain: str | None = None) -> list[Entry]:
        """The results that wait to be delivered, the oldest first; of one toolchain, or all."""
        if toolchain is None:
            return self._select("state = 'queued'")
        return self._select("state = 'queued' AND toolchain = ?", (toolchain,))

    def get(self, entry: int) -> Entry | None:
        """One entry; None if there is none of that id."""
        found = self._select("id = ?", (entry,))
        return found[0] if found else None

    def latest(self, count: int) -> list[Entry]:
        """The last entries, the newest first."""
        return self._select("1 ORDER BY id DESC LIMIT ?", (count,))

    def check(self) -> None:
        """Raise JournalError if a task could not be noted: better before it is asked for."""
        with self._changing() as db:
            db.execute("PRAGMA user_version = 1")

    def _select(self, condition: str, values: tuple[t.Any, ...] = ()) -> list[Entry]:
        if "ORDER BY" not in condition:
            condition += " ORDER BY id"
        if not os.path.exists(self.path):
            return []
        with self._opened() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM tasks WHERE {condition}", values).fetchall()
        return [_entry(row) for row in rows]

    def _update(self, entry: int, former: State | None, **values: t.Any) -> bool:
        """Change an entry, if its state is ``former``; whether it was."""
        changes = ", ".join(f"{name} = :{name}" for name in values)
        condition = "id = :_id" + (" AND state = :_former" if former else "")
        with self._changing() as db:
            cursor = db.execute(
                f"UPDATE tasks SET {changes} WHERE {condition}",
                {**values, "_id": entry, "_former": former},
            )
            return cursor.rowcount > 0

    @staticmethod
    def _trim(db: sqlite3.Connection) -> None:
        db.execute(
            "DELETE FROM tasks WHERE state IN ('delivered', 'expired') AND id <="
            " (SELECT max(id) FROM tasks) - ?",
            (_HISTORY,),
        )

    @contextlib.contextmanager
    def _opened(self) -> t.Iterator[sqlite3.Connection]:
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            if not os.path.exists(self.path):
                # Sessions and signatures are nobody else's business.
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            db = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            try:
                db.execute("PRAGMA synchronous = EXTRA")
                db.executescript(_SCHEMA)
                yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"the journal {self.path} cannot be used: {error}") from error

    @contextlib.contextmanager
    def _changing(self) -> t.Iterator[sqlite3.Connection]:
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                # A full disk has rolled it back already.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _entry(row: tuple[t.Any, ...]) -> Entry:
    names = [field.name for field in dataclasses.fields(Entry)]
    values = dict(zip(names, row, strict=True))
    values |= {name: json.loads(values[name]) for name in _JSON}
    return Entry(**values)


def settle(journal: Journal, entry: int, delivered: str | None = None) -> None:
    """See to it that a task whose performer is gone has a result.

    ``delivered`` is the file in which a result may have arrived; without a usable one
    the task is aborted: older controllers do not know interrupted ones. Nothing
    happens if it has a result already.
    """
    found = journal.get(entry)
    if found is None or found.state != "running":
        return
    task = Task.parse(found.task, f"journal entry {entry}")
    result = _arrived(delivered, task) if delivered else None
    if result is not None:
        journal.store(entry, result, culprit="none" if result.status < Status.ERROR else "task")
    else:
        reason = "the agent was interrupted"
        journal.store(entry, Result.for_task(task), culprit="host", reason=reason)


def _arrived(path: str, task: Task) -> Result | None:
    """The result of ``task`` in the file ``path``, if there is a usable one."""
    # Whatever a guest has left there: the task gets a result all the same.
    try:
        return read_arrived(path, task)
    except (OSError, ValueError, MemoryError):
        return None
