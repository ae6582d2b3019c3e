# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each machine's QEMU has limits of its own, by a control group that goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.build_host import RAM, BuildHost
from helpers.groups import HIERARCHIES, own_groups


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_machine_has_a_share_of_the_host(ready: BuildHost, tmp_path: Path, warm: bool) -> None:
    files = {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz"))}
    if warm:
        ready.ensure(running={"warm": ["tiny"]})
    found: dict[str, tuple[Path, dict[str, str]]] = {}

    def look(line: str) -> None:
        if line != "| +update":
            return
        (qemu,) = ready.qemus()
        for group in own_groups(qemu):
            values = {
                path.name: path.read_text().strip()
                for path in group.iterdir()
                if path.name in ("memory.limit_in_bytes", "pids.max", "cpu.shares")
            }
            found[group.relative_to(HIERARCHIES).parts[0]] = (group, values)

    outcome = ready.perform(files=files, progress=look, warm=["tiny"] if warm else ())
    assert outcome.result.status is Status.SUCCESS
    assert outcome.start is not None
    assert outcome.start.warm is warm
    assert {name: values for name, (_group, values) in found.items()} == {
        "memory": {"memory.limit_in_bytes": str((RAM + (768 << 10)) << 10)},
        "pids": {"pids.max": "512"},
        "cpu": {"cpu.shares": "1024"},
    }
    assert [group for group, _values in found.values() if group.exists()] == []
