# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a suspended machine's record says, checked: a file that may be damaged or lie."""

from __future__ import annotations

import json
import os
import typing as t

from ..errors import EngineError
from ..host.lease_record import is_text, is_texts, is_time
from .belongings import is_below

# Bytes: a record has one or two KiB.
_LARGEST = 1 << 20

_TEXTS = ("id", "machine", "what", "reason", "logs", "accelerator")
_HARDWARE_TEXTS = ("name", "directory", "mac")
_STATE_TEXTS = ("path", "key", "qemu")


class RecordError(EngineError):
    """A record that cannot be believed; the text says why."""

    temporary = False


def read_suspended(folder: str, machines: str, suffix: str) -> dict[str, t.Any]:
    """Return the record in `folder`, as plain data, of a machine below the folder `machines`.

    The name of its snapshot has to end with `suffix` and the name of `folder`, its memory has to
    lie in that. Raises RecordError, and OSError if there is none.
    """
    with open(os.path.join(folder, "record.json"), "rb") as file:
        data = file.read(_LARGEST + 1)
    try:
        record = json.loads(data.decode()) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError) as error:
        raise RecordError("it is not JSON") from error
    fields = _object(record, "it")
    hardware = _object(fields.get("hardware"), "hardware")
    state = _object(fields.get("state"), "state")
    _check_texts(fields, _TEXTS)
    _check_texts(hardware, _HARDWARE_TEXTS)
    _check_texts(state, _STATE_TEXTS)
    _check_numbers(fields, hardware)
    if state.get("ram_apart", False) not in (True, False):
        raise RecordError("ram_apart is of a wrong kind")
    number, directory = os.path.basename(folder), hardware["directory"]
    if fields["id"] != number or state["path"] != os.path.join(folder, "state"):
        raise RecordError("it is of another machine")
    if not is_below(directory, machines, 3) or not directory.endswith(f"{suffix}{number}"):
        raise RecordError(f"its snapshot {directory!r} is none")
    return fields


def _object(value: t.Any, what: str) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise RecordError(f"{what} is no object")
    return value


def _check_texts(fields: dict[str, t.Any], names: t.Iterable[str]) -> None:
    for name in names:
        if not is_text(fields.get(name)):
            raise RecordError(f"{name} is no text")


def _check_numbers(fields: dict[str, t.Any], hardware: dict[str, t.Any]) -> None:
    if not is_time(fields.get("since")):
        raise RecordError("since is no time")
    for name in ("cpu", "ram"):
        value = hardware.get(name, 1)
        if not isinstance(value, int) or not 0 < value < 1 << 40:
            raise RecordError(f"{name} is no number")
    options = hardware.get("options")
    if options is not None and not is_texts(options):
        raise RecordError("options are no list of words")
