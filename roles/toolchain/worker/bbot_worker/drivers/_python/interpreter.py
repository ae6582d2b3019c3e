# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to an interpreter of the machine, answered by ``probe`` as the build user."""

from __future__ import annotations

import json
import pkgutil

from ...errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import Any

    from ..base import Driver


class Interpreter:
    """The Python at *path*, which runs what it is asked in the build directory of *driver*."""

    def __init__(self, driver: Driver, path: str) -> None:
        self._driver = driver
        self.path = path

    def modules(self, *names: str) -> list[str]:
        """Return those of the modules that it has."""
        return [str(name) for name in self._ask("modules", list(names))]

    def unmet(self, requirements: list[str], extras: list[str]) -> list[dict[str, str]]:
        """Return the requirements that are not met, see ``probe.unmet``."""
        answer: list[dict[str, str]] = self._ask("unmet", requirements, extras)
        return answer

    def wheel(self, path: str) -> dict[str, Any]:
        """Return the ``name``, ``version``, ``requires`` and ``extras`` of a wheel."""
        answer: dict[str, Any] = self._ask("wheel", path)
        return answer

    def same_version(self, one: str, other: str) -> bool:
        return bool(self._ask("same_version", one, other))

    def index(self) -> str:
        """Return the address of the package index that its pip uses, empty for none."""
        return str(self._ask("index"))

    def answers(self, index: str) -> bool:
        """Return whether the index answers within some seconds."""
        try:
            return bool(self._ask("answers", index))
        except WorkerError as error:
            if error.status == "abort":
                raise
            return False  # It hung until it was ended.

    def settle(self, source: str, name: str, folders: list[str]) -> list[str]:
        """Have packages in the sources be what was installed, see ``probe.settle``."""
        return [str(path) for path in self._ask("settle", source, name, folders)]

    def _ask(self, question: str, *arguments: object) -> Any:
        text = pkgutil.get_data(__package__, "probe.py")
        assert text is not None
        answer = self._driver.ask(
            *(self.path, "-I", "-c", text.decode(), question, json.dumps(arguments)),
            directory=self._driver.job.build,
        )
        lines = [line for line in answer.output.splitlines() if line and not line[0].isspace()]
        last = lines[-1] if lines else f"exit status {answer.code}"
        if answer:
            try:
                return json.loads(last)
            except ValueError:
                pass
        raise WorkerError(f"{self.path} cannot tell ({question}): {last[:500]}")
