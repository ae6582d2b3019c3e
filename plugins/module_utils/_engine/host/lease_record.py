# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What stands in the file of a lease: read as what it is, a file that may be damaged or lie."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import typing as t

# Bytes: more than any owner notes.
_LARGEST = 1 << 20


def is_text(value: t.Any) -> bool:
    """Return whether `value` is a text on one line, without control characters."""
    return isinstance(value, str) and value.isprintable()


def is_texts(value: t.Any) -> bool:
    """Return whether `value` is a list of such texts."""
    return isinstance(value, list) and all(map(is_text, value))


def _is_count(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def is_time(value: t.Any) -> bool:
    """Return whether `value` is a time, in seconds since the epoch."""
    # Neither infinity, nor what is no number, nor an integer that no float can hold.
    return isinstance(value, float | int) and abs(value) < 1e12


def _is_journal(value: t.Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and is_text(value[0]) and _is_count(value[1])


def _is_failures(value: t.Any) -> bool:
    return isinstance(value, dict) and all(map(is_text, value.values()))


# Of what kind what an owner notes is. Any of it may be null, but `pid` and `since`.
_KINDS: dict[str, t.Callable[[t.Any], bool]] = {
    "pid": _is_count,
    "since": is_time,
    "what": is_text,
    "machine": is_text,
    "task": is_text,
    "phase": is_text,
    "logs": is_text,
    "address": is_text,
    "bridge": is_text,
    "mac": is_text,
    "runtime": is_text,
    "groups": is_texts,
    "qemu": _is_count,
    "qemu_start": _is_count,
    "folders": is_texts,
    "snapshot": is_text,
    "snapshots": is_texts,
    "journal": _is_journal,
    "delivery": is_text,
    "toolchain": is_text,
    "controllers": is_texts,
    "instance_max": _is_count,
    "version": is_text,
    "failed": _is_failures,
    "troubles": _is_failures,
    "ram": _is_count,
    "line": is_time,
    "waits": is_text,
    "shell": is_text,
}


def read_record(path: str) -> tuple[dict[str, t.Any], str]:
    """Return the record in the file `path`, and what is wrong with it, else nothing.

    A line that is not JSON was cut short by a crash and is no damage, what it was to name was
    not made. Values of a wrong kind are left out. Raises OSError if it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return {}, "it is no file"
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        return {}, f"it has more than {_LARGEST} bytes"
    record: dict[str, t.Any] = {}
    damage = ""
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            facts = json.loads(line.decode())
            if isinstance(facts, dict):
                record.update(facts)
            else:
                damage = "a line of it is no object"
    for name, value in list(record.items()):
        if value is None and name not in ("pid", "since"):
            continue
        is_right = _KINDS.get(name)
        # What a later version notes is not ours to judge.
        if is_right is not None and not is_right(value):
            del record[name]
            damage = f"{name} is of a wrong kind"
    return record, damage
