# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles host and agent refuse, before they touch anything.

In check mode: what is not refused after all must do this machine no harm.
"""

from __future__ import annotations

import json
import subprocess

import pytest
from helpers.roles import Play


def route() -> tuple[str, str]:
    """A network that this machine reaches, and its interface."""
    listing = subprocess.run(
        ["ip", "-json", "-4", "route"], check=True, capture_output=True, text=True
    )
    for each in json.loads(listing.stdout):
        if each["dst"] != "default":
            return each["dst"], each["dev"]
    pytest.skip("this machine has no network to overlap with")


def test_a_network_that_is_in_use(play: Play) -> None:
    network, device = route()
    wanted = f"overlaps with {network}, which the host reaches by {device}"
    play("host", "--check", host_bridge="brtest", host_bridge_network=network, fails=wanted)


@pytest.mark.parametrize(
    ("variables", "fails"),
    [
        (
            {"host_bridge": "brtest", "host_bridge_network": "172.30.254.1/24"},
            "do you mean 172.30.254.0/24?",
        ),
        ({"host_bridge": "lo"}, "has an interface lo that this role has not made"),
        ({"host_bridge": "a name; that is none"}, "choose another host_bridge"),
        ({"host_volume": "../elsewhere"}, "names of their own"),
        ({"host_more_volumes": [{"name": "default", "file": "/x"}]}, "names of their own"),
        ({"host_storage": "zfs"}, "value of host_storage must be one of"),
        (
            {"host_storage": "btrfs", "host_more_volumes": [{"name": "more"}]},
            "a device in /dev or a file",
        ),
        ({"host_volume_device": "/dev/null"}, "/dev/null is no block device"),
        ({"host_state": "there"}, "value of host_state must be one of"),
    ],
)
def test_what_a_host_cannot_have(play: Play, variables: dict, fails: str) -> None:
    play("host", "--check", **variables, fails=fails)


URL = "https://ci.example.org/?build-task"


@pytest.mark.parametrize(
    ("variables", "fails"),
    [
        ({"agent_toolchains": [{"name": "a"}]}, "missing required arguments: controllers"),
        ({"agent_toolchains": [{"name": "a", "controllers": []}]}, "and controllers, which are"),
        ({"agent_toolchains": [{"name": "a", "controllers": ["x"]}]}, "which are URLs (x)"),
        ({"agent_toolchains": [{"name": "a/b", "controllers": [URL]}]}, "a name of its own"),
        ({"agent_toolchains": [{"name": "a", "controllers": [URL]}] * 2}, "a name of its own"),
        ({"agent_options": {"bridge": "br7"}}, "have variables of their own"),
        ({"agent_options": {"--ram": 1}}, "without the dashes"),
        ({"agent_web": True, "agent_web_listen": "8090"}, "is ADDRESS:PORT"),
        ({"agent_web": True, "agent_web_key": "/k"}, "given both or not at all"),
        ({"agent_web": True, "agent_web_names": ["a b"]}, "are single words"),
        ({"agent_web": True, "agent_web_users": {"a:b": "x"}}, "are single words"),
        ({"agent_web": True, "agent_web_listen": "0.0.0.0:80"}, "or agent_web_anybody=true"),
        (
            {
                "agent_web": True,
                "agent_web_listen": "[::]:80",
                "agent_web_users": {"a": "x"},
                "agent_web_anybody": True,
            },
            "give agent_web_users with agent_web_certificate",
        ),
        ({"agent_auth_key": "/etc/agent.pem"}, "not a private key in PEM format"),
    ],
)
def test_what_an_agent_cannot_have(play: Play, variables: dict, fails: str) -> None:
    play("agent", "--check", **variables, fails=fails)
