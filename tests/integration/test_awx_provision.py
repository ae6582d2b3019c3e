# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What jobs of AWX leave of a build host whose agent runs, in a container with a systemd."""

from __future__ import annotations

import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from helpers.awx import ROOT, Job, PrivateFolder, configure
from helpers.awx_api import Awx, Launch

NAME, NUMBER = "awx1", "91"
ADDRESS = f"198.18.{NUMBER}.2"
CONTAINER = ROOT / "extensions" / "molecule" / "container.sh"
OWN = f"http://198.18.{NUMBER}.1:8091/?build-task"
ALL = "http://all.example.org/?build-task"

pytestmark = pytest.mark.long


def run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class Container:
    """A host that is reached by SSH."""

    def __init__(self) -> None:
        self.key = run(CONTAINER, "key")
        self.options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]

    def ask(self, command: str) -> str:
        ssh = ["ssh", "-i", self.key, "-o", "LogLevel=ERROR", *self.options, f"root@{ADDRESS}"]
        return run(*ssh, command)

    def variables(self) -> dict[str, t.Any]:
        return {
            "ansible_host": ADDRESS,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": self.key,
            "ansible_ssh_common_args": " ".join(self.options),
            "host_storage": "directory",
            # No machine is needed to ask for tasks in vain.
            "bbot_machines": [],
        }

    def agent(self) -> dict[str, str]:
        """How its agent is."""
        options = self.ask("cat /etc/bbot-agent/default.options")
        return {
            "process": self.ask("systemctl show --property=MainPID --value bbot-agent@default"),
            "enabled": self.ask("systemctl is-enabled bbot-agent@default"),
            "controllers": options.splitlines()[-1].strip("'"),
            "key": self.ask("cat /etc/bbot-agent/key.pem"),
        }


@pytest.fixture(scope="module")
def container() -> t.Iterator[Container]:
    run(CONTAINER, "up", NAME, "bookworm", NUMBER)
    try:
        yield Container()
    finally:
        run(CONTAINER, "down", NAME)


def perform(launch: Launch, status: str = "successful") -> Job:
    # The path of ssh's socket may not be long, as one in the folder of this test would be.
    with tempfile.TemporaryDirectory(prefix="awx-") as folder:
        job = PrivateFolder(Path(folder) / "private", launch.inventory).launch(launch, "1")
    assert job.status == status, job.stdout
    return job


def test_another_host_than_the_known_one_is_refused(container: Container, tmp_path: Path) -> None:
    lines = run("ssh-keyscan", "-t", "ed25519", ADDRESS)
    other = run("ssh-keygen", "-y", "-f", container.key)
    own = {**container.variables()}
    del own["ansible_ssh_common_args"]
    with Awx() as awx:
        configure(awx, tmp_path, bbot_awx_hosts={"b1": own}, bbot_awx_known_hosts=lines)
        job = perform(awx.launch("bbot machines"), "failed")
        # It is no build host yet.
        assert "no toolchain default in " in job.stdout
        configure(awx, tmp_path, bbot_awx_known_hosts=f"{ADDRESS} {other}")
        job = perform(awx.launch("bbot machines"), "failed")
        assert "Host key verification failed" in job.stdout


def test_an_agent_that_runs_goes_on_as_it_was(container: Container, tmp_path: Path) -> None:
    """Neither jobs nor a later configuration that says less take anything from it."""
    key = run("openssl", "genpkey", "-quiet", "-algorithm", "RSA")
    own = {**container.variables(), "bbot_controllers": [OWN]}
    with Awx() as awx:
        given = {"bbot_awx_hosts": {"b1": own}, "bbot_awx_controllers": ALL}
        configure(awx, tmp_path, bbot_awx_agent_key=f"{key}\n", **given)
        perform(awx.launch("bbot provision"))
        before = container.agent()
        assert before["process"] != "0"
        assert before == {**before, "enabled": "enabled", "controllers": OWN, "key": key}

        configure(awx, tmp_path)
        again = perform(awx.launch("bbot provision"))
        assert "changed=0" in again.stdout
        assert container.agent() == before

        # A host that names none has those of all.
        awx.find("hosts", "b1")["variables"] = ""
        configure(awx, tmp_path, bbot_awx_hosts={"b1": container.variables()})
        perform(awx.launch("bbot provision"))
        assert container.agent() == {**container.agent(), "controllers": ALL, "key": key}
