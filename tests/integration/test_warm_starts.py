# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Warm starts through the modules."""

from __future__ import annotations

import json
import os
from pathlib import Path

from helpers import sources
from helpers.build_host import RAM, BuildHost
from helpers.plays import refusal, run_tasks


def test_a_machine_is_saved_listed_and_resumed(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz")
    options = {**ready.options(), "warm": ["tiny"]}
    saving = {"bbot.agent.machine_bootstrap": options}
    info = {"bbot.agent.machine_info": ready.paths()}
    task = {
        "name": "hello",
        "version": "1.0",
        "repository_url": "tftp:source.tar.gz",
        "repository-type": "dir",
        "machine": "tiny",
    }
    files = [{"name": "source.tar.gz", "path": str(archive)}]
    performing = {"bbot.agent.task_run": {**options, "task": task, "files": files}}
    reserved = [{"name": "resumed", "path": str(archive)}]
    foreseen, saved, again, listed, warm, refused = run_tasks(
        tmp_path,
        [
            {**saving, "check_mode": True},
            saving,
            saving,
            info,
            performing,
            {"bbot.agent.task_run": {**options, "task": task, "files": reserved}},
        ],
    )
    for result in (foreseen, saved):
        assert result["changed"]
        (machine,) = result["machines"]
        assert (machine["action"], machine["changed"]) == ("save", True)
        assert machine["why"] == ["nothing is saved of it that fits, and it is to start warm"]
    assert foreseen["machines"][0]["warm"] is None
    assert list(saved["machines"][0]["phases"]) == [
        *("template boot", "template save", "template publish"),
    ]
    assert (Path(saved["machines"][0]["logs"]) / "template" / "console.log").read_bytes()
    assert not again["changed"]
    assert again["machines"][0]["action"] == "none"

    (machine,) = listed["machines"]
    template = machine["warm"]
    assert template == saved["machines"][0]["warm"]
    assert Path(template["path"]).name == ".tiny-default.warm"
    assert 16 << 20 < template["bytes"] < RAM << 10
    assert template["reason"] == ""

    assert warm["result"]["status"] == "success", json.dumps(warm, indent=1)
    assert warm["start"]["how"] == "warm"
    assert warm["start"]["reason"] == ""
    assert 0 < warm["start"]["seconds"] < 30
    assert "files: 'resumed' cannot be the name of a file for the guest" in refusal(refused)

    description = Path(template["path"], "warm.json")
    ready.storage.set_read_only(template["path"], False)
    description.write_text("{")
    cold, listed = run_tasks(tmp_path, [performing, info])
    assert cold["result"]["status"] == "success"
    assert cold["start"]["how"] == "cold"
    assert cold["start"]["reason"] == "its description is damaged"
    assert listed["machines"][0]["warm"] is None
    assert not os.listdir(ready.tftp / "build")
