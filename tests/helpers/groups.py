# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The control groups that machines are in."""

from __future__ import annotations

from pathlib import Path

HIERARCHIES = Path("/sys/fs/cgroup")


def own_groups(pid: int) -> list[Path]:
    """The folders of the control groups of ours that a process is in."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        name = path.rpartition("/")[2]
        if name.startswith("bbot-"):
            found.append(HIERARCHIES / controllers.split(",")[0] / path.lstrip("/"))
    return found
