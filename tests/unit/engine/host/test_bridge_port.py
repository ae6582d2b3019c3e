# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's port on a bridge, without the tap: its redirection, and whose it is."""

from __future__ import annotations

import ipaddress
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host import bridge_port as _port
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.bridge_port import (
    BridgePort,
    release_port,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError

MAC = "02:00:00:00:00:01"


class Lease:
    id = "1-0"

    def __init__(self) -> None:
        self.record: dict[str, t.Any] = {}

    def note(self, **facts: t.Any) -> None:
        self.record |= facts


class Site:
    """A host whose nft notes its scripts, and refuses them if `status` is not 0."""

    def __init__(self, root: Path) -> None:
        self.scripts: list[str] = []
        self.status = 0
        self.lease = Lease()
        self.host = Host(
            run=self.run, storage=t.cast("t.Any", None), state=str(root / "state"), bridge="br1"
        )

    def run(self, args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        if data is None:
            return 0, f'"br1" . {MAC}', ""
        self.scripts.append(data)
        return self.status, "", "refused"

    def attach(self) -> BridgePort:
        return BridgePort(self.host, t.cast("t.Any", self.lease), "br1", MAC, 0)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    address = ipaddress.IPv4Interface("127.0.0.1/8")
    monkeypatch.setattr(_port, "bridge_address", lambda _name: address)
    monkeypatch.setattr(
        _port, "open_port", lambda *_names: os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    )
    monkeypatch.setattr(
        "ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge.find_program",
        lambda name, _package: f"/x/{name}",
    )
    return Site(tmp_path)


def test_a_port_that_is_closed_leaves_nothing(site: Site) -> None:
    before = len(os.listdir("/proc/self/fd"))
    port = site.attach()
    with port.serve(get_root=None, put_root=None) as server:
        assert site.lease.record == {"bridge": "br1", "mac": MAC}
        (script,) = site.scripts
        assert script.endswith(f'{{ "br1" . {MAC} : 127.0.0.1 . {server.port} }}\n')
    port.close()
    assert site.scripts[1].startswith("delete element ip bbot_agent tftp")
    assert site.lease.record == {"bridge": "br1", "mac": None}
    # A second time there is nothing to do.
    port.close()
    assert len(site.scripts) == 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_redirection_that_stays_keeps_neither_tap_nor_address(site: Site) -> None:
    before = len(os.listdir("/proc/self/fd"))
    port = site.attach()
    port.serve(get_root=None, put_root=None).close()
    site.status = 1
    with pytest.raises(NetworkError, match="cannot end the redirection"):
        port.close()
    assert len(os.listdir("/proc/self/fd")) == before
    # Who clears away is to know of it.
    assert site.lease.record == {"bridge": "br1", "mac": MAC}
    site.attach().close()


def test_a_redirection_that_cannot_be_made_leaves_no_server(site: Site) -> None:
    port = site.attach()
    before = len(os.listdir("/proc/self/fd"))
    site.status = 1
    with pytest.raises(NetworkError):
        port.serve(get_root=None, put_root=None)
    assert len(os.listdir("/proc/self/fd")) == before
    site.status = 0
    port.close()


def test_one_machine_at_a_time_has_an_address(site: Site) -> None:
    port = site.attach()
    with pytest.raises(LockError, match=f"run a machine with MAC address {MAC}"):
        site.attach()
    port.close()
    site.attach().close()


def test_the_redirection_of_a_dead_owner_is_ended(site: Site) -> None:
    record = {"mac": MAC, "bridge": "br1"}
    release_port(site.host, record)
    assert len(site.scripts) == 1
    # Where another machine has the address meanwhile, the redirection is that one's.
    port = site.attach()
    release_port(site.host, record)
    assert len(site.scripts) == 1
    port.close()
    release_port(site.host, {})
    assert len(site.scripts) == 1


def test_a_bridge_that_is_taken_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    indices = {"br1": 7}

    def find(name: str) -> int:
        if name not in indices:
            raise OSError(19, "No such device")
        return indices[name]

    monkeypatch.setattr(_port.socket, "if_nametoindex", find)
    port = site.attach()
    port.check()
    for state in ({}, {"br1": 8}):
        indices.clear()
        indices.update(state)
        with pytest.raises(NetworkError, match="bridge br1 was taken away while a guest was on"):
            port.check()
    port.close()
