# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What stands in the journal for a task, read as what it is: a file that may be damaged."""

from __future__ import annotations

import dataclasses
import json
import math
import time
import typing as t

from .backoff import LONGEST_PAUSE

State = t.Literal["running", "queued", "delivered", "expired", "done", "damaged"]
STATES: tuple[str, ...] = t.get_args(State)


@dataclasses.dataclass(frozen=True)
class Row:
    """A task in the journal, without its texts: what lists show.

    `controller` is the URL that was asked, empty for a task of this host's own people. Times
    are seconds since the epoch, `lifetime` and `uptime` seconds: for how long the controller
    wants the result, and for how long an agent was up since the task was noted. `state`:

    - `running`: accepted, without a result yet
    - `queued`: there is a result that the controller does not have yet
    - `delivered`: the controller has acknowledged the result
    - `expired`: it has not, and does not wait for it any more
    - `done`: there is a result, and no controller that wants it; with the status `interrupt`
      there is none, and the controller gives the task to somebody else by itself
    - `damaged`: the entry cannot be used any more; `reason` says why

    `owner` names the lease (Lease.name) of the process that has to do with the task.
    `size_limit` is what the controller turned out to take, in bytes, `resets` how often it
    hung up while it was sent a result of this size.
    """

    id: int
    toolchain: str
    controller: str
    name: str
    version: str
    machine: str
    state: State
    received: float
    lifetime: float
    uptime: float
    noted: float
    owner: str | None
    finished: float | None
    status: str | None
    culprit: str
    reason: str
    phases: dict[str, float]
    logs: str | None
    attempts: int
    next_try: float
    last_error: str
    size_limit: int | None
    resets: int
    delivered: float | None

    @property
    def title(self) -> str:
        """The package and its version, for people."""
        return f"{self.name}/{self.version}"

    @property
    def left(self) -> float:
        """For how many seconds more, with an agent that is up, the result is wanted."""
        return max(0.0, self.lifetime - self.uptime)

    @property
    def wait(self) -> float:
        """The seconds until the next attempt to deliver the result; 0 if it is due."""
        wait = self.next_try - time.time()
        return wait if 0 < wait <= LONGEST_PAUSE else 0.0

    @property
    def age(self) -> float:
        """The seconds since the task was noted; infinity if the host was booted since."""
        age = time.monotonic() - self.noted
        return age if age >= 0 else math.inf


@dataclasses.dataclass(frozen=True)
class Entry(Row):
    """A task in the journal, with what it takes to perform it and to deliver its result.

    `answer` is the signature for the controller's challenge as it goes over the wire.
    """

    session: str
    answer: str | None
    result_url: str
    upload_urls: dict[str, str]
    agent_checksum: str | None
    task: str


_AnyRow = t.TypeVar("_AnyRow", bound=Row)


class OddValueError(ValueError):
    """A value in the journal that cannot be there; the text names it."""


def columns(kind: type[Row]) -> str:
    """Return the columns of `kind`, for a SELECT whose rows read() is to be given."""
    return ", ".join(field.name for field in dataclasses.fields(kind))


def read(kind: type[_AnyRow], values: t.Sequence[t.Any]) -> tuple[_AnyRow, str]:
    """Return the row that SQLite's `values` are, and what is odd about it, if anything is.

    A value that is odd is replaced by a harmless one.
    """
    read_values: dict[str, t.Any] = {}
    odd = []
    for field, value in zip(dataclasses.fields(kind), values, strict=True):
        convert, default = _CONVERSIONS[str(field.type)]
        try:
            read_values[field.name] = convert(value)
        except (ValueError, RecursionError):
            read_values[field.name] = default() if callable(default) else default
            odd.append(field.name)
    if odd:
        read_values["state"] = "damaged"
    return kind(**read_values), f"odd values of {', '.join(odd)}" if odd else ""


def text(value: t.Any) -> str:
    """Return a text that SQLite gave as bytes. Raises ValueError for anything else."""
    if not isinstance(value, bytes):
        raise OddValueError("not a text")
    return value.decode("utf-8")


def _integer(value: t.Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise OddValueError("not an integer")
    return value


def _number(value: t.Any) -> float:
    if type(value) not in (int, float):
        raise OddValueError("not a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise OddValueError("not a number that can be held") from error
    if not math.isfinite(number):
        raise OddValueError("not a number")
    return number


def _state(value: t.Any) -> str:
    if text(value) not in STATES:
        raise OddValueError("not a state")
    return text(value)


def _word(value: t.Any) -> str:
    if not isinstance(value, str):
        raise OddValueError("not a text")
    return value


def _mapping(convert_one: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any], dict[str, t.Any]]:
    def convert(value: t.Any) -> dict[str, t.Any]:
        found = json.loads(text(value))
        if not isinstance(found, dict):
            raise OddValueError("not a mapping")
        return {name: convert_one(each) for name, each in found.items()}

    return convert


def _optional(convert: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any], t.Any]:
    return lambda value: None if value is None else convert(value)


# By the type of an attribute: what makes it of SQLite's value, and what stands in for it.
_CONVERSIONS: dict[str, tuple[t.Callable[[t.Any], t.Any], t.Any]] = {
    "int": (_integer, 0),
    "float": (_number, 0.0),
    "str": (text, ""),
    "State": (_state, "damaged"),
    "int | None": (_optional(_integer), None),
    "float | None": (_optional(_number), None),
    "str | None": (_optional(text), None),
    "dict[str, float]": (_mapping(_number), dict),
    "dict[str, str]": (_mapping(_word), dict),
}
