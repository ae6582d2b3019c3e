# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as an artifact: built, installed, and used by its name."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

import pytest
from helpers.plays import ROOT, environment, run_playbook

GALAXY = Path(sys.executable).parent / "ansible-galaxy"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is to be committed, without what lies around."""
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def artifact(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    subprocess.run(
        [str(GALAXY), "collection", "build", "--output-path", str(folder), str(source)],
        env=environment(folder / "home"),
        check=True,
        capture_output=True,
    )
    return next(folder.glob("bbot-agent-*.tar.gz"))


@pytest.fixture(scope="module")
def installed(artifact: Path) -> Path:
    """A folder of collections with ours."""
    folder = artifact.parent / "collections"
    subprocess.run(
        [str(GALAXY), "collection", "install", "--offline", "-p", str(folder), str(artifact)],
        # Not in the checkout: there the collection would be found to be installed already.
        cwd=artifact.parent,
        env=environment(artifact.parent / "home"),
        check=True,
        capture_output=True,
    )
    return folder


def run(installed: Path, tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """A run outside of the checkout, where only the installed collection can be found."""
    return run_playbook(tmp_path, *arguments, cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed))


def test_it_holds_what_users_need_and_nothing_else(artifact: Path) -> None:
    with tarfile.open(artifact) as archive:
        names = {name for name in archive.getnames() if not archive.getmember(name).isdir()}
    tops = {name.split("/")[0] for name in names}
    assert {"README.md", "LICENSE", "plugins", "roles", "playbooks", "meta"} <= tops
    assert not tops & {".git", ".cache", ".venv", ".ci", "results", "ansible.cfg"}
    assert "roles/toolchain/worker/bbot_worker/main.py" in names
    assert not [name for name in names if name.endswith((".pyc", ".tar.gz"))]


@pytest.mark.parametrize("playbook", ["run_task", "provision", "bootstrap", "decommission"])
def test_playbooks_are_found_by_name(installed: Path, tmp_path: Path, playbook: str) -> None:
    status, output = run(installed, tmp_path, "--syntax-check", f"bbot.agent.{playbook}")
    assert (status, f"agent/playbooks/{playbook}.yml" in output) == (0, True), output


def test_a_run_without_a_task_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    status, output = run(installed, tmp_path, "bbot.agent.run_task")
    assert status != 0
    assert "Say what to build: -e task=FILE" in output


def test_a_checkout_is_found_as_the_collection_of_an_awx_project(
    source: Path, tmp_path: Path
) -> None:
    """AWX installs what collections/requirements.yml lists, from the project's folder."""
    folder = tmp_path / "requirements_collections"
    home: dict[str, t.Any] = environment(tmp_path / "home")
    subprocess.run(
        [str(GALAXY), "collection", "install", "--force", "-r", "collections/requirements.yml"],
        cwd=source,
        env={**home, "ANSIBLE_COLLECTIONS_PATH": str(folder)},
        check=True,
        capture_output=True,
    )
    assert (folder / "ansible_collections/bbot/agent/plugins/modules/task_run.py").is_file()
