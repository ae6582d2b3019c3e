# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that are let out by who is not root: by slirp4netns, and no further than others."""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import os
import pwd
import signal
import traceback
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import slirp
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.egress import Egress
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.segment import (
    Segment,
)
from helpers.build_host import run
from helpers.ordinary_user import tun_for_all
from helpers.waiting import until
from helpers.world import (
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

_PR_SET_DUMPABLE = 4


@pytest.fixture
def world() -> t.Iterator[World]:
    """A host that is not ready for guests at all, which this process is on, and the world."""
    with tun_for_all(), beside() as made:
        yield made


def by_a_user(body: t.Callable[[], None]) -> None:
    """Do this in a process of a user without any rights; it has to go well."""
    account = pwd.getpwnam("nobody")
    # The user may be unable to read where Python lies.
    codecs.lookup("ascii")
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            # Who has changed the user is nobody's business, not even its own (prctl(2)).
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
            body()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def let_out(**options: t.Any) -> contextlib.closing[Segment]:
    egress = Egress(**{"resolvers": [WORLD], **options})
    assert not egress.forwarded
    return contextlib.closing(Segment(MAC, "a test", run, egress))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_world_but_not_the_host_and_its_neighbours(world: World) -> None:
    def body() -> None:
        with let_out() as segment, let_out() as other:
            for each in (segment, other):
                assert guest_in(each).discover() is not None
                assert reaches(each, world, WORLD, 7000)
            # By the host's address.
            assert {source for _address, _port, source in world.heard} == {HOST}
            world.heard.clear()
            for address, port in (
                (LAN, 7000),
                (LAN_HOST, 7001),
                # The host itself, by its public address, and by what slirp4netns calls it.
                (HOST, 7001),
                ("10.0.2.2", 7001),
                ("127.0.0.1", 7001),
                (WORLD, 53),
            ):
                assert not reaches(segment, world, address, port), address
            assert world.heard == []

    by_a_user(body)


def test_names_are_looked_up_by_dnsmasq_only(world: World) -> None:
    def body() -> None:
        with let_out() as segment:
            looks_up(segment, world)

    by_a_user(body)


def test_other_networks_may_be_refused(world: World) -> None:
    def body() -> None:
        with let_out(refused=["203.0.113.2/32"]) as segment:
            assert not reaches(segment, world, WORLD, 7000)
            assert reaches(segment, world, LAN, 7000)
            # The host's own addresses are, whatever else is.
            assert not reaches(segment, world, LAN_HOST, 7001)
            assert not reaches(segment, world, HOST, 7001)

    by_a_user(body)


def test_a_router_that_ends_is_noticed(world: World) -> None:
    def body() -> None:
        with let_out() as segment:
            segment.check()
            assert segment.router is not None
            os.kill(segment.router.pid, signal.SIGKILL)

            def ended() -> bool:
                with contextlib.suppress(NetworkError):
                    segment.check()
                    return False
                return True

            until(ended, "it is noticed", 10)
            with pytest.raises(NetworkError, match="which lets the guests out, has ended: "):
                segment.check()

    by_a_user(body)


def test_it_goes_with_its_owner(world: World) -> None:
    ours, theirs = os.pipe()

    def body() -> None:
        with let_out() as segment:
            assert segment.router is not None
            os.write(theirs, f"{segment.router.pid} {segment.dnsmasq.pid}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AssertionError):
        by_a_user(body)
    os.close(theirs)
    pids = [int(word) for word in os.read(ours, 100).split()]
    os.close(ours)
    assert len(pids) == 2
    for pid in pids:
        until(lambda pid=pid: not running(pid), f"process {pid} is gone", 10)


def test_a_router_that_cannot_be_had_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(program: str, words: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(slirp, "find_slirp", lambda: program)
            with pytest.raises(NetworkError, match=words):
                let_out()

    by_a_user(lambda: fails("/bin/false", "does not let guests out: no message"))
    by_a_user(lambda: fails("/bin/ls", "does not let guests out: .*--help"))
    by_a_user(lambda: fails("/nowhere", "cannot start /nowhere"))
