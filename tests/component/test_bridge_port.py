# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests on a bridge of the host, which others share: ports that are locked to them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.attach import attach
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.bridge_port import open_port
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.locking import (
    is_free,
    task_lock,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import leased, sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import (
    NetworkError,
    Redirect,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.build_host import TCG, BuildHost, run
from helpers.frames import BROADCAST, FrameGuest
from helpers.links import ip, link
from helpers.site import ADDRESS, BRIDGE

MAC, OTHER_MAC = "02:00:00:00:00:20", "02:00:00:00:00:21"
NETWORK = ADDRESS.rsplit(".", 1)[0]


@contextlib.contextmanager
def opened(name: str, mac: str) -> t.Iterator[int]:
    tap = open_port(name, BRIDGE, mac)
    try:
        yield tap
    finally:
        os.close(tap)


def details(name: str) -> dict[str, t.Any]:
    (found,) = json.loads(ip("-json", "-details", "link", "show", name))
    return dict(found["linkinfo"]["info_slave_data"])


def test_a_port_is_locked_to_its_guest(host: BuildHost) -> None:
    (bridge,) = json.loads(ip("-json", "link", "show", BRIDGE))
    with opened("bbtest-0", MAC) as tap, opened("bbtest-1", OTHER_MAC) as other:
        seen = details("bbtest-0")
        assert (seen["locked"], seen["learning"], seen["isolated"]) == (True, False, True)
        own = FrameGuest(tap, MAC, f"{NETWORK}.20", bridge["address"])
        assert own.discover() is not None
        # Who poses as the other one is not heard, and does not get what is for it.
        spoofed = FrameGuest(tap, OTHER_MAC, f"{NETWORK}.21", bridge["address"])
        assert spoofed.discover(seconds=1) is None
        victim = FrameGuest(other, OTHER_MAC, f"{NETWORK}.21", bridge["address"])
        assert victim.discover() is not None
        own.send(0x88B5, b"for all", BROADCAST)
        own.send(0x88B5, b"for you", OTHER_MAC)
        assert not [frame for frame in victim.frames(0.3) if b"for " in frame]
    assert "bbtest" not in ip("link", "show")


@pytest.mark.parametrize(
    ("name", "bridge", "words"),
    [
        ("bbtest-2", "vetest", "cannot add tap bbtest-2 to bridge vetest: vetest is not a bridge"),
        ("bbtest-2", "brnone", "cannot add tap bbtest-2 to bridge brnone: No such device"),
        (BRIDGE, BRIDGE, f"cannot make tap {BRIDGE}: .*; load the module tun and run as root"),
    ],
)
def test_a_port_of_no_bridge(host: BuildHost, name: str, bridge: str, words: str) -> None:
    with link("vetest", "veth", "peer", "name", "vepeer"):
        with pytest.raises(NetworkError, match=words):
            open_port(name, bridge, MAC)
        assert "bbtest-2" not in ip("link", "show")


def test_one_machine_at_a_time_has_an_address(host: BuildHost) -> None:
    engine = host.engine(bridge=BRIDGE)
    with leased(engine, what="test") as lease, leased(engine, what="test") as other:
        with contextlib.closing(attach(engine, lease, MAC)) as network:
            assert network.namespace is None
            with pytest.raises(LockError, match=f"cannot run a machine with MAC address {MAC}: pr"):
                attach(engine, other, MAC)
            with network.serve(get_root=None, put_root=None) as server:
                assert server.address == ADDRESS
                assert Redirect(run).elements() == [f'"{BRIDGE}" . {MAC}']
                # Whoever clears away leaves it alone.
                assert sweep(engine) == []
        assert Redirect(run).elements() == []
        with contextlib.closing(attach(engine, other, MAC)):
            host.lines.clear()


def test_what_a_former_version_left_is_swept(host: BuildHost) -> None:
    """Its leases name a redirection, wherever guests are now."""
    pid = os.fork()
    if pid == 0:
        lease = host.engine().leases.take(what="task", machine="tiny")
        lease.note(bridge=BRIDGE, mac=MAC, address=f"{NETWORK}.20")
        Redirect(run).add(BRIDGE, MAC, ADDRESS, 61000)
        os._exit(0)
    os.waitpid(pid, 0)
    assert Redirect(run).elements() == [f'"{BRIDGE}" . {MAC}']
    assert len(sweep(host.engine())) == 1
    assert Redirect(run).elements() == []


def test_a_server_s_port_that_is_taken(host: BuildHost) -> None:
    engine = host.engine(bridge=BRIDGE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, leased(engine) as lease:
        taken.bind((ADDRESS, 0))
        port = taken.getsockname()[1]
        with (
            contextlib.closing(attach(engine, lease, MAC, port)) as network,
            pytest.raises(EngineError, match=f"{ADDRESS}:{port}: the port is in use"),
        ):
            network.serve(get_root=None, put_root=None)


def test_a_task_on_a_bridge(host: BuildHost, bootstrapped: Machine) -> None:
    host.changes["bridge"] = BRIDGE
    host.install_scripted(
        bootstrapped, guest.GET_TASK + guest.result("status: success") + guest.SLEEP
    )
    outcome = host.perform()
    assert outcome.result.status is Status.SUCCESS, host.lines


def test_a_machine_is_for_one_task_at_a_time(ready: BuildHost) -> None:
    on_bridge, apart = ready.engine(bridge=BRIDGE), ready.engine()
    machine, running = ready.machine(), Running(TCG)
    with task_lock(on_bridge, machine, "work", running):
        assert not is_free(on_bridge, machine)
        with pytest.raises(LockError, match=r"cannot play on machine tiny: process .* to work on"):
            task_lock(on_bridge, machine, "play", running).__enter__()
        # In networks of their own tasks do not mind each other.
        assert is_free(apart, machine)
        with task_lock(apart, machine, "work", running), task_lock(apart, machine, "w", running):
            assert is_free(apart, machine)
    assert is_free(on_bridge, machine)
