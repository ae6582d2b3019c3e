# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told what, and how often: once when it begins, and once when it ends."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HOUR = 3600.0
HOST = "agent default, host"
BOTH = [("began", HOST), ("ended", HOST)]


@pytest.mark.parametrize("breaks", [-1800, -10, 600, 1790, 3500, 9000])
@pytest.mark.parametrize("broken", ["mail", "webhook"])
def test_exactly_one_on_a_fault_and_one_on_its_end_with_a_way_broken_for_an_hour(
    rounds: t.Any, broken: str, breaks: float
) -> None:
    """The fault is there for an hour from zero on; one way is broken for another hour."""
    now = -HOUR
    for _round in range(round(6 * HOUR / 30)):
        now += 30
        rounds.troubles.clear()
        if 0 <= now < HOUR:
            # Its words are others each time.
            rounds.troubles["host"] = f"no QEMU, process {now}"
        rounds.broken = {broken} if breaks <= now < breaks + HOUR else set()
        failing = rounds.round()
        assert broken in rounds.broken or not failing or now > breaks
    assert rounds.heard == {"webhook": BOTH, "mail": BOTH}
    other = "webhook" if broken == "mail" else "mail"
    assert len(rounds.attempts[other]) == 2
    # Not each half minute: a broken one is left alone for longer and longer.
    assert len(rounds.attempts[broken]) <= 12


def test_a_way_that_is_broken_is_left_alone_for_a_quarter_of_an_hour_at_most(rounds: t.Any) -> None:
    rounds.broken = {"mail"}
    rounds.troubles["host"] = "no QEMU"
    rounds.rounds(4 * HOUR)
    attempts = rounds.attempts["mail"]
    pauses = [later - former for former, later in itertools.pairwise(attempts)]
    assert pauses[:4] == [30, 60, 120, 240]
    assert max(pauses) <= 930
    # It is one message all the time: who has got it all the same can know it again.
    assert len(set(rounds.tried["mail"])) == 1
    rounds.broken = set()
    rounds.rounds(HOUR)
    assert rounds.heard["mail"] == [("began", HOST)]


def test_a_message_that_is_tried_again_gets_nothing_added(rounds: t.Any) -> None:
    rounds.broken = {"mail"}
    rounds.troubles["host"] = "no QEMU"
    rounds.round()
    rounds.troubles["machine m1"] = "it crashed"
    rounds.round()
    rounds.broken = set()
    rounds.rounds(HOUR)
    assert rounds.heard["mail"] == [("began", HOST), ("began", "agent default, machine m1")]
    assert len(rounds.ids["mail"]) == 2
    assert len(set(rounds.ids["mail"] + rounds.ids["webhook"])) == 4


@pytest.mark.parametrize(
    ("what", "hold"), [("host", 0), ("machine m1", 0), ("controller u", 300), ("survey", 60)]
)
def test_what_mends_itself_in_time_is_not_told(rounds: t.Any, what: str, hold: float) -> None:
    rounds.troubles[what] = "x"
    rounds.rounds(max(hold, 30))
    assert rounds.heard["mail"] == ([("began", f"agent default, {what}")] if not hold else [])
    rounds.troubles.clear()
    rounds.rounds(HOUR)
    assert len(rounds.heard["mail"]) == (2 if not hold else 0)
    rounds.troubles[what] = "x"
    rounds.rounds(hold + 60)
    assert rounds.heard["mail"][-1] == ("began", f"agent default, {what}")


def test_what_comes_and_goes_is_told_less_and_less(rounds: t.Any) -> None:
    for minute in range(10 * 60):
        rounds.troubles.clear()
        if minute % 10 < 2:
            rounds.troubles["host"] = "no QEMU"
        rounds.rounds(60)
    words = [what for what, _key in rounds.heard["mail"]]
    assert words == ["began", "ended"] * 4 + ["began"]
    rounds.troubles.clear()
    rounds.rounds(HOUR)
    assert rounds.heard["mail"][-1] == ("ended", HOST)
    # After some hours it is as new.
    rounds.rounds(7 * HOUR)
    assert json.loads(rounds.state.read_text())["entries"] == {}


def test_what_has_been_gone_for_an_hour_is_over_however_often_it_came(rounds: t.Any) -> None:
    for _time in range(10):
        rounds.troubles["host"] = "no QEMU"
        rounds.round()
        rounds.troubles.clear()
        rounds.rounds(HOUR + 600, step=300)
    assert rounds.heard["mail"] == BOTH * 10


