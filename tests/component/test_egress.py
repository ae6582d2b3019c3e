# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that are let out: what they reach, and what they do not."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.egress import Egress
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.segment import (
    Segment,
)
from helpers.build_host import run
from helpers.site import network_script
from helpers.waiting import until
from helpers.world import (
    FIRST,
    HOST,
    LAN,
    LAN_HOST,
    MAC,
    WORLD,
    World,
    beside,
    guest_in,
    looks_up,
    reaches,
)


@pytest.fixture
def world(tmp_path: Path) -> t.Iterator[World]:
    """A host that lets guests out, which this process is on, and the world beside it."""
    script = tmp_path / "network"
    script.write_text(network_script(tmp_path, "bregress", "172.29.254.1", "nat"))
    with beside(lambda: subprocess.run(["sh", str(script), "up"], check=True)) as made:
        yield made
        until(lambda: links() == [], "the links of segments are gone", 10)


def links() -> list[str]:
    return sorted(name for _dummy, name in socket.if_nameindex() if name.startswith("bbv"))


def let_out(**options: t.Any) -> contextlib.closing[Segment]:
    egress = Egress(**{"resolvers": [WORLD], **options})
    return contextlib.closing(Segment(MAC, "a test", run, egress))


def test_the_world_but_not_the_neighbours(world: World) -> None:
    with let_out() as segment, let_out() as other:
        assert links() == ["bbv0", "bbv1"]
        for each in (segment, other):
            assert guest_in(each).discover() == FIRST
            assert reaches(each, world, WORLD, 7000)
        # By the host's address.
        assert {source for _address, _port, source in world.heard} == {HOST}
        world.heard.clear()
        for address, port in (
            (LAN, 7000),
            (LAN_HOST, 7001),
            (HOST, 7001),
            (WORLD, 53),
            ("198.19.0.0", 7001),
            ("198.19.0.3", 69),
        ):
            assert not reaches(segment, world, address, port)
        assert world.heard == []


def test_names_are_looked_up_by_dnsmasq_only(world: World) -> None:
    with let_out() as segment:
        looks_up(segment, world)


def test_other_networks_may_be_refused(world: World) -> None:
    with let_out(refused=["203.0.113.0/25"]) as segment:
        assert not reaches(segment, world, WORLD, 7000)
        assert reaches(segment, world, LAN, 7000)


def test_a_host_that_has_lost_its_rules_lets_nobody_out(world: World) -> None:
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    with pytest.raises(NetworkError, match="guests cannot be let out: this host does not forward"):
        let_out()
    # Who is not to go out does not need them.
    Segment(MAC, "a test", run).close()


def test_rules_that_nft_refuses_are_told(world: World) -> None:
    with pytest.raises(NetworkError, match=r"cannot make the rules .* nonse"):
        let_out(refused=["nonsense"])
    assert links() == []
