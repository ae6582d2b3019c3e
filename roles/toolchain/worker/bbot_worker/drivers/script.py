# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An executable that the package brings: called with the operation and the task's words."""

from __future__ import annotations

import os

from ..errors import WorkerError
from .base import Driver

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tree import Tree


class Script(Driver):
    name = "script"

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return "bbot-build" if tree.is_executable("bbot-build") else ""

    def perform(self, operation: str) -> None:
        """Call the script, which knows its operations itself."""
        from ..scanners import Any
        from ..tests import Tests

        self.tests = Tests()
        job = self.job
        path = job.task.settings.get("script") or "bbot-build"
        if not os.access(os.path.join(job.source, path), os.X_OK):
            raise WorkerError(f"the sources have no executable file '{path}'")
        command = job.task.settings.get("test")
        if operation == "test" and command:
            self.run_test_command(command)
        elif operation.startswith("test"):
            self.scan(Any(), self.in_source, f"./{path}", operation, *job.task.words)
        else:
            self.in_source(f"./{path}", operation, *job.task.words)