def test_what_comes_back_has_to_last_as_long_as_the_first_time(rounds: t.Any) -> None:
    rounds.troubles["controller u"] = "refused"
    rounds.rounds(600)
    rounds.troubles.clear()
    rounds.rounds(600)
    rounds.troubles["controller u"] = "refused"
    rounds.rounds(270)
    assert len(rounds.heard["mail"]) == 2
    rounds.rounds(60)
    assert len(rounds.heard["mail"]) == 3


def test_an_agent_that_is_gone(rounds: t.Any) -> None:
    assert rounds.status is not None
    agents = rounds.status["agents"]
    rounds.status["agents"] = []
    rounds.rounds(150)
    rounds.status["agents"] = agents
    rounds.rounds(HOUR)
    # It was restarted.
    assert rounds.heard["mail"] == []
    rounds.status["agents"] = []
    rounds.rounds(240)
    rounds.status["agents"] = agents
    rounds.rounds(120)
    assert rounds.heard["mail"] == [("began", "agent default"), ("ended", "agent default")]


def test_a_toolchain_that_is_not_wanted_any_more(rounds: t.Any) -> None:
    rounds.status["agents"] = []
    rounds.rounds(300)
    (rounds.root / "default.options").unlink()
    rounds.rounds(300)
    assert rounds.heard["mail"] == [("began", "agent default"), ("ended", "agent default")]


@pytest.mark.parametrize("odd", [None, [], {}, {"agents": 5}, {"agents": [{}]}, "x", 5])
def test_a_status_that_cannot_be_had_says_nothing_of_the_rest(rounds: t.Any, odd: t.Any) -> None:
    status = rounds.status
    rounds.troubles["host"] = "no QEMU"
    rounds.round()
    rounds.status = odd
    rounds.rounds(HOUR)
    rounds.status = status
    rounds.rounds(HOUR)
    rounds.troubles.clear()
    rounds.rounds(HOUR)
    assert rounds.heard["mail"] == [
        *(("began", HOST), ("began", "status"), ("ended", "status"), ("ended", HOST)),
    ]
    assert rounds.heard["webhook"] == rounds.heard["mail"]


def test_results_machines_and_suspended_machines(rounds: t.Any) -> None:
    entry = {"controller": "https://***@c/", "attempts": 2, "last_error": "refused"}
    machine = {"name": "m", "volume": "default", "toolchain": "default", "failure": None}
    machines = [
        {**machine, "state": "broken", "reasons": ["no manifest", "no disk"]},
        {**machine, "name": "n", "state": "missing", "reasons": [], "failure": "no boot"},
        {**machine, "name": "o", "state": "missing", "reasons": ["not bootstrapped"]},
    ]
    suspended = {"id": "1", "since": 5.0, "machine": "m", "reason": "hung\n\x1b[2J"}
    rounds.status |= {"queue": [entry] * 3, "machines": machines, "suspended": [suspended]}
    rounds.status["queue"].append({**entry, "attempts": 0, "controller": "https://d/"})
    rounds.rounds(HOUR)
    texts = {each["text"] for each in json.loads(rounds.state.read_text())["entries"].values()}
    assert texts == {
        "3 results cannot be delivered to https://***@c/: refused",
        "machine m of toolchain default cannot be used: no manifest; no disk",
        "machine n of toolchain default cannot be used: no boot",
        "machine m is suspended as 1: hung ?[2J",
    }
    # Another one, which got the same number.
    rounds.status |= {"suspended": [{**suspended, "since": 6.0}], "machines": [], "queue": []}
    rounds.rounds(HOUR)
    assert sorted(what for what, _key in rounds.heard["mail"]) == ["began"] * 5 + ["ended"] * 4


def test_a_way_that_is_new_hears_of_what_there_is(rounds: t.Any) -> None:
    rounds.ways = ["webhook"]
    rounds.troubles["host"] = "no QEMU"
    rounds.rounds(HOUR)
    rounds.ways = ["webhook", "mail"]
    rounds.rounds(HOUR)
    assert rounds.heard == {"webhook": [("began", HOST)], "mail": [("began", HOST)]}
    rounds.ways = ["mail"]
    rounds.rounds(60)
    assert list(json.loads(rounds.state.read_text())["outboxes"]) == ["mail"]


