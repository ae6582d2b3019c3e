# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host's part of a matrix: what it is handed, and that nothing which it says is believed."""

from __future__ import annotations

import base64
import json
import os
import re
import typing as t
from pathlib import Path

import pytest
from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.bbot.agent.plugins.plugin_utils._matrix import HostPart
from ansible_collections.bbot.agent.plugins.plugin_utils._matrix_ends import arguments, conclude
from ansible_collections.bbot.agent.plugins.plugin_utils._matrix_share import Share, read_asked

LOGS = "/var/log/bbot-agent/hello-1.0-20261123T150102-4711"
RESULT = ": 1\nname: hello\nversion: 1.0\nstatus: success\nupdate-status: success\nupdate-log: ok\n"
TASK = {"name": "hello", "version": "1.0", "repository_url": "https://x/"}


class Away:
    """The host as the action plugin reaches it."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, t.Any]] = {}
        self.words: list[str] = []
        self.gone = False

    def shell(self, command: str) -> str:
        order = re.match(r"echo (\S+) \| base64 -d", command)
        if order:
            found = json.loads(base64.b64decode(order[1]))
            self.orders[found["key"]] = found
        else:
            self.words.append(command.rpartition("/")[2])
        return ""

    def lay_down(self, files: t.Mapping[str, str], place: str) -> dict[str, str]:
        return {name: f"{place}/{name}" for name in files}

    def bring_home(self, logs: str, place: str, home: str) -> None:
        if self.gone:
            raise AnsibleConnectionFailure("no route")
        assert logs == LOGS
        os.mkdir(home)
        Path(home, "result.manifest").write_text(RESULT)


def make_options(tmp_path: Path, **more: t.Any) -> dict[str, t.Any]:
    return {
        **{"task": TASK, "source": "", "tasks": [], "machines": ["a", "b"], "machine": ""},
        **{"configs": "x: X; y: Y", "resume": "", "matrix": True, "directory": str(tmp_path)},
        **{"config": "", "settings": {}, "auxiliary_machines": "", "interactive": "", "rerun": ""},
        **{"variables": [], "artifacts": "", "driver": "", "operations": "", "subfolder": ""},
        **{"test_command": "", "toolchain": "default", "machine_options": {}, "task_options": {}},
        **{"results": "results", "fail_on": "error", "fail_fast": False, "at_once": 0},
        **{"hosts": ["one"], "offers": []},
        **more,
    }


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., HostPart]:
    """A host's part, by its name and further options, of which all share one matrix."""
    monkeypatch.setattr(C, "DEFAULT_LOCAL_TMP", str(tmp_path))

    def make(host: str = "one", **more: t.Any) -> HostPart:
        options = make_options(tmp_path, **more)
        return HostPart(Away(), options, Share(options, "key", host), host, "/place")

    return make


def away(part: HostPart) -> Away:
    return t.cast("Away", part._helper)


def say(part: HostPart, **event: t.Any) -> None:
    part.hear([json.dumps(event)])


def done(key: str, **more: t.Any) -> dict[str, t.Any]:
    facts = {"logs": LOGS, "culprit": "none", "reason": "", "seconds": 1.5}
    return {"event": "done", "key": key, **facts, **more}


def offer(part: HostPart, *machines: str, free: int = 2) -> None:
    say(part, event="offer", machines=machines, accelerator="tcg", reason="x")
    say(part, event="free", count=free)
    part.turn()


def states(part: HostPart) -> dict[str, str]:
    entries = part._share.ledger.read()["combinations"]
    return {entry["id"]: entry["state"] for entry in entries}


def test_one_host_does_it_all(made: t.Callable[..., HostPart]) -> None:
    part = made()
    offer(part, "a", "b")
    assert away(part).words == []
    for key in ("x_a", "x_b", "y_a", "y_b"):
        if key not in part.at_it:
            say(part, event="free", count=1)
            part.turn()
        order = away(part).orders[key]
        assert order["fields"]["machine"] == key[-1]
        assert order["fields"]["target-config"] == [key[0].upper()]
        for _time in range(2):
            say(part, **done(key))
        part.turn()
    assert set(states(part).values()) == {"done"}
    assert away(part).words == ["end"]
    assert part._share.leave(["one"])
    told = conclude(part._share, part._options)
    assert told["matrix"]["counts"] == {"success": 4}
    assert (told["failure"], told["matrix"]["status"]) == ("", 0)
    assert (Path(told["home"]) / "report.html").is_file()


@pytest.mark.parametrize(
    "line",
    [
        "plain words",
        "{no json",
        "[" * 100000,
        '{"event": "odd"}',
        '{"event": "free", "count": "many"}',
        '{"event": "done"}',
        '{"event": "done", "key": "other"}',
        '{"event": "done", "key": ["x_a"]}',
        '{"event": "line", "key": {}, "text": 3}',
    ],
)
def test_what_says_nothing(made: t.Callable[..., HostPart], line: str) -> None:
    part = made()
    offer(part, "a", "b")
    before = states(part)
    part.hear([line])
    part.turn()
    assert states(part) == before


