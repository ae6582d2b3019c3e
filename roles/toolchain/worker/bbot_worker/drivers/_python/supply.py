# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from: a wheelhouse, an index, or what the machine has."""

from __future__ import annotations

import os
import re

from ...errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..base import Driver
    from .interpreter import Interpreter

# A folder of the sources that is used without being named.
WHEELHOUSE = "wheelhouse"

WAYS_OUT = (
    "name a wheelhouse (config.bbot.wheelhouse=FOLDER of the sources), an index "
    "(config.bbot.index=URL), or use an image with it (machine_image_extra_packages)"
)


class Supply:
    """The packages that *python*'s pip can have. What is not there is said as a WorkerError."""

    def __init__(self, driver: Driver, python: Interpreter) -> None:
        self._driver = driver
        self._python = python
        self._reachable: bool | None = None

    def to_build(self, project: str, requires: list[str]) -> list[str]:
        """Return pip's options to build with what *requires* names. Raises WorkerError.

        In an environment of its own if that can be filled; with the machine's own packages only
        if these are what is required.
        """
        if self._holds(requires):
            self._driver.note(f"built with packages from {self._wheelhouse}")
            return self._from_wheelhouse()
        if self._index_setting and self._index_answers():
            return self._from_index()
        unmet = self._python.unmet(requires, [])
        if not unmet:
            self._driver.note(
                f"built with this machine's packages, which meet {', '.join(requires)}"
            )
            return ["--no-index", "--no-build-isolation"]
        if self._index_answers():
            return self._from_index()
        if not any(each["of"] == "" for each in unmet):
            # A distribution leaves out of its packages what they can do without.
            self._driver.note(
                f"built with this machine's packages, which meet {', '.join(requires)}, though "
                f"not all that these name themselves: {_described(unmet)}"
            )
            return ["--no-index", "--no-build-isolation"]
        raise self._lacking(project, "to be built", unmet)

    def to_install(self, project: str, unmet: list[dict[str, str]], purpose: str) -> list[str]:
        """Return pip's options to get what is *unmet*. Raises WorkerError."""
        if self._holds([each["requirement"] for each in unmet]):
            return self._from_wheelhouse()
        if self._index_answers():
            return self._from_index()
        raise self._lacking(project, purpose, unmet)

    @property
    def _index_setting(self) -> str:
        return self._driver.job.task.settings.get("index", "")

    @property
    def _wheelhouse(self) -> str:
        """Its path, or empty. Raises WorkerError if the task names one that is not there."""
        setting = self._driver.job.task.settings.get("wheelhouse", "")
        path = os.path.join(self._driver.job.source, setting or WHEELHOUSE)
        if os.path.isdir(path):
            return path
        if setting:
            raise WorkerError(f"config.bbot.wheelhouse={setting}: the sources have no such folder")
        return ""

    def _holds(self, requirements: list[str]) -> bool:
        """Whether the wheelhouse has packages of all these names."""
        place = self._wheelhouse
        if not requirements or not place:
            return False
        there = {
            _normalized(re.split(r"-\d", file)[0])
            for file in os.listdir(place)
            if file.endswith((".whl", ".tar.gz", ".zip"))
        }
        return {_normalized(_name(each)) for each in requirements} <= there

    def _index_answers(self) -> bool:
        """Whether there is an index. Raises WorkerError if it is the task's and does not answer."""
        if self._reachable is None:
            address = self._index_setting or self._python.index()
            self._reachable = bool(address) and self._python.answers(address)
        if self._index_setting and not self._reachable:
            raise WorkerError(
                f"the package index {self._index_setting} (config.bbot.index) does not answer: "
                "is it reachable from this machine?"
            )
        return self._reachable

    def _from_wheelhouse(self) -> list[str]:
        return ["--no-index", "--find-links", self._wheelhouse]

    def _from_index(self) -> list[str]:
        options = []
        if self._index_setting:
            options += ["--index-url", self._index_setting]
            host = re.match(r"http://([^/]+)", self._index_setting)
            if host:
                options += ["--trusted-host", host[1].rpartition("@")[2]]
        if self._wheelhouse:
            options += ["--find-links", self._wheelhouse]
        return options

    @staticmethod
    def _lacking(project: str, purpose: str, unmet: list[dict[str, str]]) -> WorkerError:
        return WorkerError(
            f"{project} needs {_described(unmet)} {purpose}, and no index can be reached: "
            f"{WAYS_OUT}"
        )


def _described(unmet: list[dict[str, str]]) -> str:
    parts = []
    for each in unmet:
        there = f"this machine has {each['version'] or 'none'}"
        parent = f", which {each['of']} needs" if each["of"] else ""
        parts.append(f"{each['requirement']}{parent} ({there})")
    return " and ".join(parts)


def _name(requirement: str) -> str:
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return match[1] if match else requirement


def _normalized(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()
