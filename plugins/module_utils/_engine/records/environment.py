# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What auxiliary machines tell the build of a task: variables of its environment.

The form is that of bpkg's manual: lines `NAME=value`, with blanks around either, blank lines and
comments that begin with `#`.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import EngineError
from ..formats.manifest.text import sanitize

# Bytes of all lines of one machine: addresses, ports and passwords.
LIMIT = 64 << 10
# So much of a line is shown.
_SHOWN = 100

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class EnvironmentFault(EngineError):
    """What a machine tells is no environment; the text names both, and the line."""

    culprit = "machine"


def read_environment(data: bytes, machine: str) -> dict[str, str]:
    """Return the variables in `data`, by name; `machine` has told them. Raises EnvironmentFault."""
    place = f"the environment that auxiliary machine {machine} has uploaded cannot be used"
    if len(data) > LIMIT:
        raise EnvironmentFault(f"{place}: it has more than {LIMIT} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise EnvironmentFault(f"{place}: it is no UTF-8") from error
    variables = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip(" \t") for part in line.partition("="))
        if not equals or not _NAME.fullmatch(name):
            said = sanitize(line.encode()[:_SHOWN])
            raise EnvironmentFault(f"{place}: line {number} is no NAME=value: {said}")
        if not value.isprintable():
            raise EnvironmentFault(f"{place}: line {number} has a control character")
        variables[name] = value
    return variables


def join_environments(environments: t.Iterable[tuple[str, t.Mapping[str, str]]]) -> str:
    """Return the lines of all `environments`, which are given with the names of theirs.

    That of a machine which the task calls `pg-sql` has its variables as `PG_SQL_NAME`; those of
    a machine without a name stay as they are. A later one of the same name stands, too: whoever
    reads the lines in order takes the last.
    """
    return "\n".join(
        f"{_prefix(called)}{name}={value}"
        for called, variables in environments
        for name, value in variables.items()
    )


def _prefix(called: str) -> str:
    return re.sub("[^A-Z0-9]", "_", called.upper()) + "_" if called else ""