@pytest.mark.parametrize("step", [-1e9, -7200, 7200, 1e9, 1e300])
def test_a_step_of_the_wall_clock_makes_no_difference(rounds: t.Any, step: float) -> None:
    rounds.broken = {"mail"}
    rounds.troubles["controller u"] = "refused"
    rounds.rounds(240)
    rounds.set_clock(rounds.moment.wall + step)
    rounds.rounds(30)
    assert rounds.heard["webhook"] == []
    rounds.rounds(60)
    assert [what for what, _key in rounds.heard["webhook"]] == ["began"]
    rounds.set_clock(rounds.moment.wall - step)
    rounds.broken = set()
    rounds.rounds(1000)
    rounds.troubles.clear()
    rounds.set_clock(rounds.moment.wall + step)
    rounds.rounds(120)
    for way in ("webhook", "mail"):
        assert [what for what, _key in rounds.heard[way]] == ["began", "ended"]


@pytest.mark.parametrize(("up", "seconds"), [(1e6, HOUR), (5.0, 300.0)])
def test_a_boot_in_between_repeats_nothing_and_forgets_nothing(
    rounds: t.Any, up: float, seconds: float
) -> None:
    rounds.moment = dataclasses.replace(rounds.moment, up=up)
    rounds.broken = {"mail"}
    rounds.troubles["host"] = "no QEMU"
    rounds.rounds(seconds)
    rounds.reboot()
    rounds.round()
    # Its pause is over.
    assert rounds.attempts["mail"][-1] == rounds.moment.up
    rounds.broken = set()
    rounds.rounds(HOUR)
    rounds.reboot()
    rounds.troubles.clear()
    rounds.round()
    assert rounds.heard["mail"] == [("began", HOST)]
    rounds.rounds(120)
    assert rounds.heard == {"webhook": BOTH, "mail": BOTH}


