# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module machine_info through ansible-playbook."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import FAKE_MAC
from helpers.build_host import BuildHost
from helpers.plays import refusal, run_tasks


def test_machine_info(host: BuildHost, tmp_path: Path) -> None:
    first = host.install("first")
    host.install("second")
    assert host.ensure("second", fake=True).changed
    options = host.paths()
    nowhere = {**options, "machines": "/nowhere"}
    results = run_tasks(
        tmp_path,
        [
            {"bbot.agent.machine_info": options},
            {"bbot.agent.machine_info": {**options, "name": "second"}, "check_mode": True},
            {"bbot.agent.machine_info": {**options, "name": "third"}},
            {"bbot.agent.machine_info": {**options, "toolchain": "none"}},
            {"bbot.agent.machine_info": {**options, "toolchain": "../x"}},
            {"bbot.agent.machine_info": nowhere},
        ],
    )
    everything, one = results[:2]
    assert not everything["changed"]
    assert everything["toolchain"] == {
        "name": "default",
        "id": host.toolchain_id,
        "versions": {"bbot": "0.1.0"},
    }
    assert everything["machines"] == [
        {
            "name": "first",
            "volume": "default",
            "directory": f"{host.volume}/first",
            "state": "missing",
            "reasons": ["not bootstrapped for toolchain default"],
            "revision": str(first),
            "id": "first-1",
            "summary": "A test",
            "type": "kvm",
            "role": "build",
            "bootstrapped": None,
            "mac": None,
            "warm": None,
        },
        {
            "name": "second",
            "volume": "default",
            "directory": f"{host.volume}/second",
            "state": "current",
            "reasons": [],
            "revision": f"{host.volume}/second/second-1.1",
            "id": "second-1",
            "summary": "A test",
            "type": "kvm",
            "role": "build",
            "bootstrapped": f"{host.volume}/second/second-default",
            "mac": FAKE_MAC,
            "warm": None,
        },
    ]
    assert (everything["room"]["machines"], everything["room"]["waiting"]) == (0, 0)
    assert everything["room"]["left"] > 0
    assert one["machines"] == everything["machines"][1:]
    assert [refusal(result) for result in results[2:]] == [
        "no machine third on this host; there are: first, second",
        f"no toolchain none in {host.tftp}/toolchains; "
        "assemble it with the role bbot.agent.toolchain",
        "'../x' cannot be a toolchain's name: it is made of a letter first, then letters, digits, "
        "'_', '+' and '.'",
        "cannot read the folder of machines /nowhere: No such file or directory; "
        "make it with the role bbot.agent.host or name another one",
    ]
