# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a project needs and the machine does not have: the one error for it."""

from __future__ import annotations

import re

from ..errors import WorkerError
from ..scanners import Scanner


class Complaint(Scanner):
    """Remembers what a tool says that it misses: the first group of *pattern* that matched."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = re.compile(pattern)
        self.missing: list[str] = []

    def feed(self, line: str) -> None:
        found = self._pattern.search(line)
        if found:
            name = next((group for group in found.groups() if group), "")
            if name and name not in self.missing:
                self.missing.append(name)


def unavailable(kind: str, names: list[str], bring: str, packages: str = "") -> WorkerError:
    """Return the error for dependencies of a *kind* that can neither be found nor fetched.

    *bring* says how they travel with the sources, *packages* what they are called in Debian.
    """
    named = ", ".join(names[:10]) or "that the project needs"
    what = f"{kind} {named}" if kind else named
    ways = [f"bring them with the sources ({bring})"] if bring else []
    if packages:
        ways.append(f"have them in the image (machine_image_extra_packages: {packages})")
    ways += ["let the machine reach the network (egress)"]
    ways += ["name an index that it reaches (config.bbot.index)"]
    return WorkerError(f"cannot have {what}: {', '.join(ways[:-1])}, or {ways[-1]}")
