# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that a task asks for by name: a file of the machine, read by its shell."""

from __future__ import annotations

import contextlib
import os
import re

from .errors import WorkerError
from .run import Command, Runner

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .task import Task

# A directory, and what the names of files there begin with.
PLACES = (
    ("/etc/bbot/environments", ""),
    ("/var/lib/bbot/toolchain", "environment-"),
)
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9_.+-]*")
# Of the shell that reads the file.
_SHELLS_OWN = {"_", "OLDPWD", "PWD", "SHLVL"}
_SCRIPT = 'env -0 > "$2" && . "$1" && env -0 > "$3"'

# What the first parts of targets are called by kernels.
_ARCHITECTURES = {
    "aarch64": "aarch64",
    "amd64": "x86_64",
    "arm64": "aarch64",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "i686": "i686",
    "loongarch64": "loongarch64",
    "mips64el": "mips64",
    "powerpc64le": "ppc64le",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "sparc64": "sparc64",
    "x86_64": "x86_64",
}


def check_target(task: Task, machine: str) -> None:
    """Raise WorkerError if the task is for another architecture than *machine*, a kernel's name.

    An environment may bring what builds for others.
    """
    given = task.target.partition("-")[0]
    wanted = _ARCHITECTURES.get(given)
    here = _ARCHITECTURES.get(machine, machine)
    if wanted and wanted != here and not task.value("environment"):
        raise WorkerError(
            f"the task's target is {task.target}, and this machine is {machine}: a machine of that "
            "architecture, or an 'environment' that builds for it, is needed"
        )


def read_environment(task: Task, work: str, runner: Runner) -> dict[str, str]:
    """Return the variables that the task's environment exports; none if it asks for none.

    The file is read by sh, as the build user. Raises WorkerError if there is none of that name,
    and if it fails.
    """
    name = task.value("environment")
    if not name:
        return {}
    path = _find(name)
    before, after = (os.path.join(work, f"environment.{when}") for when in ("before", "after"))
    runner.run(Command(["sh", "-c", _SCRIPT, "sh", path, before, after], work))
    known, exported = _variables(before), _variables(after)
    for each in (before, after):
        os.unlink(each)
    return {
        variable: value
        for variable, value in exported.items()
        if known.get(variable) != value and variable not in _SHELLS_OWN
    }


def _find(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WorkerError(f"'{name}' is no name of an environment: letters, digits, and _.+-")
    paths = [os.path.join(folder, prefix + name) for folder, prefix in PLACES]
    found = next((path for path in paths if os.path.isfile(path)), None)
    if found is None:
        there = ", ".join(_names()) or "none"
        raise WorkerError(
            f"this machine has no environment '{name}', neither as {' nor as '.join(paths)}; it "
            f"has: {there}"
        )
    return found


def _names() -> list[str]:
    names: set[str] = set()
    for folder, prefix in PLACES:
        with contextlib.suppress(OSError):
            names.update(
                name[len(prefix) :] for name in os.listdir(folder) if name.startswith(prefix)
            )
    return sorted(names)


def _variables(path: str) -> dict[str, str]:
    """What env -0 has printed."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\0")
    except OSError as error:
        raise WorkerError(f"the environment's variables cannot be read: {error}") from None
    pairs = (os.fsdecode(line).partition("=") for line in lines if line)
    return {name: value for name, _sign, value in pairs}
