# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a folder of results says of its task: verdicts, tests, and the first line of an error."""

from __future__ import annotations

import json
import os
import re
import typing as t

from ..errors import EngineError
from ..host.guest_lines import cut
from ..records.report import TaskReport, read_report
from ..records.result import OperationResult, Result
from ..records.values import Status
from ..task.logs import log_names

# Bytes of a result manifest, and of a log that is searched for errors.
_RESULT_MOST = 512 << 20
_SEARCHED = 16 << 20
_LINE_MOST = 300

# What tells of an error, in the words of compilers, linkers, tests and shells; and what only
# seems to.
_ERROR = re.compile(
    r"\b(?:error|fatal|fail(?:ed|ure|ures)?|undefined reference|undefined symbol|traceback|panic"
    r"|panicked|not found|no such file|cannot|can't|segmentation fault|assert(?:ion)?|aborted"
    # A class, and not a name such as HAVE_Werror.
    r"|exception|denied|unable to)\b|\b(?-i:[A-Z]\w*(?:Error|Exception))\b",
    re.IGNORECASE,
)
# Lines that begin with two dashes are CMake's of how far it is, such as of checks that came out so.
_HARMLESS = re.compile(
    r"^\+|^-- |\b(?:0|no) (?:errors?|failures?|failed)\b|\bchecking\b|-w?error\b"
    r"|\bfail(?:ed|ures?)?[:= ]+0\b|\b(?:0|no) tests? failed\b",
    re.IGNORECASE,
)


class NoResults(EngineError):
    """A folder of results that cannot be used; the text says why."""


def collect(home: str) -> dict[str, t.Any]:
    """Return what the results in the folder ``home`` say, as plain data.

    They may have come from a host that is another's by now: nothing is believed. Raises
    NoResults.
    """
    result = _result(home)
    report = _report(home)
    names = log_names(result)
    operations = [
        {"operation": each.operation, "status": str(each.status), "log": names[each.operation]}
        for each in result.operations
    ]
    facts: dict[str, t.Any] = {
        "name": result.name,
        "version": result.version,
        "status": str(result.status),
        "operations": operations,
        "tests": report.tests,
        "artifacts": len(report.artifacts),
    }
    found = first_error(result, report)
    return {**facts, "first_error": found} if found else facts


def first_error(result: Result, report: TaskReport) -> dict[str, str] | None:
    """Return the operation that failed first, and the line that says of what; None if none did."""
    for each in result.operations:
        if each.status >= Status.ERROR:
            return {"operation": each.operation, "line": cut(_line(each, report), _LINE_MOST)}
    return None


def _line(operation: OperationResult, report: TaskReport) -> str:
    failure = (report.tests.get(operation.operation) or {}).get("first_failure")
    if failure:
        text = next((line for line in failure["text"].splitlines() if is_error(line)), "")
        return f"{failure['name']}: {text.strip()}" if text else str(failure["name"])
    lines = operation.log[:_SEARCHED].splitlines()
    # Of what a command has printed the last line is seldom the cause, and the first one often is.
    for number, line in enumerate(lines):
        if is_error(line):
            return continued(line, lines[number + 1] if number + 1 < len(lines) else "")
    said = [line for line in lines if line.strip() and not line.startswith("+")]
    return said[-1] if said else f"{operation.operation} has status {operation.status}"


def is_error(line: str) -> bool:
    """Return whether a line tells of an error, in the words of whoever prints such lines."""
    return bool(_ERROR.search(line)) and not _HARMLESS.search(line)


def continued(line: str, following: str) -> str:
    """Return a line with the one that follows if it says what the first only announces.

    That is so with CMake, whose first line says where something is wrong, and ends with a colon.
    """
    if line.rstrip().endswith(":") and following[:1] in (" ", "\t") and following.strip():
        return f"{line.rstrip()} {following.strip()}"
    return line


def _result(home: str) -> Result:
    path = os.path.join(home, "result.manifest")
    try:
        if os.stat(path).st_size > _RESULT_MOST:
            raise NoResults(f"{path} is too large")
        with open(path, "rb") as file:
            return Result.parse(file.read(), path)
    except OSError as error:
        raise NoResults(f"there is no result in {home}: {error.strerror}") from None
    except NoResults:
        raise
    except EngineError as error:
        raise NoResults(str(error)) from None


def _report(home: str) -> TaskReport:
    """What the worker told beside; an empty one if that cannot be used."""
    try:
        with open(os.path.join(home, "report.json"), encoding="utf-8") as file:
            return written_report(file.read())
    except (OSError, ValueError):
        return TaskReport()


def written_report(text: str) -> TaskReport:
    """Return the report that we have written to a file; an empty one if it cannot be used."""
    try:
        content: t.Any = json.loads(text)
        # Written by us: "path" where the wire has "name".
        for each in content["uploads"]:
            each["name"] = each.pop("path")
        return read_report(json.dumps(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, EngineError):
        return TaskReport()


def excerpt(home: str, log: str, most: int = 8 << 10) -> list[str]:
    """Return the last lines of a log, at most ``most`` bytes of it; nothing if there is none."""
    try:
        with open(os.path.join(home, os.path.basename(log)), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            lines = file.read(most).decode(errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > most else lines
