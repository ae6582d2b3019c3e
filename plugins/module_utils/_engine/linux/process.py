# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The one way in which the engine runs a program.

The engine does not start programs itself: it is handed a *runner*. A module
hands in its C(run_command), the service its own, a test a fake.
"""

from __future__ import annotations

import os
import shutil
import typing as t

from ..errors import EngineError

# Administration tools live outside an ordinary user's PATH.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])

# What a program is told about language, so that its messages can be read by us.
C_LOCALE = {"LANGUAGE": "C", "LC_ALL": "C"}


class CommandError(EngineError):
    """A program is missing or has failed; the text says which, how and its own words."""


class Runner(t.Protocol):
    """Runs ``args`` (an absolute program path first), feeding ``data`` to its input.

    Returns the exit status and what the program wrote to its output and its
    error output. A program that fails is no error here.
    """

    def __call__(
        self, args: t.Sequence[str], *, data: str | None = None
    ) -> tuple[int, str, str]: ...


def find_program(name: str, package: str) -> str:
    """Absolute path of the program ``name``, which Debian's ``package`` brings.

    Raises CommandError where there is none.
    """
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise CommandError(f"no program {name!r} on this host; install the package {package}")
    return path


def check(run: Runner, args: t.Sequence[str], *, data: str | None = None) -> str:
    """Output of ``args`` run by ``run``; CommandError if the exit status is not 0."""
    status, output, errors = run(args, data=data)
    if status != 0:
        words = " ".join((errors or output).split()) or "no message"
        raise CommandError(f"{' '.join(args)} failed with exit status {status}: {words}")
    return output


def module_runner(module: t.Any) -> Runner:
    """The runner of an AnsibleModule."""

    def run(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        result: tuple[int, str, str] = module.run_command(
            list(args), data=data, environ_update=C_LOCALE
        )
        return result

    return run
