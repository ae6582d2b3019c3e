# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Priorities of controllers: who is asked, and who makes way."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.priority import (
    Busy,
    ControllerUrl,
    ControllerUrlError,
    Priority,
    questions,
    victims,
)

URL = "https://ci.example.org/?build-task"


def controllers(*numbers: int) -> list[ControllerUrl]:
    return [ControllerUrl(f"https://{number}.example.org/", Priority(number)) for number in numbers]


def numbers(asked: list) -> list[int]:
    return [question.controller.priority.number for question in asked]


def busy(machine: str, number: int) -> Busy:
    return Busy(machine, Priority(number))


@pytest.mark.parametrize(
    ("text", "number", "url"),
    [
        (URL, 0, URL),
        (f"100={URL}", 100, URL),
        (f"0012={URL}", 12, URL),
        (f"19999={URL}", 19999, URL),
        ("http://[::1]:8080/?a=b", 0, "http://[::1]:8080/?a=b"),
    ],
)
def test_urls(text: str, number: int, url: str) -> None:
    assert ControllerUrl.parse(text) == ControllerUrl(url, Priority(number))


@pytest.mark.parametrize(
    "text",
    ["", "ci.example.org", "ftp://x/", "https:///x", "http://x:y/", "http://x/a b", "-1=http://x/",
     "20000=http://x/", "000001=http://x/", "http://x/\n"],
)  # fmt: skip
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ControllerUrlError):
        ControllerUrl.parse(text)


def test_the_higher_one_is_asked_first_and_equal_ones_in_random_order() -> None:
    orders = set()
    for _dummy in range(200):
        asked = questions(controllers(1, 0, 2, 1), ["m"], [], 1)
        assert numbers(asked) == [2, 1, 1, 0]
        equal = questions(controllers(5, 10005, 5), ["m"], [], 1)
        orders.add(tuple(numbers(equal)))
    assert len(orders) > 1


def test_a_place_and_a_machine_are_needed() -> None:
    assert questions(controllers(0), [], [], 1) == []
    assert questions(controllers(0), ["m"], [busy("n", 0)], 0) == []
    (question,) = questions(controllers(0), ["m", "n"], [], 1)
    assert question.machines == ("m", "n")


def test_lower_ones_are_not_asked_while_a_task_of_a_higher_b_runs() -> None:
    every = controllers(0, 9, 10, 20, 100)
    assert sorted(numbers(questions(every, ["m"], [busy("n", 9)], 1))) == [0, 9, 10, 20, 100]
    assert sorted(numbers(questions(every, ["m"], [busy("n", 10)], 1))) == [10, 20, 100]
    assert sorted(numbers(questions(every, ["m"], [busy("n", 25)], 1))) == [20, 100]


def test_who_may_interrupt_is_offered_busy_machines() -> None:
    running = [busy("one", 0), busy("two", 100)]
    assert {
        question.controller.priority.number: question.machines
        for question in questions(controllers(0, 100, 200, 1000), ["idle"], running, 1)
    } == {
        100: ("idle", "one"),
        200: ("idle", "one", "two"),
        1000: ("idle", "one", "two"),
    }
    # Without a place only those who can make one for themselves.
    assert numbers(questions(controllers(0, 100, 200), ["idle"], running, 0)) == [200, 100]


@pytest.mark.parametrize(
    ("number", "machine", "places", "gone"),
    [
        (0, "idle", 1, []),
        (200, "idle", 1, []),  # C: nobody is in its way.
        (200, "one", 1, ["one"]),  # Its machine is needed.
        (200, "idle", 0, ["one"]),  # A place is needed: the least urgent makes way.
        (200, "two", 0, ["two"]),
        (1000, "idle", 2, ["one", "two", "three"]),  # D: all make way.
        (1000, "one", 0, ["one", "two", "three"]),
        (2000, "idle", 0, ["one", "two", "three", "four"]),
        (200, None, 1, []),  # Machines are for any number of tasks.
        (200, None, 0, ["one"]),
        (1000, None, 1, ["one", "two", "three"]),
    ],
)
def test_who_makes_way(number: int, machine: str | None, places: int, gone: list[str]) -> None:
    running = [busy("four", 1500), busy("three", 150), busy("two", 100), busy("one", 7)]
    found = victims(Priority(number), machine, running, places)
    assert sorted(each.machine for each in found) == sorted(gone)


def test_the_flag_for_all_cpus() -> None:
    assert Priority(11000).boosted
    assert not Priority(1000).boosted
    assert Priority(11000).asking == 1000


def test_a_machine_is_offered_once_though_it_is_both_idle_and_in_use() -> None:
    (question,) = questions(controllers(200), ["m"], [busy("m", 0), busy("m", 7)], 1)
    assert question.machines == ("m",)
