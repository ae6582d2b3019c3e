# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The play status.yml: one page about hosts that answer, that cannot, and that are not there."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.agents import COMMAND, engine
from helpers.browser import probe
from helpers.devtools import Browser
from helpers.plays import ROOT, run_playbook
from helpers.web import WebHost

HOSTILE = "<script>document.title = 'taken over'</script>"


def ask(host: WebHost) -> str:
    """A command that is `bbot-agent` on this host."""
    path = host.root / "bbot-agent"
    words = shlex.join([sys.executable, str(COMMAND)])
    places = shlex.join(host.places)
    folder = engine(host.root)["BBOT_AGENT_ENGINE"]
    path.write_text(f'#!/bin/sh\nexport BBOT_AGENT_ENGINE={folder}\nexec {words} "$@" {places}\n')
    path.chmod(0o755)
    return str(path)


def test_a_page_about_several_hosts(tmp_path: Path) -> None:
    host = WebHost(tmp_path / "host")
    host.machine("debian_12", current=True)
    host.ended(Status.ERROR, culprit="task", reason=f"update failed {HOSTILE}")
    host.running("12:00:00 phase work\n")
    host.agent()
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'error: no such thing' >&2\nexit 1\n")
    odd = tmp_path / "odd"
    odd.write_text('#!/bin/sh\necho \'{"running": [7], "version": "0"}\'\n')
    for each in (broken, odd):
        each.chmod(0o755)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    gone = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {
        "build1": {**local, "asked": ask(host)},
        "build2": {**local, "asked": str(broken)},
        "build3": {**local, "asked": str(odd)},
        "build4": {**gone, "asked": "none"},
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"build_hosts": {"hosts": hosts}}))
    variables = {
        "bbot_command": "{{ asked }}",
        "bbot_options_file": "/nowhere",
        "bbot_results": str(tmp_path / "results"),
    }
    with contextlib.closing(host):
        status, output = run_playbook(
            tmp_path / "home",
            *("-i", str(inventory), "-e", json.dumps(variables)),
            str(ROOT / "playbooks" / "status.yml"),
            ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
            ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache" / "collections"),
        )
    assert status == 0, output
    page = tmp_path / "results" / "status.html"
    text = page.read_text()
    for told in ("hello/2.10", "no such thing", "is odd", "debian_12", "default, up to 2 at once"):
        assert told in text, told
    assert text.count("<script") == 0 and "canary" not in text and 'href="task' not in text
    with Browser(tmp_path) as browser:
        browser.go(page.as_uri())
        found = browser.probe()
        assert (found["violations"], found["wide"]) == ([], 0)
        assert browser.ask("document.querySelectorAll('h2').length") == 4
        assert browser.trouble == []
    assert probe(text, tmp_path, width=360)["wide"] == 0
