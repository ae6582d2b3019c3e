# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of project: a small one of each, and what can be wrong with it.

Each module here has a dictionary KINDS. A row says no more than what is particular to its kind.
"""

from __future__ import annotations

import importlib
import textwrap
from dataclasses import dataclass, field

# What is put over the files of a good project; None takes a file away.
Overlay = dict[str, "str | None"]

CASES = ("good", "broken", "none", "crash", "hang", "disk", "tool")


def text(source: str) -> str:
    """Return the lines of an indented literal; tabs are written as ``\\t``."""
    return textwrap.dedent(source).lstrip("\n")


@dataclass
class Kind:
    """One kind of project.

    ``files`` is a project whose tests pass. ``cases`` says what to put over it so that an
    assertion is ``broken``, there are ``none``, the tests ``crash`` by SIGSEGV, ``hang``, or fill
    the ``disk``. ``tool`` is a program without which nothing goes (the case ``tool``), ``flavour``
    the image that has it. ``said`` has, by case, regular expressions that the log of the operation
    must match in place of the usual one. ``counts`` is (passed, failed, skipped) of the good
    project, or None where nobody counts. ``disk`` is the size of the file system to be filled, in
    MiB, ``configuration`` the task's target-config, ``operation`` the one that runs the tests,
    ``seconds`` the time given to it where the tests hang. What is ``dear``, in time or in what has
    to be installed, is run by ``-m long`` only.
    """

    files: dict[str, str]
    cases: dict[str, Overlay]
    tool: str
    flavour: str = "c"
    driver: str = ""
    said: dict[str, str] = field(default_factory=dict)
    counts: tuple[int, int, int] | None = (1, 0, 0)
    disk: int = 64
    configuration: str = ""
    operation: str = "test"
    seconds: int = 3
    dear: bool = False

    def project(self, case: str) -> dict[str, str]:
        """Return the files of the project in that case."""
        merged: Overlay = {**self.files, **self.cases.get(case, {})}
        return {name: text for name, text in merged.items() if text is not None}


def cases(path: str, bodies: dict[str, str], none: Overlay) -> dict[str, Overlay]:
    """Return the cases of a kind whose tests are in one file, with a text for each case."""
    return {**{case: {path: body} for case, body in bodies.items()}, "none": none}


# A program of tests in C, by case.
C_TESTS = {
    "good": '#include <stdio.h>\nint main(void) { puts("all is well"); return 0; }\n',
    "broken": '#include <stdio.h>\nint main(void) { puts("41 is not 42"); return 1; }\n',
    "crash": "#include <signal.h>\nint main(void) { raise(SIGSEGV); return 0; }\n",
    "hang": "#include <unistd.h>\nint main(void) { sleep(600); return 0; }\n",
    "disk": text(
        r"""
        #include <stdio.h>
        static char block[1 << 16];
        int main(void)
        {
          FILE* file = fopen("filled", "w");
          block[0] = 1;
          while (file && fwrite(block, sizeof block, 1, file) == 1) ;
          perror("filled");
          return 1;
        }
        """
    ),
}


def all_kinds() -> dict[str, Kind]:
    """Return the kinds of all modules here, by name."""
    found: dict[str, Kind] = {}
    for name in ("native", "lang"):
        found.update(importlib.import_module(f"kinds.{name}").KINDS)
    return found
