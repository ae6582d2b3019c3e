# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drivers: one build system each, one file each.

The order is that of detection, the more specific first. A module is imported when its kind has
to be looked for.
"""

from __future__ import annotations

import importlib

from ..errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..task import Task
    from .base import Driver
    from .tree import Tree

# The module, and in it the class, of each.
DRIVERS = {
    "declared": "Declared",
    "script": "Script",
    "build2": "Build2",
    "python": "Python",
    "cmake": "CMake",
    "meson": "Meson",
    "autotools": "Autotools",
    "perl": "Perl",
    "scons": "SCons",
    "configure": "Configure",
    "cargo": "Cargo",
    "go": "Go",
    "maven": "Maven",
    "gradle": "Gradle",
    "ruby": "Ruby",
    "npm": "Npm",
    "lua": "Lua",
    "make": "Make",
    "debian": "Debian",
    "rpm": "Rpm",
}


class Choice:
    """The driver for some sources, and what else they look like: names and reasons."""

    def __init__(self, driver: type[Driver], reason: str, others: list[tuple[str, str]]) -> None:
        self.driver = driver
        self.reason = reason
        self.others = others

    def describe(self) -> str:
        """Return the lines for the log."""
        line = f"driver: {self.driver.name}"
        line += f" ({self.reason})" if self.reason else ""
        return "\n".join([line, *self.alternatives])

    @property
    def alternatives(self) -> list[str]:
        """What else the sources look like, and how to have that: a line, if there is something."""
        if not self.others:
            return []
        names = ", ".join(f"{name} ({reason})" for name, reason in self.others)
        name = self.others[0][0]
        return [f"also possible: {names}: choose by config.bbot.driver=NAME, such as {name}"]


def driver_named(name: str) -> type[Driver]:
    """Return the class of a driver. Raises WorkerError if there is none of that name."""
    if name not in DRIVERS:
        import difflib

        close = difflib.get_close_matches(name, DRIVERS, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise WorkerError(f"unknown driver '{name}': {hint}known are auto, {', '.join(DRIVERS)}")
    module = importlib.import_module(f".{name}", __name__)
    driver: type[Driver] = getattr(module, DRIVERS[name])
    return driver


def choose(task: Task, tree: Tree | None) -> Choice:
    """Return the driver that the task names or the sources suggest. Raises WorkerError.

    Without a *tree* the sources are build2's to fetch.
    """
    choice = _choose(task, tree)
    if task.matrix and choice.driver.name != "declared":
        raise WorkerError(
            f"the task wants {next(iter(task.matrix))} of a matrix, which a bbot.yml would have: "
            f"the {choice.driver.name} driver has none"
        )
    return choice


def _choose(task: Task, tree: Tree | None) -> Choice:
    wanted = task.settings.get("driver") or "auto"
    if wanted == "auto" and "script" in task.settings:
        wanted = "script"
    if wanted == "auto" and tree is None:
        wanted = "build2"
    if wanted != "auto":
        return Choice(driver_named(wanted), "as the task says", [])
    if task.repository[0].endswith(".dsc"):
        return Choice(driver_named("debian"), "a source package", [])
    assert tree is not None
    found = candidates(tree, DRIVERS)
    if not found:
        raise WorkerError(
            "no known build system in the sources: bring an executable 'bbot-build', a bbot.yml, "
            "or a command of your own by config.bbot.test=, or name a driver by "
            f"config.bbot.driver= ({', '.join(DRIVERS)})"
        )
    return Choice(*found[0], [(driver.name, reason) for driver, reason in found[1:]])


def candidates(tree: Tree, names: Iterable[str]) -> list[tuple[type[Driver], str]]:
    """Return those of the drivers that the sources suggest, the likeliest first, with reasons."""
    found = []
    for name in names:
        driver = driver_named(name)
        reason = driver.detect(tree)
        if reason:
            found.append((driver, reason))
    return sorted(found, key=lambda each: each[0].defers(tree))
