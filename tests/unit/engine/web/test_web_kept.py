# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is kept is looked up by one, beside those who are shown what was."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.web import kept as _kept
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.kept import Kept


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.looks = 0
        self.fails = False
        self.done = threading.Event()

    def look(self, key: int) -> int:
        self.looks += 1
        try:
            if self.fails:
                raise ValueError
            return 100 * key + self.looks
        finally:
            self.done.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_kept.time, "monotonic", lambda: made.now)
    return made


def test_it_is_kept_for_a_while(clock: Clock) -> None:
    kept = Kept(clock.look, 5)
    assert [kept.get(1), kept.get(1), kept.get(2)] == [101, 101, 202]
    clock.now += 6
    assert kept.get(1) == 103
    kept.forget()
    assert kept.get(1) == 104


def test_what_is_old_is_renewed_beside(clock: Clock) -> None:
    kept = Kept(clock.look, 5, 60)
    assert kept.get(1) == 101
    clock.now += 6
    clock.done.clear()
    assert kept.get(1) == 101
    assert clock.done.wait(5)
    until = time.perf_counter() + 5
    while kept.get(1) != 102 and time.perf_counter() < until:
        time.sleep(0.01)
    assert (kept.get(1), clock.looks) == (102, 2)
    # What cannot be renewed is shown until it is too old.
    clock.fails = True
    clock.now += 60
    assert kept.get(1) == 102
    clock.now += 6
    with pytest.raises(ValueError):
        kept.get(1)


def test_one_looks_for_all(clock: Clock) -> None:
    begin = threading.Barrier(8)

    def slow(key: int) -> int:
        time.sleep(0.05)
        return clock.look(key)

    kept = Kept(slow, 5)
    found: list[int] = []

    def ask() -> None:
        begin.wait()
        found.append(kept.get(1))

    threads = [threading.Thread(target=ask) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [101] * 8
