# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus' own tool reads the rules, the dashboard's questions and the metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import Leases
from helpers.agents import COMMAND, ROOT, engine

# scripts/test.sh has taken it out of Debian's package.
PROMTOOL = ROOT / ".cache" / "programs" / "promtool"
RULES = ROOT / "monitoring" / "bbot-agent.rules.yml"


def promtool(*words: str | Path, text: str | None = None) -> str:
    """Run the tool, which has to be content; what it says."""
    done = subprocess.run(
        [PROMTOOL, *words], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_rules_and_fire_when_they_should() -> None:
    tests = ROOT / "tests" / "monitoring" / "bbot-agent.test.yml"
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("test", "rules", tests)
    alerts = [rule["alert"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]
    for test in yaml.safe_load(tests.read_text())["tests"]:
        for each in test.get("alert_rule_test", []):
            if each["exp_alerts"] and each["alertname"] in alerts:
                alerts.remove(each["alertname"])
    # Each of them fires in a test.
    assert alerts == []


def test_what_the_dashboard_asks_can_be_asked(tmp_path: Path) -> None:
    dashboard = json.loads((ROOT / "monitoring" / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel_{place}", "expr": each} for place, each in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]})
    )
    assert f"{len(asked)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


@pytest.mark.parametrize("agent", [True, False])
def test_the_metrics_are_what_prometheus_reads(tmp_path: Path, agent: bool) -> None:
    """By the real program and the real command, as the service runs them."""
    places = [f"--{name} {tmp_path / name}\n" for name in ("machines", "tftp", "state-dir")]
    (tmp_path / "places").write_text("".join(places))
    (tmp_path / "default.options").write_text("")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "bbot-agent"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {COMMAND} "$@"\n')
    command.chmod(0o755)
    leases = Leases(str(tmp_path / "state-dir" / "leases"))
    lease = leases.take(what="agent", toolchain="default", troubles={'a "b" \\': "x"})
    if not agent:
        lease.end()
    program = ROOT / "roles" / "agent" / "files" / "metrics"
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        [
            *(sys.executable, "-I", program, "--options-file", tmp_path / "places"),
            *("--to", tmp_path / "bbot-agent.prom"),
        ],
        env={**engine(tmp_path), "PATH": path},
        check=True,
    )
    text = (tmp_path / "bbot-agent.prom").read_text()
    # It says nothing, also of how things are called.
    assert promtool("check", "metrics", text=text) == ""
    assert f'bbot_agent_up{{toolchain="default"}} {int(agent)}' in text.splitlines()
    if agent:
        lease.end()
