# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter guest_network."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.filter import guest_network as plugin
from ansible_collections.bbot.agent.plugins.filter.guest_network import FilterModule

guest_network = FilterModule().filters()["guest_network"]


@pytest.mark.parametrize(
    ("network", "address", "prefix", "netmask", "first", "last"),
    [
        (
            *("172.30.254.0/24", "172.30.254.1", 24),
            *("255.255.255.0", "172.30.254.2", "172.30.254.254"),
        ),
        ("10.0.0.0/8", "10.0.0.1", 8, "255.0.0.0", "10.0.0.2", "10.255.255.254"),
        ("192.0.2.4/30", "192.0.2.5", 30, "255.255.255.252", "192.0.2.6", "192.0.2.6"),
    ],
)
def test_addresses(
    network: str, address: str, prefix: int, netmask: str, first: str, last: str
) -> None:
    assert guest_network(network) == {
        "address": address,
        "prefix": prefix,
        "netmask": netmask,
        "first_guest": first,
        "last_guest": last,
    }


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("", "is not a network in CIDR notation such as 172.30.254.0/24"),
        ("here", "'here' is not a network in CIDR notation"),
        ("10.0.0.0/33", "is not a network in CIDR notation"),
        (None, "is not a network in CIDR notation"),
        ("10.0.0.1", "must be an IPv4 network with a prefix length, not '10.0.0.1'"),
        ("fd00::/64", "must be an IPv4 network with a prefix length"),
        ("10.0.0.7/24", "is an address, not a network; do you mean 10.0.0.0/24?"),
        ("10.0.0.0/31", "has no room for host and guests; its prefix length may be 30 at most"),
        ("10.0.0.0/32", "has no room for host and guests"),
    ],
)
def test_refusals(network: t.Any, words: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        guest_network(network)
    assert words in str(caught.value)


def test_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "HAS_NETADDR", False)
    with pytest.raises(AnsibleFilterError, match="netaddr on the control node; install it"):
        guest_network("10.0.0.0/24")


def test_routes_to_elsewhere_do_no_harm() -> None:
    routes = [{"dst": "default", "dev": "eth0"}, {"dst": "10.0.0.0/24"}, {"dst": "10.0.2.9"}]
    assert guest_network("10.0.1.0/24", routes)["address"] == "10.0.1.1"


@pytest.mark.parametrize("other", ["10.0.0.0/8", "10.0.1.128/25", "10.0.1.7", "10.0.1.0/24"])
def test_an_overlap_is_refused(other: str) -> None:
    with pytest.raises(
        AnsibleFilterError, match=f"overlaps with {other}.*, which.* by wg0; choose"
    ):
        guest_network("10.0.1.0/24", [{"dst": other, "dev": "wg0"}])
