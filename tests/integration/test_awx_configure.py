# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What awx_configure.yml makes of AWX, and what it leaves as it is."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
import yaml
from helpers.awx import ROOT, configure
from helpers.awx_api import Awx

KEY = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n"
OTHER = KEY.replace("canary", "other-canary")
OWN = "https://own.example.org/?build-task"
HOSTS = {"b1": {"bbot_controllers": [OWN]}, "b2": {}}
SECRETS = {"bbot_awx_agent_key": KEY, "bbot_awx_ssh_key": KEY}
ALL = "https://all.example.org/?build-task"
TEMPLATES = yaml.safe_load((ROOT / "playbooks/vars/awx_templates.yml").read_text())
NAMES = [f"bbot {each['name']}" for each in TEMPLATES["bbot_templates"]]


@pytest.fixture
def awx() -> t.Iterator[Awx]:
    with Awx() as made:
        yield made


def state(awx: Awx) -> dict[str, t.Any]:
    """All that jobs are made of."""
    names = ("credentials", "agent", "hosts", "labels", "notification_templates_error")
    return {
        "objects": {kind: list(group.values()) for kind, group in awx.objects.items()},
        "links": {key: sorted(value) for key, value in awx.links.items() if key[1] in names},
    }


@pytest.mark.long
def test_a_second_run_changes_nothing(awx: Awx, tmp_path: Path) -> None:
    given = {"bbot_awx_hosts": HOSTS, "bbot_awx_controllers": ALL, "bbot_awx_round": 10}
    assert configure(awx, tmp_path, **given)[0] > 0
    assert configure(awx, tmp_path, **given)[0] == 0
    awx.writes.clear()
    assert configure(awx, tmp_path, "--check", **given)[0] == 0
    assert awx.writes == []


def test_what_is_not_given_any_more_stays(awx: Awx, tmp_path: Path) -> None:
    given = {
        **SECRETS,
        "bbot_awx_hosts": HOSTS,
        "bbot_awx_controllers": ALL,
        "bbot_awx_round": 10,
        "bbot_awx_forks": 20,
        "bbot_awx_scm_branch": "stable",
        "bbot_awx_image_pull": "missing",
        "bbot_awx_known_hosts": "b1 ssh-ed25519 AAAA",
    }
    configure(awx, tmp_path, **given)
    # What a person adds in the user interface.
    template = awx.find("job_templates", "bbot run task")
    vault = awx.add(
        "credentials",
        name="by hand",
        credential_type=awx.find("credential_types", "Vault")["id"],
        inputs={"vault_password": "x"},
    )
    awx.post(["job_templates", str(template["id"]), "credentials"], {"id": vault})
    group = awx.find("groups", "build_hosts")
    group["variables"] = f"{{'host_egress': nat, 'bbot_controllers': ['{ALL}']}}"
    before = copy.deepcopy(state(awx))

    assert configure(awx, tmp_path)[0] == 0
    assert state(awx) == before
    wanted = {"bbot agent", "bbot hosts", "bbot known hosts", "by hand"}
    assert awx.linked("job_templates", "bbot run task", "credentials") == wanted

    # One thing of what makes an object is given, or another value of it.
    configure(awx, tmp_path, bbot_awx_controllers=OWN, bbot_awx_become_password="canary-3",
              bbot_awx_agent_key=OTHER, bbot_awx_round=0)  # fmt: skip
    assert yaml.safe_load(group["variables"]) == {"host_egress": "nat", "bbot_controllers": [OWN]}
    assert awx.find("credentials", "bbot agent")["inputs"] == {"key": OTHER}
    assert awx.find("credentials", "bbot hosts")["inputs"] == {
        "username": "root",
        "ssh_key_data": KEY,
        "become_method": "sudo",
        "become_password": "canary-3",
    }
    assert awx.names("schedules") == set()


@pytest.mark.long
def test_credentials_by_name_and_by_hand(awx: Awx, tmp_path: Path) -> None:
    types = {name: awx.find("credential_types", name)["id"] for name in ("Machine", "Vault")}
    for name in ("Machine", "Vault"):
        awx.add("credentials", name=f"own {name}", credential_type=types[name], inputs={})
    configure(awx, tmp_path, bbot_awx_credentials="own Machine, own Vault")
    for template in NAMES:
        linked = awx.linked("job_templates", template, "credentials")
        assert linked == {"own Machine", "own Vault"}
    # The key that is given now is used instead: a template has one credential for its hosts.
    configure(awx, tmp_path, bbot_awx_ssh_key=KEY)
    for template in NAMES:
        assert awx.linked("job_templates", template, "credentials") == {"bbot hosts", "own Vault"}


def test_the_first_run_is_foreseen(awx: Awx, tmp_path: Path) -> None:
    changed, output = configure(awx, tmp_path, "--check", **SECRETS)
    assert (changed, awx.writes) == (1, [])
    assert "AWX has no project bbot in Default: all of it would be made." in output


