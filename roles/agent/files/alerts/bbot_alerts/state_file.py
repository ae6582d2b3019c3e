# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger as a file, which is replaced as a whole, and may be damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import typing as t

from .ledger import Entry, Ledger
from .outbox import Event, Outbox

# The form of the file; one of another form is not read.
_FORM = 2
# Bytes: several times what a ledger can take.
_LARGEST = 8 << 20

_Kind = t.TypeVar("_Kind")


class DamagedError(Exception):
    """A file that is no ledger; the text says why."""


def load(path: str) -> Ledger:
    """Return the ledger in the file `path`, a new one if there is none.

    Raises DamagedError for one that is none, and OSError.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return Ledger()
    if len(data) > _LARGEST:
        raise DamagedError(f"it has more than {_LARGEST} bytes")
    try:
        content = json.loads(data.decode())
        if content["form"] != _FORM:
            raise DamagedError(f"it is of form {content['form']!r:.20}")
        return Ledger(
            boot=_of(str, content["boot"]),
            origin=_of(str, content["origin"]),
            number=_of(int, content["number"]),
            entries={key: _made(Entry, value) for key, value in content["entries"].items()},
            outboxes={way: _outbox(value) for way, value in content["outboxes"].items()},
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}"[:200]) from error


def save(path: str, ledger: Ledger) -> None:
    """Replace the file `path` by `ledger`, on disk when this returns. Raises OSError."""
    partial = f"{path}.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump({"form": _FORM, **dataclasses.asdict(ledger)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, path)
    except OSError:
        # What is half written on a full disk takes no room there.
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise


def _of(kind: type[_Kind], value: t.Any) -> _Kind:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r:.20} is no {kind.__name__}")
    return value


def _outbox(value: t.Any) -> Outbox:
    made = _made(Outbox, {**value, "events": []})
    made.events = [_made(Event, each) for each in _of(list, value["events"])]
    if any(each.what not in ("began", "ended") for each in made.events):
        raise ValueError("an event neither began nor ended")
    made.tried = max(0, min(made.tried, len(made.events)))
    return made


def _made(kind: type[_Kind], value: t.Any) -> _Kind:
    """Return the object of a dataclass that `value` is. Raises TypeError and ValueError."""
    made = kind(**_of(dict, value))
    for field in dataclasses.fields(made):  # type: ignore[arg-type]
        given = getattr(made, field.name)
        if field.type == "float":
            if not isinstance(given, int | float) or not math.isfinite(given):
                raise ValueError(f"{field.name} is no time")
        elif field.type in _KINDS:
            _of(_KINDS[field.type], given)
    return made


_KINDS: dict[t.Any, type] = {"int": int, "str": str, "bool": bool}
