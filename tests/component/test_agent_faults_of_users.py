# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Agents of ordinary users killed without warning: as little is left behind them as behind root's.

They have no sudo; their guests are in namespaces of their own, and let out by slirp4netns.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.kills import (
    HALF_MADE,
    SEGMENT,
    USERS_JOB_POINTS,
    USERS_POINTS,
    WORKER,
    kill_the_agent,
    kill_the_job,
)
from helpers.ordinary_user import User, ordinary_user
from helpers.site import Site
from helpers.stores import mounted
from helpers.users_host import UsersHost

# Where most is at stake: there is all of a guest's but itself; a guest; and a result.
_USUAL = (SEGMENT, "says phase work", "says phase store")
KILLS = [
    pytest.param(
        *(kind, point, expected),
        marks=[] if kind == "home" and point in _USUAL else [pytest.mark.long],
    )
    for kind in ("home", "btrfs")
    for point, expected in USERS_POINTS
    if (kind, point) != ("btrfs", HALF_MADE)
]


@pytest.fixture(scope="module")
def user() -> t.Iterator[User]:
    # Whoever has these tests run twice at once has two.
    with ordinary_user(f"bbot-killed-{os.getpid()}") as made:
        yield made


@pytest.fixture(scope="module")
def subvolumes(site: Site) -> t.Iterator[Path]:
    """A btrfs on which users may delete their subvolumes."""
    with mounted(site, "btrfs", "user_subvol_rm_allowed") as place:
        yield place


@pytest.fixture
def stored(
    request: pytest.FixtureRequest, site: Site, user: User, subvolumes: Path, bootstrapped: Machine
) -> t.Iterator[UsersHost]:
    """A build host of the user's with our worker, in the home or on btrfs."""
    place = None if request.param == "home" else subvolumes / site.next_name()
    with site.namespace.entered():
        host = UsersHost(site, user, place)
        try:
            host.install_copy(bootstrapped)
            host.script("tiny", WORKER)
            host.hand_over()
            yield host
            host.assert_clean()
        finally:
            host.close()


@pytest.mark.parametrize(("stored", "point", "expected"), KILLS, indirect=["stored"])
def test_killed(stored: UsersHost, point: str, expected: Status | None) -> None:
    kill_the_agent(stored, point, expected)


@pytest.mark.long
@pytest.mark.parametrize("stored", ["home"], indirect=True)
@pytest.mark.parametrize(("point", "expected"), USERS_JOB_POINTS)
def test_its_job_is_killed(stored: UsersHost, point: str, expected: Status | None) -> None:
    kill_the_job(stored, point, expected)
