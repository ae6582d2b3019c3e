# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The index of a matrix: true at any moment, for several processes, and whatever is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.asked import MatrixError
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.ledger import (
    Index,
    Ledger,
    is_kept,
    new_index,
    renew,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.plan import Combination
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.settle import (
    keep_results,
    note_cancelled,
    note_fault,
)

TASK = {"name": "hello", "version": "1.0", "repository-url": "x", "machine": "tiny"}
RESULT = ": 1\nname: hello\nversion: 1.0\nstatus: success\nupdate-status: success\nupdate-log: ok\n"


def make(tmp_path: Path, count: int = 3) -> Ledger:
    combinations = [
        Combination(f"c{n}", {"project": "x", "config": str(n), "machine": "tiny"}, 0, TASK)
        for n in range(count)
    ]
    index = new_index({"fail_on": "error"}, combinations, [{"s": "1"}])
    return Ledger.create(str(tmp_path / "matrix"), index)


def anything(_entry: object) -> bool:
    return True


def lay_down(home: str, text: str = RESULT) -> None:
    os.mkdir(home)
    Path(home, "result.manifest").write_text(text)


def states(ledger: Ledger) -> list[str]:
    return [entry["state"] for entry in ledger.read()["combinations"]]


def test_the_course_of_things(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    first, second = (ledger.take("h", anything) for _time in range(2))
    assert first is not None and second is not None
    assert states(ledger) == ["running", "running", "waiting"]
    keep_results(ledger, first, lay_down, culprit="none", reason="", seconds=1.5, host="h")
    note_fault(ledger, second, "machine", "it did not boot", host="h")
    third = ledger.take("h", anything)
    assert third is not None and ledger.take("h", anything) is None
    note_cancelled(ledger, third, "interrupted")
    index = ledger.end(stopped=True)
    assert states(ledger) == ["done", "failed", "cancelled"]
    entry = index["combinations"][0]
    assert (entry["status"], entry["seconds"], entry["host"]) == ("success", 1.5, "h")
    assert entry["operations"] == [
        {"operation": "update", "status": "success", "log": "update.log"}
    ]
    assert (Path(ledger.folder) / "c0" / "result.manifest").read_text() == RESULT
    assert index["ended"] is not None
    assert [is_kept(entry) for entry in index["combinations"]] == [True, False, False]
    renew(entry)
    assert entry == {
        **{k: entry[k] for k in ("id", "axes", "project", "task", "sources")},
        "state": "waiting",
    }


def test_results_that_did_not_come(tmp_path: Path) -> None:
    def broken(_home: str) -> None:
        raise OSError(28, "No space left on device")

    def empty(home: str) -> None:
        os.mkdir(home)

    def garbled(home: str) -> None:
        lay_down(home, "what?")

    for bring, words in (
        (broken, "No space left on device"),
        (empty, "there is no result in"),
        (garbled, "result.manifest:1:6: error: "),
    ):
        ledger = make(tmp_path / bring.__name__, 1)
        entry = ledger.take("h", anything)
        assert entry is not None
        noted = keep_results(ledger, entry, bring, culprit="none", reason="")
        assert (noted["state"], noted["culprit"]) == ("failed", "host")
        assert words in noted["reason"]
        assert not list(Path(ledger.folder).glob("c0*"))


def test_a_host_that_fails(tmp_path: Path) -> None:
    ledger = make(tmp_path, 2)
    for _time in range(2):
        ledger.take("one", anything)
    ledger.put_back("one", {"c0"}, "one: no route")
    assert states(ledger) == ["waiting", "running"]
    assert ledger.take("one", anything) is None
    entry = ledger.take("two", anything)
    assert entry is not None and entry["id"] == "c0"
    ledger.put_back("two", {"c0"}, "two: no route")
    index = ledger.end()
    assert states(ledger) == ["failed", "cancelled"]
    assert index["combinations"][0]["reason"] == "two: no route"


def test_who_goes_on_begins_anew(tmp_path: Path) -> None:
    ledger = make(tmp_path, 2)
    ledger.stop("the first failure")
    ledger.stop("another")
    assert ledger.read()["stopped"] == "the first failure"
    assert ledger.leave("one") == {"one"}
    assert ledger.leave("two") == {"one", "two"}
    ledger.put_back("two", (), "two: no route")
    assert ledger.end()["combinations"][1]["reason"] == "two: no route"
    ledger.own(os.getpid())
    assert not {"stopped", "left", "troubles"} & set(ledger.read())


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        ledger.own(other.pid)
        with pytest.raises(MatrixError, match=f"process {other.pid} is at the matrix in"):
            ledger.own(os.getpid())
        other.communicate(b"\n")
    ledger.own(os.getpid())
    ledger.own(os.getpid())
    ledger.end()
    assert ledger.read()["owner"] is None


def test_several_at_once(tmp_path: Path) -> None:
    ledger = make(tmp_path, 60)
    taken: list[str] = []

    def work(host: str) -> None:
        while (entry := Ledger(ledger.folder).take(host, anything)) is not None:
            taken.append(entry["id"])

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f"c{n}" for n in range(60))


def test_looks_at_what_has_not_changed_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host of a play looks all the time, at all that there is."""
    mine = make(tmp_path, 2)
    others = Ledger(mine.folder)
    read: list[str] = []
    load = json.load
    monkeypatch.setattr(json, "load", lambda file: read.append(file.name) or load(file))
    index = Path(mine.folder) / "index.json"
    os.utime(index, (1, 1))
    for _time in range(5):
        assert (states(mine), mine.is_open()) == (["waiting"] * 2, True)
    assert len(read) == 1
    # Whoever asks in vain writes nothing either.
    before = index.stat().st_ino
    assert mine.take("h", lambda _entry: False) is None
    assert (len(read), index.stat().st_ino) == (1, before)

    assert others.take("h", anything) is not None
    assert states(mine) == ["running", "waiting"]
    assert mine.take("h", anything) is not None
    assert mine.take("h", anything) is None
    for key in ("c0", "c1"):
        others.settle(key, "cancelled")
    assert (states(mine), mine.is_open()) == (["cancelled"] * 2, False)


def test_one_that_looks_like_the_one_before_it_is_read_where_that_was_young(tmp_path: Path) -> None:
    """A clock of a file system may be coarse, and an inode be used again."""
    ledger = make(tmp_path)
    index = Path(ledger.folder) / "index.json"
    assert states(ledger)[0] == "waiting"
    facts = index.stat()
    text = index.read_text()
    with index.open("r+") as file:
        file.write(text.replace('"waiting"', '"running"', 1))
    os.utime(index, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (index.stat().st_ino, index.stat().st_size) == (facts.st_ino, facts.st_size)
    assert states(ledger)[0] == "running"


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    ledger = make(tmp_path)
    before = ledger.read()

    def fail(index: Index) -> None:
        index["combinations"].clear()
        raise ValueError

    with pytest.raises(ValueError):
        ledger.change(fail)
    assert ledger.read() == before
    ledger.take("h", anything)


def set_id(value: t.Any) -> t.Callable[[Index], None]:
    return lambda index: index["combinations"][0].update(id=value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda index: index.clear(),
        lambda index: index.update(format=2),
        lambda index: index.update(combinations=[]),
        lambda index: index.update(combinations={}),
        lambda index: index["combinations"][0].update(state="odd"),
        lambda index: index["combinations"][0].update(axes=[]),
        lambda index: index["combinations"][0].update(task={"nmae": "x"}),
        lambda index: index["combinations"][0].update(project="0"),
        set_id("../../etc"),
        set_id(".hidden"),
        set_id("a/b"),
        set_id(""),
        set_id(7),
        set_id("c1"),
        set_id("a\n"),
        lambda index: index.update(began=None),
        lambda index: index.update(ended="now"),
        lambda index: index.update(varying=[3]),
        lambda index: index["asked"].update(fail_on="odd"),
        *(
            (lambda index, more=more: index["combinations"][0].update(more))
            for more in (
                {"seconds": "many"},
                {"seconds": True},
                {"tests": {"test": 3}},
                {"tests": {"test": {"passed": 1}}},
                {"operations": [{"operation": "x", "status": "odd", "log": "x"}]},
                {"operations": "x"},
                {"first_error": "x"},
                {"reason": 3},
                {"axes": {"machine": 3}},
                {"axes": {}},
                {"sources": {"x": 3}},
                {"state": "done"},
                {"project": True},
            )
        ),
    ],
)
def test_an_index_that_is_none(tmp_path: Path, damage: t.Callable[[Index], None]) -> None:
    ledger = make(tmp_path)
    path = Path(ledger.folder) / "index.json"
    index = json.loads(path.read_text())
    damage(index)
    path.write_text(json.dumps(index))
    with pytest.raises(MatrixError):
        ledger.read()


@pytest.mark.parametrize("text", ["", "[]", "nothing", "[" * 100000, '{"format": 1}'])
def test_a_file_that_is_no_index(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(MatrixError, match=r"index\.json is no index of a matrix"):
        Ledger(str(tmp_path)).read()
