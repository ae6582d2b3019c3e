# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bridges and redirections, with a real bridge and real datagrams."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import (
    NetworkError,
    Redirect,
    bridge_address,
)
from helpers.build_host import run
from helpers.links import ip, link
from helpers.namespace import Namespace
from helpers.site import ADDRESS, BRIDGE, PREFIX, Site

MAC = "02:00:00:00:00:10"
OTHER_MAC = "02:00:00:00:00:11"


@pytest.fixture(autouse=True)
def inside(site: Site) -> t.Iterator[None]:
    with site.namespace.entered():
        yield
        for mac in (MAC, OTHER_MAC):
            Redirect(run).remove(BRIDGE, mac)


def test_the_bridge_has_address_and_network() -> None:
    assert str(bridge_address(BRIDGE)) == f"{ADDRESS}/{PREFIX}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("brnone", "no bridge brnone on this host; make it with the role bbot.agent.host or"),
        ("brbare", "bridge brbare has no IPv4 address; give it one of the guests' network"),
        ("b" * 16, "is not of 1 to 15 bytes"),
        ("", "is not of 1 to 15 bytes"),
    ],
)
def test_a_bridge_that_is_of_no_use(name: str, words: str) -> None:
    with link("brbare", "bridge"), pytest.raises(NetworkError, match=words):
        bridge_address(name)


def test_redirections_come_and_go() -> None:
    redirect = Redirect(run)
    assert redirect.elements() == []
    redirect.remove(BRIDGE, MAC)
    redirect.add(BRIDGE, MAC, ADDRESS, 5000)
    redirect.add(BRIDGE, OTHER_MAC, ADDRESS, 5001)
    keys = {f'"{BRIDGE}" . {mac}' for mac in (MAC, OTHER_MAC)}
    assert set(redirect.elements()) == keys
    # However many there were, one rule does it.
    rules = run(["nft", "list", "chain", "ip", "bbot_agent", "prerouting"])[1]
    assert rules.count("dnat") == 1
    redirect.remove(BRIDGE, MAC)
    redirect.remove(BRIDGE, MAC)
    assert redirect.elements() == [f'"{BRIDGE}" . {OTHER_MAC}']


def test_the_same_redirection_twice_is_one() -> None:
    redirect = Redirect(run)
    redirect.add(BRIDGE, MAC, ADDRESS, 5000)
    redirect.add(BRIDGE, MAC, ADDRESS, 5000)
    assert redirect.elements() == [f'"{BRIDGE}" . {MAC}']


def test_the_redirection_of_a_dead_owner_is_replaced() -> None:
    # Whether the owner is dead is known from its lock; see Vm.
    redirect = Redirect(run)
    redirect.add(BRIDGE, MAC, ADDRESS, 5000)
    redirect.add(BRIDGE, MAC, ADDRESS, 5001)
    listed = run(["nft", "list", "map", "ip", "bbot_agent", "tftp"])[1]
    assert f"{ADDRESS} . 5001" in listed
    assert "5000" not in listed


def test_many_at_once_lose_nothing(site: Site) -> None:
    macs = [f"02:00:00:00:01:{number:02x}" for number in range(12)]
    errors: list[NetworkError] = []

    def come_and_go(mac: str) -> None:
        with site.namespace.entered():
            try:
                for _dummy in range(3):
                    Redirect(run).add(BRIDGE, mac, ADDRESS, 6000)
                    Redirect(run).remove(BRIDGE, mac)
                Redirect(run).add(BRIDGE, mac, ADDRESS, 6000)
            except NetworkError as error:
                errors.append(error)

    threads = [threading.Thread(target=come_and_go, args=(mac,)) for mac in macs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert errors == []
        assert set(Redirect(run).elements()) == {f'"{BRIDGE}" . {mac}' for mac in macs}
    finally:
        for mac in macs:
            Redirect(run).remove(BRIDGE, mac)


@pytest.mark.parametrize(
    ("address", "port", "words"),
    [("no address", 5000, "redirect the TFTP of"), (ADDRESS, 70000, "exit status 1")],
)
def test_what_nft_refuses_is_said(address: str, port: int, words: str) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        Redirect(run).add(BRIDGE, MAC, address, port)
    assert MAC in str(caught.value)


class Guest:
    """A namespace on the bridge, with an Ethernet address, that sends and gets datagrams."""

    def __init__(self, number: int, mac: str) -> None:
        self.namespace = Namespace()
        self.address = f"{ADDRESS.rsplit('.', 1)[0]}.{number}"
        self.port = f"vetest{number}"
        peer = f"eth{number}"
        with self.namespace.entered():
            ns = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"
            held = os.open(ns, os.O_RDONLY)
        try:
            ip("link", "add", self.port, "type", "veth", "peer", "name", peer, "address", mac)
            ip("link", "set", self.port, "master", BRIDGE, "up", "type", "bridge_slave")
            ip("link", "set", self.port, "type", "bridge_slave", "isolated", "on")
            subprocess.run(
                ["ip", "link", "set", peer, "netns", f"/proc/self/fd/{held}"],
                check=True,
                pass_fds=[held],
            )
        finally:
            os.close(held)
        with self.namespace.entered():
            ip("link", "set", peer, "up")
            ip("address", "add", f"{self.address}/{PREFIX}", "dev", peer)
            ip("route", "add", "default", "via", ADDRESS)

    def ask(self, address: str, port: int) -> tuple[bytes, tuple[str, int]] | None:
        """The answer to a datagram, and whence it seems to come; None if there is none."""
        with self.namespace.entered():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.settimeout(0.3)
            try:
                sock.sendto(b"hello", (address, port))
                answer, peer = sock.recvfrom(100)
            except OSError:
                return None
            return answer, peer

    def close(self) -> None:
        ip("link", "delete", self.port)
        self.namespace.close()


class Echo(threading.Thread):
    """Answers each datagram to a port of ``address`` with its name."""

    def __init__(self, name: str, address: str, port: int = 0) -> None:
        super().__init__(daemon=True)
        self.answer = name.encode()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((address, port))
        self.port: int = self.sock.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            data, peer = self.sock.recvfrom(100)
            if data == b"end":
                return
            self.sock.sendto(self.answer, peer)

    def close(self) -> None:
        self.sock.sendto(b"end", self.sock.getsockname())
        self.join()
        self.sock.close()


def test_a_guest_reaches_its_own_server_and_nothing_else() -> None:
    with contextlib.ExitStack() as stack:
        guests = [Guest(10, MAC), Guest(11, OTHER_MAC)]
        servers = [Echo("first", ADDRESS), Echo("second", ADDRESS)]
        for guest in guests:
            stack.callback(guest.close)
        for server in servers:
            stack.callback(server.close)
        for guest, server, mac in zip(guests, servers, (MAC, OTHER_MAC), strict=True):
            # Not yet.
            assert guest.ask("196.254.111.222", 69) is None
            Redirect(run).add(BRIDGE, mac, ADDRESS, server.port)
            name = server.answer
            # Whatever address it asks, and from there the answer seems to come.
            for address in ("196.254.111.222", ADDRESS, "10.1.2.3"):
                assert guest.ask(address, 69) == (name, (address, 69))
            for address in (ADDRESS, "196.254.111.222"):
                assert guest.ask(address, server.port) is None
        # Another guest is behind a wall.
        with guests[1].namespace.entered():
            neighbour = Echo("neighbour", guests[1].address, 7000)
        stack.callback(neighbour.close)
        assert guests[0].ask(guests[1].address, 7000) is None
        Redirect(run).remove(BRIDGE, MAC)
        assert guests[0].ask("196.254.111.222", 69) is None
