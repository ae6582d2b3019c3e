# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taps, on a real bridge and with real frames."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.taps import (
    Taps,
    lead_to,
    open_tap,
)
from helpers.links import ip, link
from helpers.site import ADDRESS, BRIDGE, Site

MAC = "02:00:00:00:00:20"
GUEST = f"{ADDRESS.rsplit('.', 1)[0]}.20"
# What QEMU has the kernel put before each frame (linux/virtio_net.h).
HEADER = 10


@pytest.fixture(autouse=True)
def inside(site: Site) -> t.Iterator[None]:
    with site.namespace.entered():
        yield


def details(name: str) -> dict[str, t.Any]:
    (found,) = json.loads(ip("-json", "-details", "link", "show", name))
    return dict(found)


def assert_isolated_port(name: str, bridge: str) -> None:
    seen = details(name)
    assert seen["master"] == bridge
    assert "UP" in seen["flags"]
    assert seen["linkinfo"]["info_slave_data"]["isolated"] is True


def taps() -> list[str]:
    return [name for _dummy, name in socket.if_nameindex() if name.startswith("bbtap")]


@contextlib.contextmanager
def opened(tap: int) -> t.Iterator[int]:
    try:
        yield tap
    finally:
        os.close(tap)


@pytest.fixture
def kept() -> t.Iterator[Taps]:
    """Taps of the bridge, with one at the first place."""
    made = Taps(BRIDGE)
    made.provide(0)
    yield made
    made.drop(0)
    assert taps() == []


@pytest.fixture
def send() -> t.Iterator[t.Callable[[bytes], int]]:
    """Send a datagram to the guest that has MAC."""
    ip("neighbour", "replace", GUEST, "lladdr", MAC, "dev", BRIDGE)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((GUEST, 7))
            yield sock.send
    finally:
        ip("neighbour", "delete", GUEST, "dev", BRIDGE)


def received(tap: int, seconds: float = 0) -> list[bytes]:
    """The texts of the datagrams for MAC that are waiting, after up to ``seconds`` for one."""
    found = []
    select.select([tap], [], [], seconds)
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = os.read(tap, 1 << 16)[HEADER:]
            if frame.startswith(bytes.fromhex(MAC.replace(":", ""))):
                found.append(frame[42:])
    return found


def test_a_tap_is_an_isolated_port_of_the_bridge_until_it_is_closed() -> None:
    with opened(open_tap("bbtest-0", BRIDGE)):
        assert_isolated_port("bbtest-0", BRIDGE)
        with pytest.raises(NetworkError, match=r"cannot create tap bbtest-0: .*busy"):
            open_tap("bbtest-0", BRIDGE)
    assert "bbtest-0" not in ip("link", "show")


def test_a_tap_for_no_bridge_leaves_nothing() -> None:
    with link("vetest", "veth", "peer", "name", "vepeer"):
        with pytest.raises(NetworkError, match="cannot add tap bbtest-1 to bridge vetest: vetest"):
            open_tap("bbtest-1", "vetest")
        with pytest.raises(NetworkError, match="cannot add tap bbtest-1 to bridge brnone: No such"):
            open_tap("bbtest-1", "brnone")
        with pytest.raises(NetworkError, match="is not of 1 to 15 bytes"):
            open_tap("bbtest-" + "1" * 16, BRIDGE)
    assert "bbtest-1" not in ip("link", "show")


def test_frames_follow_a_machine_to_its_new_tap(send: t.Callable[[bytes], int]) -> None:
    with opened(open_tap("bbtest-0", BRIDGE)) as old, opened(open_tap("bbtest-1", BRIDGE)) as new:
        lead_to(old, MAC)
        send(b"one")
        assert received(old, 5) == [b"one"]
        assert received(new) == []
        lead_to(new, MAC)
        send(b"two")
        assert received(new, 5) == [b"two"]
        assert received(old) == []


def test_nothing_is_led_to_a_tap_that_is_no_port() -> None:
    with opened(open_tap("bbtest-0", BRIDGE)) as tap:
        ip("link", "set", "bbtest-0", "nomaster")
        with pytest.raises(NetworkError, match=f"cannot lead {MAC} to tap bbtest-0: "):
            lead_to(tap, MAC)


def test_a_kept_tap_serves_one_machine_after_another(
    kept: Taps, send: t.Callable[[bytes], int]
) -> None:
    open_again = kept.opener(0)
    with opened(open_again("bbtest-0", BRIDGE)) as first:
        (name,) = taps()
        lead_to(first, MAC)
        send(b"for the first machine")
        assert received(first, 5) == [b"for the first machine"]
        send(b"too late for it")
    # It was closed, and is there all the same; the next machine gets none of that.
    with opened(open_again("bbtest-1", BRIDGE)) as second:
        assert received(second, 0.2) == []
        send(b"for the second machine")
        assert received(second, 5) == [b"for the second machine"]
    kept.provide(0)
    assert taps() == [name]


def test_a_place_without_a_kept_tap_gets_one_of_its_own(kept: Taps) -> None:
    with opened(kept.opener(1)("bbtest-0", BRIDGE)):
        assert details("bbtest-0")["master"] == BRIDGE
    kept.provide(1)
    assert len(taps()) == 2
    kept.drop(1)
    kept.drop(1)
    assert len(taps()) == 1


def test_a_kept_tap_joins_the_bridge_again() -> None:
    kept = Taps("brother")
    with link("brother", "bridge"):
        kept.provide(0)
    (name,) = taps()
    assert "master" not in details(name)
    with link("brother", "bridge"):
        ip("link", "set", name, "down")
        kept.provide(0)
        assert taps() == [name]
        assert_isolated_port(name, "brother")
    # Without a bridge there is nothing to keep.
    with pytest.raises(NetworkError, match=f"cannot add tap {name} to bridge brother: No such"):
        kept.provide(0)
    assert taps() == []