@pytest.mark.long
def test_all_that_can_be_given(awx: Awx, tmp_path: Path) -> None:
    machine = awx.find("credential_types", "Machine")["id"]
    for name in ("scm", "registry"):
        awx.add("credentials", name=name, credential_type=machine, inputs={})
    awx.add("notification_templates", name="mail")
    awx.add("instance_groups", name="farm")
    organization = awx.add("organizations", name="Builders")
    for name in ("devs", "ops"):
        awx.add("teams", name=name, organization=organization)
    configure(
        awx,
        tmp_path,
        bbot_awx_organization="Builders",
        bbot_awx_prefix="ci",
        bbot_awx_scm_credential="scm",
        bbot_awx_image_credential="registry",
        bbot_awx_inventory_path="inventories/three_hosts",
        bbot_awx_notifications=["mail"],
        bbot_awx_instance_groups="farm",
        bbot_awx_labels="ci, builds",
        bbot_awx_forks=20,
        bbot_awx_slices=3,
        bbot_awx_run_teams="devs",
        bbot_awx_admin_teams=["ops"],
        bbot_awx_status_hours=1,
        bbot_awx_cleanup_days=7,
    )
    # Else AWX installs no collection.
    assert awx.linked("organizations", "Builders", "galaxy_credentials") == {"Ansible Galaxy"}
    image = awx.find("execution_environments", "ci")
    assert (image["pull"], image["credential"]) == (
        "always",
        awx.find("credentials", "registry")["id"],
    )
    project = awx.find("projects", "ci")
    assert project["credential"] == awx.find("credentials", "scm")["id"]
    assert (project["scm_update_cache_timeout"], project["timeout"]) == (300, 300)
    source = awx.find("inventory_sources", "ci")
    assert (source["source_path"], source["overwrite"]) == ("inventories/three_hosts", True)
    for template in TEMPLATES["bbot_templates"]:
        name = f"ci {template['name']}"
        assert awx.linked("job_templates", name, "labels") == {"ci", "builds"}
        assert awx.linked("job_templates", name, "instance_groups") == {"farm"}
        assert awx.linked("job_templates", name, "notification_templates_error") == {"mail"}
        assert awx.find("job_templates", name)["forks"] == 20
        assert awx.granted("job_templates", name, "admin_role") == {"ops"}
        free = template["name"] in ("run task", "status", "machines")
        assert awx.granted("job_templates", name, "execute_role") == ({"devs"} if free else set())
    assert awx.find("job_templates", "ci run agent")["job_slice_count"] == 3
    assert awx.names("schedules") == {"ci looks at the hosts", "ci cleanups"}
    rules = {each["name"]: each["rrule"].split()[1] for each in awx.objects["schedules"].values()}
    assert rules["ci cleanups"] == "RRULE:FREQ=DAILY;INTERVAL=7"


@pytest.mark.long
def test_a_workflow_from_a_bare_host_to_a_build(awx: Awx, tmp_path: Path) -> None:
    configure(awx, tmp_path)
    nodes = {
        each["identifier"]: each for each in awx.objects["workflow_job_template_nodes"].values()
    }
    for first, then in (("provision", "bootstrap"), ("bootstrap", "run task")):
        assert awx.links[nodes[first]["id"], "success_nodes"] == [nodes[then]["id"]]
    survey = awx.find("workflow_job_templates", "bbot provision and build")["survey_spec"]["spec"]
    variables = [each["variable"] for each in survey]
    assert len(variables) == len(set(variables))
    assert {"task", "bbot_host", "machine", "bbot_image_wanted"} <= set(variables)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bbot_awx_image": ""}, "the image to run it in"),
        ({"bbot_awx_scm_url": ""}, "Say where AWX finds this collection"),
        ({"bbot_awx_round": "often"}, "are whole numbers; 0 is for never"),
        (
            {"bbot_awx_inventory_path": "inventories/x", "bbot_awx_hosts": HOSTS},
            "The hosts come from inventories/x: say them, their controllers",
        ),
        ({"bbot_awx_credentials": "nobody's"}, "AWX has none of these"),
    ],
    ids=["image", "repository", "time", "hosts", "credentials"],
)
def test_what_cannot_be_is_told(
    awx: Awx, tmp_path: Path, given: dict[str, t.Any], words: str
) -> None:
    _changed, output = configure(awx, tmp_path, code=2, **given)
    assert words in output
    assert awx.names("job_templates") == set()


def test_a_sync_that_failed_is_told(awx: Awx, tmp_path: Path) -> None:
    awx.sync = "failed"
    _changed, output = configure(awx, tmp_path, code=2)
    assert "The sync of the project bbot from https://git.example.org/bbot.agent.git is" in output
