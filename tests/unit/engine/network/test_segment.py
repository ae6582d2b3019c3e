# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told where a guest's network cannot be made, and what its dnsmasq is told."""

from __future__ import annotations

import errno
import os
import signal
import time
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.process import CommandError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    dnsmasq as _dnsmasq,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    helper as _helper,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    segment as _segment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.dnsmasq import arguments
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.segment import (
    GATEWAY,
    MOST_GUESTS,
    Segment,
    SharedSegment,
    guest_address,
)

MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
GUESTS = {MAC: guest_address(0), OTHER_MAC: guest_address(1)}


def no_program(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
    raise AssertionError(f"{args} is run with {data}")


def raising(number: int) -> t.Callable[..., t.Any]:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were a namespace."""
    monkeypatch.setattr(_segment, "unshare_network", lambda: None)


def refusal() -> str:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(NetworkError) as caught:
        Segment(MAC, "a test", no_program)
    assert os.listdir("/proc/self/fd") == before
    return str(caught.value)


def test_without_the_right_to_make_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_segment, "unshare_network", raising(errno.EPERM))
    assert refusal() == (
        "cannot make the guest a network of its own: cannot make a network namespace: Operation "
        "not permitted; let the container have CAP_SYS_ADMIN, or its users have user namespaces"
    )


def test_without_namespaces_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_segment, "unshare_network", raising(errno.EPERM))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(_segment, "why_not", lambda: "a switch is 0; switch it on")
    assert refusal().endswith("Operation not permitted; a switch is 0; switch it on")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV, errno.EPERM, errno.EBUSY])
@pytest.mark.usefixtures("inside")
def test_without_taps(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(_segment, "make_tap", raising(number))
    assert refusal() == (
        "cannot make the guest a network of its own: cannot make the guest's tap: "
        f"{os.strerror(number)}; load the module tun, let a container have the device "
        "/dev/net/tun, and let who is not root open it (chmod 666 /dev/net/tun)"
    )


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOMEM, errno.EPERM])
@pytest.mark.usefixtures("inside")
def test_links_that_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(_segment, "make_tap", lambda _name, persistent: os.memfd_create("tap"))
    monkeypatch.setattr(_segment, "Rtnetlink", raising(number))
    words = f"cannot make the guest's network, bridge br1: {os.strerror(number)}"
    assert refusal().endswith(words)


def test_a_process_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_segment, "_build", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert refusal().endswith(": its process ended without a word")


def test_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_segment, "_PATIENCE", 0.2)
    monkeypatch.setattr(_segment, "_build", lambda *_: time.sleep(600))
    began = time.monotonic()
    assert refusal().endswith(": it took longer than 0.2 s")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("what", ["program", "user"])
def test_without_dnsmasq(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def missing(name: str, package: str) -> str:
        raise CommandError(f"no program {name!r} on this host; install the package {package}")

    def build(*_arguments: object) -> list[int]:
        return [os.memfd_create(name) for name in ("namespace", "tap")] + [_socket()]

    monkeypatch.setattr(_segment, "_build", build)
    if what == "program":
        monkeypatch.setattr(_dnsmasq, "find_program", missing)
        words = "no program 'dnsmasq' on this host; install the package dnsmasq-base"
    else:
        monkeypatch.setattr(_dnsmasq, "find_program", lambda *_: "/bin/false")
        monkeypatch.setattr(_helper, "_USERS", ("bbot-none",))
        words = (
            "the helpers of guests have nobody to run as: this host has no user bbot-none; add one"
        )
    assert refusal() == words


def _socket() -> int:
    return _segment.socket.socket(_segment.socket.AF_INET, _segment.socket.SOCK_DGRAM).detach()


def test_an_isolated_guest_is_told_its_address_and_no_names() -> None:
    words = arguments("br1", GATEWAY, GUESTS, ())
    assert f"--dhcp-host={MAC},172.30.254.2" in words
    assert f"--dhcp-host={OTHER_MAC},172.30.254.3" in words
    assert "--dhcp-range=172.30.254.2,172.30.254.14,255.255.255.240,86400" in words
    assert {"--no-resolv", "--no-hosts", "--interface=br1", "--leasefile-ro"} <= set(words)
    assert not [word for word in words if word.startswith(("--server", "--user"))]


def test_names_are_looked_up_where_that_is_told() -> None:
    words = arguments("br1", GATEWAY, GUESTS, ["10.0.0.1", "10.0.0.2"])
    assert [w for w in words if w.startswith("--server")] == [
        "--server=10.0.0.1",
        "--server=10.0.0.2",
    ]


def test_a_segment_has_an_address_for_each_guest_or_is_refused() -> None:
    assert guest_address(MOST_GUESTS - 1) in GATEWAY.network
    macs = [f"02:00:00:00:01:{number:02x}" for number in range(MOST_GUESTS + 1)]
    with pytest.raises(NetworkError, match=f"no network for {len(macs)} machines"):
        SharedSegment(macs, "a test", no_program)