@pytest.mark.parametrize(
    ("event", "state", "culprit", "words"),
    [
        ({"logs": "/etc"}, "failed", "host", "which is no name of such a folder"),
        ({"logs": ["x"]}, "failed", "host", "which is no name of such a folder"),
        ({"culprit": "you"}, "done", "host", ""),
        ({"seconds": "many", "culprit": "machine"}, "done", "machine", ""),
        (
            {"logs": "", "culprit": "machine", "reason": "\x1b[31m!"},
            "failed",
            "machine",
            "\ufffd[31m!",
        ),
        ({"logs": ""}, "failed", "host", "no reason was given"),
        ({"logs": "", "interrupted": True}, "cancelled", None, "it was cancelled"),
    ],
)
def test_a_host_that_may_lie(
    made: t.Callable[..., HostPart],
    event: dict[str, t.Any],
    state: str,
    culprit: str | None,
    words: str,
) -> None:
    part = made()
    offer(part, "a", "b")
    say(part, **done("x_a", **event))
    part.turn()
    entry = part._share.ledger.read()["combinations"][0]
    assert (entry["state"], entry.get("culprit")) == (state, culprit)
    assert words in entry["reason"]


def test_two_hosts(made: t.Callable[..., HostPart]) -> None:
    """One that has no machine for the rest stays while the other might fail."""
    machines = [{"name": name, "state": "current", "role": "build"} for name in "ab"]
    both = {"hosts": ["one", "two"], "offers": machines}
    one, two = made("one", **both), made("two", **both)
    offer(one, "a")
    offer(two, "a", "b", free=1)
    assert set(one.at_it) == {"x_a", "y_a"}
    assert set(two.at_it) == {"x_b"}
    for key in ("x_a", "y_a"):
        say(one, **done(key))
    one.turn()
    assert away(one).words == ["end"]
    say(two, **done("x_b"))
    say(two, event="free", count=1)
    two.turn()
    assert set(two.at_it) == {"y_b"}
    assert not one._share.leave(["one", "two"])
    two._share.ledger.put_back("two", set(two.at_it), "two: gone")
    assert two._share.leave(["one", "two"])
    told = conclude(two._share, two._options)
    assert told["matrix"]["failed"] == ["y_b"]
    assert told["matrix"]["status"] == 3
    assert "Of the matrix failed y_b; see " in told["failure"]


def test_what_a_host_that_failed_was_at(made: t.Callable[..., HostPart]) -> None:
    machines = [{"name": "a", "state": "current", "role": "build"}]
    both = {"hosts": ["one", "two"], "offers": machines, "machines": "a"}
    one, two = made("one", **both), made("two", **both)
    offer(one, "a", free=1)
    offer(two, "a", free=1)
    away(two).gone = True
    (key,) = two.at_it
    say(two, **done(key))
    with pytest.raises(AnsibleConnectionFailure):
        two.turn()
    assert set(two.at_it) == {key}
    two._share.ledger.put_back("two", set(two.at_it), "two: no route")
    say(one, event="free", count=1)
    one.turn()
    assert key in one.at_it


def test_the_first_failure_ends_all(made: t.Callable[..., HostPart]) -> None:
    part = made(fail_fast=True)
    offer(part, "a", "b")
    say(part, **done("x_a", culprit="machine"))
    part.turn()
    part.turn()
    assert away(part).words == ["stop"]
    say(part, event="free", count=3)
    part.turn()
    assert states(part)["y_a"] == "waiting"
    say(part, **done("x_b", logs="", interrupted=True))
    part.turn()
    conclude(part._share, part._options)
    assert list(states(part).values()) == ["done", "cancelled", "cancelled", "cancelled"]


def test_what_is_asked_for_wrongly_is_told_once(made: t.Callable[..., HostPart]) -> None:
    part = made(machines="z*")
    for _time in range(2):
        with pytest.raises(AnsibleActionFail, match=r"no machine z\* on this host; there are: a"):
            offer(part, "a")


def test_options_of_the_module(tmp_path: Path) -> None:
    options = make_options(tmp_path, task_options={"timeout": 5, "log_tail": 300}, at_once=3)
    found = arguments(options, "/place")
    assert found == {
        "timeout": 5,
        "at_once": 3,
        "toolchain": "default",
        "orders_dir": "/place/orders",
    }
    asked = read_asked({**options, "machines": [], "machine": "a", "tasks": [TASK]})
    assert asked.machines == ("a",)
    assert [project.label for project in asked.projects] == ["hello", "hello.2"]