DAMAGE: list[t.Callable[[t.Any], t.Any]] = [
    lambda _state: "",
    lambda state: state[: len(state) // 2],
    lambda _state: "5",
    lambda _state: "[" * 100_000,
    lambda _state: "{}",
    lambda _state: '{"cursor": "c1", "told": {"x": 5.0}}',
    lambda _state: '{"webhook": {"cursor": "c1", "told": {}}}',
    lambda state: state.replace('"form": 2', '"form": 3'),
    lambda state: state.replace('"number": 1,', '"number": "x",'),
    lambda state: state.replace('"first": ', '"first": 1e999, "x": '),
    lambda state: state.replace('"last": ', '"last": "x", "y": '),
    lambda state: state.replace('"told": true', '"told": 5'),
    lambda state: state.replace('"what": "began"', '"what": "odd"'),
    lambda state: state.replace('"events": [', '"events": [5, '),
    lambda state: state.replace('"origin"', '"origan"'),
    lambda state: "\xff" + state,
    lambda state: state.ljust(9 << 20),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_state_that_is_damaged_is_survived(
    rounds: t.Any, damage: t.Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    rounds.broken = {"mail"}
    rounds.troubles["host"] = "no QEMU"
    rounds.round()
    state = rounds.state.read_text()
    damaged = damage(state)
    assert damaged != state
    rounds.state.write_text(damaged, encoding="latin-1")
    rounds.broken = set()
    rounds.rounds(60)
    assert "is of no use, what is wrong is told anew" in capsys.readouterr().err
    rounds.troubles.clear()
    rounds.rounds(120)
    assert rounds.heard == {"webhook": [BOTH[0], *BOTH], "mail": BOTH}
    # Another state counts anew, but no message is taken for an earlier one.
    assert len(set(rounds.ids["webhook"])) == 3


def test_numbers_that_cannot_be_are_survived(rounds: t.Any) -> None:
    rounds.broken = {"mail"}
    rounds.troubles["host"] = "no QEMU"
    rounds.round()
    text = rounds.state.read_text()
    for name, value in (("tried", "-7"), ("tried", "99"), ("next", "1e300"), ("attempts", "9999")):
        former = json.loads(text)["outboxes"]["mail"][name]
        text = text.replace(f'"{name}": {former}', f'"{name}": {value}')
        rounds.state.write_text(text)
    rounds.broken = set()
    rounds.rounds(1000)
    assert rounds.heard["mail"] == [("began", HOST)]


def test_the_state_is_nobody_elses_and_leaves_nothing_beside_it(rounds: t.Any) -> None:
    # Left by one that was killed.
    Path(f"{rounds.state}.new").write_text("half")
    rounds.round()
    assert rounds.state.stat().st_mode & 0o777 == 0o600
    assert not Path(f"{rounds.state}.new").exists()


def test_who_is_killed_while_telling_tells_that_message_again_and_no_other(rounds: t.Any) -> None:
    def kill(way: str) -> None:
        if way == "mail":
            raise KeyboardInterrupt

    rounds.troubles["host"] = "no QEMU"
    rounds.before = kill
    with pytest.raises(KeyboardInterrupt):
        rounds.round()
    rounds.before = lambda _way: None
    rounds.troubles["machine m1"] = "x"
    rounds.rounds(60)
    assert len(rounds.heard["webhook"]) == 2
    # The first one has the same number as that which may have come through.
    assert rounds.tried["mail"][:2] == [rounds.tried["mail"][0]] * 2
    assert len(rounds.tried["mail"]) == 3


def test_a_state_that_cannot_be_kept_tells_nothing(
    rounds: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: t.Any) -> t.NoReturn:
        raise OSError(28, "No space left on device")

    rounds.troubles["host"] = "no QEMU"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        for _round in range(5):
            assert rounds.round() == 1
        assert not Path(f"{rounds.state}.new").exists()
    assert rounds.heard["mail"] == []
    rounds.rounds(60)
    assert rounds.heard["mail"] == [("began", HOST)]


def test_a_flood_is_bounded(rounds: t.Any) -> None:
    machine = {"volume": "default", "toolchain": "default", "failure": "x", "state": "missing"}
    rounds.broken = {"mail"}
    for turn in range(15):
        rounds.status["machines"] = [
            {**machine, "name": f"m{turn}-{number}", "reasons": [], "failure": "x" * 2000}
            for number in range(1000)
        ]
        rounds.rounds(60)
        assert rounds.state.stat().st_size < 3 << 20
    state = json.loads(rounds.state.read_text())
    assert "more" in state["entries"]
    assert state["outboxes"]["mail"]["left_out"] > 0
    rounds.broken = set()
    rounds.status["machines"] = []
    rounds.rounds(3 * HOUR, step=120)
    # What came and went while it was broken is left out; what it began with has its end.
    open_ = set()
    for what, key in rounds.heard["mail"]:
        (open_.add if what == "began" else open_.discard)(key)
    assert open_ == set()
    assert all(outbox["events"] == [] for outbox in
               json.loads(rounds.state.read_text())["outboxes"].values())  # fmt: skip


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("fault"), st.sampled_from(["host", "machine a", "controller b"])),
        st.tuples(st.just("well"), st.sampled_from(["host", "machine a", "controller b"])),
        st.tuples(st.sampled_from(["break", "mend"]), st.sampled_from(["mail", "webhook"])),
        st.tuples(st.just("wait"), st.sampled_from([30, 90, 600, 4000])),
        st.tuples(st.just("clock"), st.sampled_from([-5000, 5000])),
        st.tuples(st.just("boot"), st.just(0)),
        st.tuples(st.just("mute"), st.sampled_from([30, 600])),
    ),
    max_size=25,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=ACTIONS)
def test_whatever_happens_all_ways_hear_the_same_in_turn(
    tmp_path_factory: pytest.TempPathFactory,
    make_rounds: t.Callable[[Path], t.Any],
    actions: list[tuple[str, t.Any]],
) -> None:
    rounds = make_rounds(tmp_path_factory.mktemp("rounds"))
    for action, value in actions:
        if action == "fault":
            rounds.troubles[value] = "x"
        elif action == "well":
            rounds.troubles.pop(value, None)
        elif action == "break":
            rounds.broken.add(value)
        elif action == "mend":
            rounds.broken.discard(value)
        elif action == "clock":
            rounds.set_clock(rounds.moment.wall + value)
        elif action == "boot":
            rounds.reboot()
        elif action == "mute":
            status, rounds.status = rounds.status, None
            rounds.rounds(value)
            rounds.status = status
        else:
            rounds.rounds(value, step=max(30, value / 20))
    rounds.broken.clear()
    rounds.troubles.clear()
    rounds.rounds(2 * HOUR, step=120)
    assert rounds.heard["mail"] == rounds.heard["webhook"]
    last: dict[str, str] = {}
    for what, key in rounds.heard["mail"]:
        assert last.get(key, "ended") != what
        last[key] = what
    assert set(last.values()) <= {"ended"}
