# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What jobs of AWX leave of a build host whose agent runs, in a container with a systemd."""

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

import pytest
from helpers.awx import Job, PrivateFolder, configure
from helpers.awx_api import Awx, Launch
from helpers.fresh_hosts import FreshHost, fresh_host, run

NAME, NUMBER = "awx1", 91
OWN = f"http://198.18.{NUMBER}.1:8091/?build-task"
ALL = "http://all.example.org/?build-task"

pytestmark = pytest.mark.long


class Container(FreshHost):
    """The host, and its agent."""

    def variables(self) -> dict[str, t.Any]:
        # No machine is needed to ask for tasks in vain.
        return {**super().variables(), "bbot_machines": []}

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
    with fresh_host(NAME, NUMBER) as host:
        yield Container(NUMBER, host.key)


def perform(launch: Launch, status: str = "successful") -> Job:
    # The path of ssh's socket may not be long, as one in the folder of this test would be.
    with tempfile.TemporaryDirectory(prefix="awx-") as folder:
        job = PrivateFolder(Path(folder) / "private", launch.inventory).launch(launch, "1")
    assert job.status == status, job.stdout
    return job


def test_another_host_than_the_known_one_is_refused(container: Container, tmp_path: Path) -> None:
    lines = run("ssh-keyscan", "-t", "ed25519", container.address)
    other = run("ssh-keygen", "-y", "-f", container.key)
    own = {**container.variables()}
    del own["ansible_ssh_common_args"]
    with Awx() as awx:
        configure(awx, tmp_path, bbot_awx_hosts={"b1": own}, bbot_awx_known_hosts=lines)
        job = perform(awx.launch("bbot machines"), "failed")
        # It is no build host yet.
        assert "no toolchain default in " in job.stdout
        configure(awx, tmp_path, bbot_awx_known_hosts=f"{container.address} {other}")
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
