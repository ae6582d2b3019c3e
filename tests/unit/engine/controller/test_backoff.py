# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back-off: pauses that grow, within bounds, whatever the clocks do."""

from __future__ import annotations

import itertools
import math
import time

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.backoff import (
    Backoff,
    pause_after,
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_pauses_grow_and_are_varied() -> None:
    for attempts, least, most in ((0, 4, 6), (1, 8, 12), (3, 32, 48), (99, 480, 600), (-1, 4, 6)):
        pauses = [pause_after(attempts) for _dummy in range(200)]
        assert least <= min(pauses) < max(pauses) <= most
    assert pause_after(10**9) <= 600
    # Never more than once a second, even if a shorter pause was asked for.
    assert all(pause_after(n, 0.1, 0.2) == 1 for n in range(10))
    assert all(pause_after(0, 0.3, 300) >= 1 for _dummy in range(100))


def test_failures_are_kept_apart_and_forgotten(clock: Clock) -> None:
    backoff = Backoff(10, 100, clock)
    assert not backoff.waits("x")
    assert backoff.next() == math.inf
    assert backoff.until("x") == -math.inf
    assert not backoff.succeeded("x")
    pauses = [backoff.failed("x", "why") for _dummy in range(6)]
    assert pauses[0] <= 12
    assert all(80 <= pause <= 100 for pause in pauses[4:])
    assert backoff.waits("x")
    assert backoff.reason("x") == "why"
    assert not backoff.waits("y")
    assert backoff.reason("y") is None
    assert backoff.next() == backoff.until("x") == clock.now + pauses[-1]
    clock.now += pauses[-1]
    assert not backoff.waits("x")
    assert backoff.next() == math.inf
    # It counts on until there is a success.
    assert backoff.failed("x") >= 80
    assert backoff.succeeded("x")
    assert not backoff.waits("x")
    assert backoff.failed("x") <= 12
    backoff.failed("y")
    backoff.keep(["y"])
    assert not backoff.waits("x")
    assert backoff.waits("y")


def test_a_pause_never_reaches_further_than_the_longest(clock: Clock) -> None:
    backoff = Backoff(10, 100, clock)
    backoff.failed("x")
    for step in (-5 * 3600.0, -1e9, 3600.0):
        clock.now += step
        assert backoff.until("x") <= clock.now + 100
        assert backoff.next() <= clock.now + 100 or backoff.next() == math.inf


def test_the_wall_clock_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = Backoff(10, 100)
    backoff.failed("x")
    real, until = time.time, backoff.until("x")
    for step in (5 * 3600, -5 * 3600):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        assert backoff.until("x") == until
        assert backoff.waits("x")


def test_no_attempt_more_often_than_the_pauses(clock: Clock) -> None:
    backoff = Backoff(5, 600, clock)
    began = clock.now
    attempts = []
    while clock.now < began + 3600:
        if not backoff.waits("x"):
            attempts.append(clock.now)
            backoff.failed("x")
        clock.now += 0.5
    # 5 + 10 + … + 320 s, and then 600 s each.
    assert 10 <= len(attempts) <= 16
    gaps = [later - former for former, later in itertools.pairwise(attempts)]
    assert min(gaps) >= 4
    assert max(gaps) <= 601
