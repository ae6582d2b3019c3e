# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs as AWX runs them: ansible-runner in a private folder of AWX's layout."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

from .awx_api import Awx, Launch, write_files
from .plays import run_playbook

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / ".cache" / "foreign"
GIVEN = {
    "bbot_awx_scm_url": "https://git.example.org/bbot.agent.git",
    "bbot_awx_image": "registry.example.org/bbot-agent-ee",
}
BIN = Path(sys.executable).parent
Facts = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Job:
    """What has become of a job."""

    status: str
    stdout: str
    events: list[dict[str, t.Any]]
    folder: Path

    @property
    def artifacts(self) -> dict[str, t.Any]:
        """What AWX shows as the job's artifacts, and hands to the next job of a workflow."""
        (stats,) = [each for each in self.events if each["event"] == "playbook_on_stats"]
        found: dict[str, t.Any] = stats["event_data"]["artifact_data"]
        return found

    def printed(self, event: str) -> list[str]:
        """What the events of one kind have printed."""
        return [each["stdout"] for each in self.events if each["event"] == event]

    def files_with(self, text: str) -> list[str]:
        """The names of artifacts in which ``text`` is.

        AWX does not keep the file `command`, which has the environment.
        """
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [
            path.name
            for path in files
            if path.name != "command" and text in path.read_text(errors="replace")
        ]


def configure(
    awx: Awx, home: Path, *words: str, code: int = 0, **variables: t.Any
) -> tuple[int, str]:
    """Run awx_configure.yml; how much it has changed, and what it said."""
    status, output = run_playbook(
        home / "home",
        *("-e", json.dumps({**GIVEN, **variables}), *words),
        str(ROOT / "playbooks/awx_configure.yml"),
        ANSIBLE_COLLECTIONS_PATH=f"{ROOT}/.cache/collections:{FOREIGN}",
        CONTROLLER_HOST=awx.url,
        CONTROLLER_OAUTH_TOKEN="token",
    )
    if status != code or "canary" in output:
        raise AssertionError(output)
    found = re.search(r"changed=(\d+)", output)
    return int(found[1]) if found else 0, " ".join(output.split())


class PrivateFolder:
    """A job's folder: the project as a sync leaves it, inventory, variables, environment."""

    def __init__(self, folder: Path, inventory: Facts | str) -> None:
        self.folder = folder
        for name in ("project", "inventory", "env", "home", "requirements_collections"):
            (folder / name).mkdir(parents=True)
        # What is text is YAML, as in a file; else it is a program that prints it, as of AWX.
        if isinstance(inventory, str):
            (folder / "inventory" / "hosts.yml").write_text(inventory)
        else:
            script = folder / "inventory" / "hosts"
            script.write_text(f"#! /usr/bin/env python3\nprint({json.dumps(inventory)!r})\n")
            script.chmod(0o700)
        self._check_out()
        self._sync()

    def _write(self, name: str, content: t.Any) -> None:
        (self.folder / name).write_text(json.dumps(content))

    def _check_out(self) -> None:
        """Lay the tracked files out, changed ones as they are."""
        names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(names, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        there = b"\0".join(
            name for name in listing.split(b"\0") if (ROOT / os.fsdecode(name)).is_file()
        )
        pack = ["tar", "--create", "--null", "--files-from=-"]
        packed = subprocess.run(pack, cwd=ROOT, input=there, stdout=subprocess.PIPE, check=True)
        unpack = ["tar", "--extract", f"--directory={self.folder / 'project'}"]
        subprocess.run(unpack, input=packed.stdout, check=True)

    def _sync(self) -> None:
        """Install the collections that the project asks for: itself."""
        command = [BIN / "ansible-galaxy", "collection", "install"]
        command += ["-r", "collections/requirements.yml", "-p", self._collections]
        subprocess.run(
            command,
            cwd=self.folder / "project",
            env={**self._environment(), "ANSIBLE_COLLECTIONS_PATH": self._collections},
            check=True,
            capture_output=True,
        )

    @property
    def _collections(self) -> str:
        return str(self.folder / "requirements_collections")

    def _environment(self) -> dict[str, str]:
        path = f"{BIN}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder / "home"), "LC_ALL": "C.UTF-8"}

    def launch(self, launch: Launch, ident: str) -> Job:
        """Run a job that AWX has rendered."""
        environment, words = write_files(launch, self.folder / "env")
        (self.folder / "env" / "cmdline").write_text(shlex.join(words))
        return self.run(launch.playbook, launch.variables, environment, ident)

    def run(self, playbook: str, variables: Facts, environment: Facts, ident: str) -> Job:
        """Run a playbook of the project; ``environment`` is what credentials inject."""
        self._write("env/extravars", {**variables, "awx_job_id": ident})
        self._write(
            "env/envvars",
            {
                **environment,
                "ANSIBLE_COLLECTIONS_PATH": self._collections,
                "ANSIBLE_HOST_KEY_CHECKING": "false",
            },
        )
        self._write("env/settings", {"idle_timeout": 600, "job_timeout": 1200})
        command = [BIN / "ansible-runner", "run", self.folder, "-p", f"playbooks/{playbook}"]
        subprocess.run(
            [str(word) for word in [*command, "--ident", ident, "-q"]],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        artifacts = self.folder / "artifacts" / ident
        events = [
            json.loads(path.read_text()) for path in (artifacts / "job_events").glob("*.json")
        ]
        return Job(
            status=(artifacts / "status").read_text(),
            stdout=(artifacts / "stdout").read_text(),
            events=sorted(events, key=lambda event: event["counter"]),
            folder=artifacts,
        )


def main() -> None:
    """Run a playbook as a job of AWX; print what came of it as JSON."""
    parser = argparse.ArgumentParser(prog="helpers.awx", description=main.__doc__)
    parser.add_argument("inventory", type=Path, help="a file")
    parser.add_argument("playbook", help="a file in playbooks/")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--secret", default="", help="a text that nothing may show")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="awx-") as folder:
        private = PrivateFolder(Path(folder) / "private", options.inventory.read_text())
        environment = dict(each.split("=", 1) for each in options.env)
        job = private.run(options.playbook, {}, environment, "1")
        leaks = job.files_with(options.secret) if options.secret else []
        print(json.dumps({"status": job.status, "leaks": leaks, "stdout": job.stdout[-5000:]}))


if __name__ == "__main__":
    main()
