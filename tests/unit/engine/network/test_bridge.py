# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MAC addresses, and nftables that is not there."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.process import CommandError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import bridge as _network
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import (
    NetworkError,
    Redirect,
    check_mac,
    random_mac,
)


def test_random_addresses_are_local_unicast_and_different() -> None:
    macs = {random_mac() for _dummy in range(200)}
    assert len(macs) == 200
    for mac in macs:
        assert check_mac(mac) == mac
        assert int(mac[:2], 16) & 3 == 2


@pytest.mark.parametrize("mac", ["02:00:00:00:00:01", "DE:AD:BE:EF:DE:AD", "00:16:3e:aA:Bb:cc"])
def test_addresses_become_lower_case(mac: str) -> None:
    assert check_mac(mac) == mac.lower()


@pytest.mark.parametrize(
    ("mac", "words"),
    [
        ("", "'' is not a MAC address of the form xx:xx:xx:xx:xx:xx"),
        ("02:00:00:00:00", "is not a MAC address"),
        ("02-00-00-00-00-01", "is not a MAC address"),
        ("02:00:00:00:00:01\n", "is not a MAC address"),
        ("02:00:00:00:00:0g", "is not a MAC address"),
        ("02:00:00:00:00:01 } ; flush ruleset", "is not a MAC address"),
        ("01:00:5e:00:00:01", "is a group address; its first byte must be even"),
        ("ff:ff:ff:ff:ff:ff", "is a group address"),
    ],
)
def test_what_is_no_address_of_a_machine(mac: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        check_mac(mac)


def test_without_nftables(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, package: str) -> str:
        raise CommandError(f"no program '{name}' on this host; install the package {package}")

    def run(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        raise AssertionError(f"{args} cannot be run")

    monkeypatch.setattr(_network, "find_program", missing)
    with pytest.raises(NetworkError, match="no program 'nft' on this host; install the package"):
        Redirect(run).add("br1", "02:00:00:00:00:01", "10.0.0.1", 69)
