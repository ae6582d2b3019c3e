# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What our worker tells beside its result: driver, tests, and the files that it has uploaded.

It stands in the field `report` of the result manifest, as JSON in one line, an extension of ours
that controllers are not shown. It comes from the guest, and so may say anything.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import typing as t

from ..errors import EngineError

# Characters of the text; a name; entries of a list.
_TEXT_MOST = 4 << 20
_NAME_MOST = 500
_ENTRIES_MOST = 5000
_FAILURE_MOST = 8000

_SHA256 = re.compile("[0-9a-f]{64}")


class ReportError(EngineError, ValueError):
    """A report that is none; the text says what is wrong with it."""

    culprit = "task"
    temporary = False


@dataclasses.dataclass(frozen=True)
class ReportedFile:
    """A file that the worker announces: an upload, or an artifact in one."""

    path: str
    size: int
    sha256: str
    type: str = ""


@dataclasses.dataclass(frozen=True)
class TaskReport:
    """A report that has the right form.

    ``tests`` has for each operation that ran tests the numbers `passed`, `failed` and
    `skipped`, and perhaps `first_failure` with `name` and `text`. ``warnings`` has the
    first line that made an operation one with warnings. ``uploads`` are the files that must
    have arrived, ``artifacts`` what is in them.
    """

    driver: str = ""
    tests: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    warnings: dict[str, str] = dataclasses.field(default_factory=dict)
    artifacts: tuple[ReportedFile, ...] = ()
    uploads: tuple[ReportedFile, ...] = ()

    def to_mapping(self) -> dict[str, t.Any]:
        """Return it as plain data."""
        return dataclasses.asdict(self)


def read_report(text: str) -> TaskReport:
    """Read the field of a result manifest. Raises ReportError."""
    if len(text) > _TEXT_MOST:
        raise ReportError(f"it has {len(text)} characters")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"it is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ReportError("it is not an object")
    tests = _of_kind(content.get("tests", {}), dict, "tests")
    warnings = _of_kind(content.get("warnings", {}), dict, "warnings")
    return TaskReport(
        driver=_text(content.get("driver", ""), "driver"),
        tests={_text(name, "an operation"): _tests(counts) for name, counts in tests.items()},
        warnings={
            _text(name, "an operation"): _text(line, "a line") for name, line in warnings.items()
        },
        artifacts=_files(content.get("artifacts", []), "artifacts", "path"),
        uploads=_files(content.get("uploads", []), "uploads", "name"),
    )


def check_uploads(report: TaskReport, folder: str) -> str:
    """Compare what is in ``folder`` with what the report announces; what is wrong, or empty."""
    for upload in report.uploads:
        path = os.path.join(folder, upload.path)
        try:
            size = os.lstat(path).st_size
            if size != upload.size:
                return f"upload {upload.path} has {size} bytes, not the {upload.size} announced"
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"upload {upload.path} was announced and is not there: {error.strerror}"
        if digest != upload.sha256:
            return f"upload {upload.path} has another SHA-256 digest than was announced"
    return ""


def _of_kind(value: t.Any, kind: type, what: str) -> t.Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ReportError(f"{what} is {type(value).__name__}, not {kind.__name__}")
    return value


def _text(value: t.Any, what: str, most: int = _NAME_MOST) -> str:
    text: str = _of_kind(value, str, what)
    if len(text) > most:
        raise ReportError(f"{what} has {len(text)} characters")
    return text


def _number(value: t.Any, what: str) -> int:
    number: int = _of_kind(value, int, what)
    if not 0 <= number < 1 << 50:
        raise ReportError(f"{what} is {number}")
    return number


def _tests(value: t.Any) -> dict[str, t.Any]:
    given = _of_kind(value, dict, "the tests of an operation")
    counts: dict[str, t.Any] = {
        name: _number(given.get(name, 0), name) for name in ("passed", "failed", "skipped")
    }
    if "first_failure" in given:
        failure = _of_kind(given["first_failure"], dict, "first_failure")
        counts["first_failure"] = {
            "name": _text(failure.get("name", ""), "the name of a test"),
            "text": _text(failure.get("text", ""), "the text of a test", _FAILURE_MOST),
        }
    return counts


def _files(value: t.Any, what: str, name: str) -> tuple[ReportedFile, ...]:
    entries = _of_kind(value, list, what)
    if len(entries) > _ENTRIES_MOST:
        raise ReportError(f"{what} has {len(entries)} entries")
    files = []
    for entry in entries:
        given = _of_kind(entry, dict, f"an entry of {what}")
        path = _text(given.get(name), f"a name in {what}")
        digest = _text(given.get("sha256"), f"a digest in {what}")
        if not is_safe(path) or not _SHA256.fullmatch(digest):
            raise ReportError(f"{what} has the name {path!r} or the digest {digest!r}")
        kind = _text(given.get("type", ""), f"a type in {what}")
        files.append(ReportedFile(path, _number(given.get("size"), "size"), digest, kind))
    return tuple(files)


def is_safe(path: str) -> bool:
    """Whether the relative ``path`` stays below its folder, and can be shown."""
    parts = path.split("/")
    return path.isprintable() and all(part not in ("", ".", "..") for part in parts)
