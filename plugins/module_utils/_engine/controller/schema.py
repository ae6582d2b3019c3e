# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The file of the journal: its tables, how older files become today's, and how it shrinks."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import typing as t
import urllib.parse

from ..errors import EngineError

# For how long another process may have the file to itself, in seconds.
_BUSY = 30.0
# For how long one who only looks waits for that, in seconds.
_GLANCE = 5.0
# Free space that is worth giving back to the file system, in bytes.
_WASTE = 1 << 20


class JournalError(EngineError):
    """The journal cannot be read or written; the text names the file and the reason."""


# What the first release made of an empty file, whether it set `user_version` or not.
_FIRST = """
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

# Texts of results get a table of their own, so that nobody reads them in passing, and the
# clock of the wall no longer decides: an entry counts the seconds in which an agent was up.
_SECOND = """
CREATE TABLE results (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO results SELECT id, result FROM tasks WHERE state = 'queued' AND result IS NOT NULL;
ALTER TABLE tasks ADD COLUMN lifetime REAL NOT NULL DEFAULT 0;
UPDATE tasks SET lifetime = CASE
  WHEN typeof(expires) = 'real' AND typeof(received) = 'real' THEN max(expires - received, 0)
  ELSE 10800 END;
ALTER TABLE tasks ADD COLUMN uptime REAL NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN noted REAL NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN counted REAL NOT NULL DEFAULT 0;
UPDATE tasks SET noted = :now, counted = :now;
ALTER TABLE tasks ADD COLUMN resets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks DROP COLUMN result;
ALTER TABLE tasks DROP COLUMN expires;
CREATE INDEX tasks_name ON tasks (name, version);
CREATE INDEX tasks_package ON tasks (name);
"""

_MIGRATIONS = (_FIRST, _SECOND)
VERSION = len(_MIGRATIONS)


@contextlib.contextmanager
def opened(path: str) -> t.Iterator[sqlite3.Connection]:
    """Open the journal at `path` for the length of a with statement, in its newest form.

    Raises JournalError for whatever goes wrong, within the statement as well.
    """
    with _worded(f"the journal {path} cannot be used"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            # Sessions and signatures are nobody else's business.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY, isolation_level=None)) as db:
            # Whoever reads a value says what to make of text that is none.
            db.text_factory = bytes
            db.execute("PRAGMA synchronous = EXTRA")
            _migrate(db, path)
            yield db


@contextlib.contextmanager
def reading(path: str) -> t.Iterator[sqlite3.Connection]:
    """Open the journal at `path`, which is there, for the length of a with statement; to read it.

    Nothing is written, not even to bring it to its newest form. Raises JournalError for whatever
    goes wrong, within the statement as well.
    """
    with _worded(f"the journal {path} cannot be read"):
        place = f"file:{urllib.parse.quote(os.path.abspath(path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=_GLANCE)) as db:
            db.text_factory = bytes
            if (version := _version(db)) != VERSION:
                raise JournalError(
                    f"the journal {path} is of another bbot-agent (its form is {version}, this "
                    f"one knows {VERSION}): "
                    + ("upgrade bbot-agent" if version > VERSION else "run bbot-agent status once"),
                    temporary=False,
                )
            yield db


@contextlib.contextmanager
def _worded(what: str) -> t.Iterator[None]:
    """Have a damaged file, of which SQLite raises errors of many kinds, raise JournalError."""
    try:
        yield
    except (EngineError, AssertionError):
        raise
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise JournalError(f"{what}: {words}") from error


@contextlib.contextmanager
def changing(path: str) -> t.Iterator[sqlite3.Connection]:
    """Open the journal at `path` for one transaction, which is on disk at the end.

    Raises JournalError; nothing has changed then.
    """
    with opened(path) as db, transaction(db):
        yield db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> t.Iterator[None]:
    """Make what is done in the with statement one change, or none at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # A full disk has rolled it back already.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection, path: str) -> None:
    if _version(db) == VERSION:
        return
    if _version(db) == 0 and not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        # Only before there are tables.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(db):
        # Another process may have done it meanwhile.
        version = _version(db)
        if version > VERSION:
            raise JournalError(
                f"the journal {path} is of a newer bbot-agent (its form is {version}, this one "
                f"knows {VERSION}): upgrade bbot-agent",
                temporary=False,
            )
        # The first form is made once more: there are files of it without a number.
        for number in range(0 if version == 1 else version, VERSION):
            for statement in _MIGRATIONS[number].split(";\n"):
                values = {"now": time.monotonic()} if ":now" in statement else {}
                db.execute(statement, values)
        db.execute(f"PRAGMA user_version = {VERSION}")
    shrink(db)


def shrink(db: sqlite3.Connection) -> None:
    """Give the file system back what the file does not need any more, if it is worth it.

    That is a kindness: a disk that is too full for it is no matter.
    """
    with contextlib.suppress(sqlite3.Error):
        free = int(db.execute("PRAGMA freelist_count").fetchone()[0])
        size = int(db.execute("PRAGMA page_size").fetchone()[0])
        if free * size < _WASTE:
            return
        if db.execute("PRAGMA auto_vacuum").fetchone()[0]:
            # Gives back a page each step, and execute() makes but one.
            db.executescript("PRAGMA incremental_vacuum")
        else:
            # A file of the first form: it has to be written anew once.
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("VACUUM")
