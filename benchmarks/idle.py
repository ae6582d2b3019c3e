# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B6: a round of looking at machines of which none has changed.

bbot's agent snapshots each machine in each round, to compare the manifests in the snapshot, and
deletes that again.
"""

from __future__ import annotations

import subprocess

from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import planned
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    enumerate_machines,
)
from helpers.build_host import BuildHost
from helpers.site import Site

from .figures import Figure, interleave, timed


def furnish(host: BuildHost, count: int) -> None:
    """Have ``count`` machines on ``host``, as good as bootstrapped."""
    for number in range(count):
        host.install(f"m{number}")
        host.ensure(f"m{number}", fake=True)


def measure(site: Site, runs: int, count: int = 100) -> list[Figure]:
    """The figure, for ``count`` machines."""
    host = BuildHost(site)
    furnish(host, count)
    engine, toolchain = host.engine(), host.toolchain()
    paths = [str(host.volume / f"m{n}" / f"m{n}-1.1") for n in range(count)]

    def by_command() -> dict[str, float]:
        with timed() as passed:
            for path in paths:
                work = f"{path}-work"
                for words in (["snapshot", path, work], ["delete", work]):
                    command = ["btrfs", "subvolume", *words]
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {"each": 1000 * passed[0] / count}

    def by_us() -> dict[str, float]:
        with timed() as passed:
            for machine in enumerate_machines(engine, toolchain):
                planned(engine, machine)
        return {"each": 1000 * passed[0] / count}

    by_us()
    values = interleave(runs, {"snapshots by command": by_command, "our look": by_us})
    return [
        Figure(
            "B6",
            f"idle round, each of {count} machines",
            "ms",
            "times",
            "btrfs subvolume snapshot and delete",
            "the agent's look at it",
            values["snapshots by command"]["each"],
            values["our look"]["each"],
            goal=100,
        )
    ]
