# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWX does with this repository, as far as that goes without AWX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import sources
from helpers.awx import BIN, ROOT, PrivateFolder
from helpers.build_host import BuildHost

CANARY = "canary-that-nobody-may-see"


def test_a_job_shows_progress_and_hands_its_result_on(ready: BuildHost, tmp_path: Path) -> None:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    private = PrivateFolder(
        tmp_path / "private",
        {"build_hosts": {"hosts": ["builder"]}, "_meta": {"hostvars": {"builder": local}}},
    )
    key = tmp_path / "key"
    key.write_text(CANARY)
    source = sources.make_source(tmp_path / "hello")
    job = private.run(
        "run-task.yml",
        {
            "bbot_hosts": "build_hosts",
            "bbot_machine_options": ready.options(),
            "bbot_results": str(tmp_path / "results"),
            "source": str(source),
            # As a survey leaves what was not answered.
            "machine": "",
            "toolchain": "",
            "bbot_fail_on": "",
        },
        {"BBOT_AGENT_KEY_FILE": str(key), "BBOT_CANARY": CANARY},
        "7",
    )
    assert job.status == "successful", job.stdout
    progress = "".join(job.printed("verbose"))
    assert "[builder] phase work" in progress
    assert "[builder] | +update" in progress
    result = job.artifacts["bbot_results"]["builder"]
    assert (result["name"], result["status"], result["machine"]) == ("hello", "success", "tiny")
    assert job.files_with(CANARY) == []
    ready.assert_clean()


def test_a_failed_task_is_a_failed_job_with_a_result(ready: BuildHost, tmp_path: Path) -> None:
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    private = PrivateFolder(
        tmp_path / "private",
        {"build_hosts": {"hosts": ["builder"]}, "_meta": {"hostvars": {"builder": local}}},
    )
    variables = {
        "bbot_hosts": "build_hosts",
        "bbot_machine_options": {**ready.options(), "retries": 0},
        "bbot_results": str(tmp_path / "results"),
        "source": str(sources.make_source(tmp_path / "hello", sources.FAILING)),
    }
    job = private.run("run-task.yml", variables, {}, "8")
    assert job.status == "failed"
    assert job.artifacts["bbot_results"]["builder"]["status"] == "error"
    ready.assert_clean()


def test_the_image_can_be_built(tmp_path: Path) -> None:
    command = [BIN / "ansible-builder", "create", "-f", ROOT / "execution-environment.yml"]
    subprocess.run(
        [*command, "-c", tmp_path, "--output-filename", "Containerfile"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    recipe = (tmp_path / "Containerfile").read_text()
    assert "ansible-core==2.19.14" in recipe
    assert "ansible-runner==2.4.3" in recipe
    needed = (tmp_path / "_build" / "requirements.txt").read_text()
    assert "netaddr" in needed
    assert "requests" in needed


def test_an_image_with_the_collection_would_have_the_same(tmp_path: Path) -> None:
    place = tmp_path / "ansible_collections" / "bbot"
    place.mkdir(parents=True)
    (place / "agent").symlink_to(ROOT)
    command = [BIN / "ansible-builder", "introspect", "--sanitize", tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = yaml.safe_load(done.stdout)
    needed = (ROOT / "meta" / "ee-requirements.txt").read_text().split()
    assert [line.split("  #")[0] for line in found["python"]] == needed


@pytest.mark.parametrize(
    "template",
    yaml.safe_load((ROOT / "playbooks/vars/awx_templates.yml").read_text())["bbot_templates"],
    ids=lambda template: template["name"],
)
def test_a_template_asks_for_what_its_playbook_takes(template: dict) -> None:
    playbook = ROOT / "playbooks" / template["playbook"]
    assert playbook.is_file()
    texts = [path.read_text() for path in (ROOT / "playbooks").rglob("*.yml")]
    texts += [path.read_text() for path in (ROOT / "roles").glob("*/defaults/main.yml")]
    for question in template.get("survey", []):
        assert any(question["variable"] in text for text in texts), question
        if question["type"] == "multiplechoice" and "default" in question:
            assert question["default"] in question["choices"]
