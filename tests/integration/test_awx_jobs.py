# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs of the templates that awx_configure.yml makes, rendered and run as AWX does."""

from __future__ import annotations

import dataclasses
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest, sources
from helpers.awx import ROOT, PrivateFolder, configure
from helpers.awx_api import Awx
from helpers.build_host import BuildHost, make_task
from helpers.controller import AgentKey, Controller
from helpers.site import Site

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


# After a build host: in its network.
@pytest.fixture
def awx() -> t.Iterator[Awx]:
    with Awx() as made:
        yield made


def variables(host: BuildHost, **more: t.Any) -> dict[str, t.Any]:
    return {**LOCAL, "bbot_machine_options": {**host.options(), "retries": 0}, **more}


def test_a_task_goes_to_one_host(ready: BuildHost, awx: Awx, site: Site, tmp_path: Path) -> None:
    empty = BuildHost(site)
    given = {"b1": variables(empty), "b2": variables(ready)}
    configure(awx, tmp_path, bbot_awx_hosts=given)
    source = sources.make_source(tmp_path / "hello")
    launch = awx.launch(
        "bbot run task",
        source=str(source),
        # As the user interface sends what was not answered.
        task="",
        machine="",
        bbot_job_machine_options="{cpu: 2}",
        bbot_job_task_options="",
    )
    results = {"bbot_results": str(tmp_path / "results")}
    launch = dataclasses.replace(launch, variables={**launch.variables, **results})
    job = PrivateFolder(tmp_path / "private", launch.inventory).launch(launch, "7")
    assert job.status == "successful", job.stdout
    assert "the task goes to b2" in job.stdout
    (result,) = job.artifacts["bbot_results"].values()
    assert (result["host"], result["status"], result["machine"]) == ("b2", "success", "tiny")
    # Where the container has gone with the job.
    assert (Path(result["logs"]) / "result.manifest").is_file()
    ready.assert_clean()


@pytest.mark.long
def test_a_round_has_the_key_of_the_credential_and_the_controllers_of_the_host(
    host: BuildHost, awx: Awx, bootstrapped: Machine, tmp_path: Path
) -> None:
    host.install_scripted(
        bootstrapped, guest.GET_TASK + guest.result("status: success") + guest.SLEEP
    )
    key = AgentKey.make(tmp_path / "key")
    with Controller(keys=[key]) as controller, Controller() as other:
        controller.tasks += [make_task()]
        configure(
            awx,
            tmp_path,
            bbot_awx_hosts={"b1": variables(host, bbot_controllers=[controller.url])},
            bbot_awx_controllers=other.url,
            bbot_awx_agent_key=key.private.read_text(),
        )
        launch = awx.launch("bbot run agent")
        job = PrivateFolder(tmp_path / "private", launch.inventory).launch(launch, "8")
        assert job.status == "successful", job.stdout
        assert (controller.rejected, other.requests) == ([], [])
        assert controller.arrivals[0].result.status is Status.SUCCESS
    secret = key.private.read_text().splitlines()[2]
    assert job.files_with(secret) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "image"), [("as the hosts say", "tiny"), ("debian", "debian")], ids=["own", "asked"]
)
def test_the_image_is_the_hosts_own_unless_another_is_asked_for(
    awx: Awx, tmp_path: Path, answer: str, image: str
) -> None:
    own = {**LOCAL, "machine_image_variant": "tiny", "bbot_toolchains": []}
    configure(awx, tmp_path, bbot_awx_hosts={"b1": own})
    launch = awx.launch("bbot provision", check=True, bbot_image_wanted=answer)
    job = PrivateFolder(tmp_path / "private", launch.inventory).launch(launch, "9")
    assert f"/images/{image} would be built as {image}-" in job.stdout


def variables_of_hosts() -> set[str]:
    """What inventories say: the variables of roles, and those in our examples."""
    found = {"bbot_controllers", "bbot_machine_options", "bbot_machines", "bbot_toolchains"}
    for path in (ROOT / "roles").glob("*/defaults/main.yml"):
        found |= set(yaml.safe_load(path.read_text()))
    for path in (ROOT / "inventories").rglob("group_vars/*.yml"):
        found |= set(yaml.safe_load(path.read_text()))
    return found


@pytest.mark.long
def test_nothing_that_a_job_sets_is_a_variable_of_hosts(awx: Awx, tmp_path: Path) -> None:
    """Extra variables go before those of all hosts: an answer is for one job, and one thing."""
    configure(awx, tmp_path, bbot_awx_agent_key="-----BEGIN PRIVATE KEY-----\n")
    for template in awx.objects["job_templates"].values():
        launch = awx.launch(template["name"])
        asked = {each["variable"] for each in template.get("survey_spec", {}).get("spec", [])}
        set_by_job = asked | set(launch.variables).union(*launch.more_variables)
        assert set_by_job & variables_of_hosts() == set(), template["name"]
