# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Days, and what they come to."""

from __future__ import annotations

import datetime
import time

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.history import Glance
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.trends import Bucket, buckets
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.words import (
    ago,
    brief,
    counted,
    iso,
    moment,
    size,
    tone,
)

TODAY = datetime.date(2026, 11, 29)


def glance(
    days_ago: int, status: str = "success", culprit: str = "none", **phases: float
) -> Glance:
    day = datetime.datetime(2026, 11, 29, 12) - datetime.timedelta(days=days_ago)
    return Glance(day.timestamp(), status, culprit, phases)


def test_days() -> None:
    tasks = [
        glance(0, wait=2.0, resume=1.0, work=9.0),
        glance(0, "error", "task", wait=4.0, start=5.0, work=15.0),
        glance(0, "abort", "host"),
        glance(2, work=1.0),
        glance(9),
    ]
    found = buckets(tasks, TODAY, 7)
    assert [each.label for each in found] == [f"2026-11-{day}" for day in range(23, 30)]
    assert found[6] == Bucket(
        "2026-11-29", ended=3, failed=2, faults=1, rate=pytest.approx(66.67, abs=0.01),
        middle=15.0, most=10.0, wait=3.0, warm=50.0,
    )  # fmt: skip
    assert found[5] == Bucket("2026-11-28")
    assert (found[4].middle, found[4].wait, found[4].warm) == (1.0, 0.0, None)


def test_odd_times_belong_to_no_day() -> None:
    odd = [Glance(value, "success", "", {}) for value in (1e300, -1e300, 0.0)]
    assert all(each.ended == 0 for each in buckets(odd, TODAY, 7))


@pytest.mark.parametrize(
    ("since", "words"),
    [
        *((0, "some seconds"), (-50, "some seconds"), (19, "10 s"), (119, "110 s")),
        *((120, "2 minutes"), (7300, "2 hours"), (200_000, "2 days")),
    ],
)
def test_how_long_ago(since: float, words: str) -> None:
    assert ago(1000.0 - since, 1000.0) == words
    assert ago(None, 0) == "an unknown time"


def test_words() -> None:
    assert [size(n) for n in (0, None, 1023, 1024, 5 << 20, 3 << 30)] == [
        *("0 B", "0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 GiB")
    ]
    assert [counted(n, "one", "many", "none") for n in (0, 1, 2)] == ["none", "1 one", "2 many"]
    assert brief("a\n b" * 900).endswith("…") and len(brief("x" * 9000)) == 300
    assert (brief(None), brief(7)) == ("", "7")
    assert (moment(1e300), iso(1e300), iso(0.0)) == ("at an odd time", "", "1970-01-01T00:00:00Z")
    assert moment(time.time())[:2] == "20"
    assert [tone(word) for word in ("success", "abort", "missing", "x", None)] == [
        *("good", "bad", "odd", "none", "none")
    ]
