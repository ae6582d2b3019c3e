# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What QEMU's options say about the files of a machine, and the same over overlays.

Of `-drive` and `-blockdev`, in all of their forms, we understand what opens a file by its
name with a format that is told. A file that something else names as well, or that is
opened in another way, is left to be copied whole: that is always right.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import typing as t

from ...storage.overlay import FORMATS, QCOW2
from ...storage.protocol import Uses

# Options whose value is a file that is only read.
_READ = ("-kernel", "-initrd", "-dtb", "-bios", "-cdrom")
_TRUE = ("on", "true", "yes", True)
_PLAIN = re.compile(r"(?:\./)?([^/:,]+)")


@dataclasses.dataclass(frozen=True)
class _Drive:
    """A drive: at which `place` of the options its file is named, and its format is."""

    place: int
    file: str
    format: str
    read_only: bool
    format_place: int


def uses_of(options: t.Sequence[str]) -> Uses:
    """Return what a machine with these `options` does with the files in its directory."""
    drives = _drives(options)
    by_file: dict[str, list[_Drive]] = collections.defaultdict(list)
    for drive in drives:
        by_file[drive.file].append(drive)
    disks: dict[str, str] = {}
    read_only: set[str] = set()
    for file, group in by_file.items():
        if _elsewhere(file, options, {drive.place for drive in group}):
            continue
        if all(drive.read_only for drive in group):
            read_only.add(file)
        elif len({drive.format for drive in group}) == 1:
            disks[file] = group[0].format
    for place, option, value in _pairs(options):
        name = _file(value) if option in _READ else None
        if name is not None and not _elsewhere(name, options, {place}):
            read_only.add(name)
    return Uses(disks, frozenset(read_only))


def over(options: t.Sequence[str], overlays: t.Collection[str]) -> list[str]:
    """Return `options` for a machine whose disks `overlays` are qcow2, whatever they were."""
    changed = list(options)
    for drive in _drives(options):
        if drive.file in overlays:
            changed[drive.format_place] = _with_format(options[drive.format_place])
    return changed


def _pairs(options: t.Sequence[str]) -> t.Iterator[tuple[int, str, str]]:
    """The place of each value, the option before it, and the value."""
    for place in range(1, len(options)):
        option = options[place - 1]
        if option.startswith("-"):
            yield place, f"-{option.lstrip('-')}", options[place]


def _drives(options: t.Sequence[str]) -> list[_Drive]:
    found: list[_Drive | None] = []
    blocks: list[tuple[int, dict[str, t.Any]]] = []
    nodes: dict[t.Any, tuple[int, str]] = {}
    for place, option, value in _pairs(options):
        if option == "-drive":
            found.append(_drive(place, _fields(value)))
        elif option == "-blockdev":
            fields = _fields(value, first="driver")
            blocks.append((place, fields))
            if fields.get("driver") == "file" and (file := _file(fields.get("filename"))):
                nodes[fields.get("node-name")] = (place, file)
    for place, fields in blocks:
        found.append(_block(place, fields, nodes))
    return [drive for drive in found if drive is not None]


def _drive(place: int, fields: t.Mapping[str, t.Any]) -> _Drive | None:
    return _made(
        place,
        fields.get("file", fields.get("file.filename")),
        fields.get("format", fields.get("driver")),
        fields,
        place,
    )


def _block(
    place: int, fields: t.Mapping[str, t.Any], nodes: t.Mapping[t.Any, tuple[int, str]]
) -> _Drive | None:
    if fields.get("file") in nodes:
        # The file is a node of its own.
        file_place, file = nodes[fields["file"]]
        return _made(file_place, file, fields.get("driver"), fields, place)
    return _made(place, fields.get("file.filename"), fields.get("driver"), fields, place)


def _made(
    place: int,
    name: t.Any,
    disk_format: t.Any,
    fields: t.Mapping[str, t.Any],
    format_place: int,
) -> _Drive | None:
    file = _file(name)
    # A part of a file is no disk of qcow2.
    if file is None or disk_format not in FORMATS or {"offset", "size"} & fields.keys():
        return None
    if fields.get("file.driver", "file") != "file":
        return None
    read_only = fields.get("media") == "cdrom" or any(
        fields.get(key) in _TRUE for key in ("readonly", "read-only")
    )
    return _Drive(place, file, disk_format, read_only, format_place)


def _file(value: t.Any) -> str | None:
    """The name of a file in the machine's directory; None if `value` is something else."""
    match = _PLAIN.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match and match[1] not in (".", "..") else None


def _elsewhere(file: str, options: t.Sequence[str], places: t.Collection[int]) -> bool:
    """Whether `file` is named in `options` at others than these `places`."""
    name = re.compile(rf"(?<![\w.+-]){re.escape(file)}(?![\w+-]|\.\w)")
    return any(name.search(value) for place, value in enumerate(options) if place not in places)


def _fields(value: str, first: str = "") -> dict[str, t.Any]:
    """The fields of an option's value, which is JSON or of the form key=value,..."""
    if value.startswith("{"):
        try:
            return dict(_flat(json.loads(value), ""))
        except (ValueError, RecursionError):
            # QEMU will say so.
            return {}
    fields: dict[str, t.Any] = {}
    for number, part in enumerate(value.replace(",,", "\0").split(",")):
        key, equals, content = part.replace("\0", ",").partition("=")
        if equals:
            fields[key] = content
        elif first and number == 0:
            fields[first] = key
        else:
            # A flag, as it used to be given.
            fields[key] = "on"
    return fields


def _flat(value: t.Any, prefix: str) -> t.Iterator[tuple[str, t.Any]]:
    for key, each in value.items() if isinstance(value, dict) else ():
        if isinstance(each, dict):
            yield from _flat(each, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", each


def _with_format(value: str) -> str:
    """The value of `-drive` or `-blockdev` with its format, which is there, made qcow2."""
    if value.startswith("{"):
        fields = json.loads(value)
        fields["driver"] = QCOW2
        return json.dumps(fields)
    parts = re.split(r"(?<!,),(?!,)", value)
    for number, part in enumerate(parts):
        key, equals, _dummy = part.partition("=")
        if equals and key in ("format", "driver"):
            parts[number] = f"{key}={QCOW2}"
        elif number == 0 and key in FORMATS and not equals:
            parts[number] = QCOW2
    return ",".join(parts)
