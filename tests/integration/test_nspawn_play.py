# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task in a container by the playbook, from a folder to the result at home."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import sources
from helpers.containers import host_with_container
from helpers.images import nspawn_image
from helpers.plays import ROOT, run_playbook, run_tasks
from helpers.site import Site

_PLAYBOOK = ROOT / "playbooks" / "run-task.yml"


def test_a_folder_is_built_in_a_container(site: Site, tmp_path: Path) -> None:
    image = nspawn_image()
    source = sources.make_source(tmp_path / "hello")
    with host_with_container(site, image) as host:
        told = {
            "bbot_machine_options": {**host.options(), "retries": 0},
            "bbot_results": str(tmp_path / "results"),
            "source": str(source),
        }
        command = ["-e", json.dumps(told), str(_PLAYBOOK)]
        status, output = run_playbook(tmp_path / "home", *command)
        assert status == 0, output
        assert "hello 0.0.1 on tiny: success" in output
        (home,) = (tmp_path / "results").iterdir()
        assert "doing update" in (home / "update.log").read_text()
        assert "bbot-init: starting the worker" in (home / "machine" / "console.log").read_text()
        (found,) = run_tasks(
            tmp_path / "home", [{"bbot.agent.machine_info": {**host.paths(), "name": "tiny"}}]
        )
        (machine,) = found["machines"]
        assert (machine["type"], machine["state"], machine["warm"]) == ("nspawn", "current", None)
