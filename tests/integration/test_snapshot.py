# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module snapshot through ansible-playbook."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from helpers.plays import refusal, run_tasks
from helpers.site import Site

Result = dict[str, t.Any]
storage = make_storage("auto")


def snapshot(**options: t.Any) -> dict[str, t.Any]:
    return {"bbot.agent.snapshot": options}


def checked(task: dict[str, t.Any]) -> dict[str, t.Any]:
    return {**task, "check_mode": True}


@pytest.fixture(scope="module", params=["btrfs", pytest.param("directory", marks=pytest.mark.long)])
def place(site: Site, request: pytest.FixtureRequest) -> t.Iterator[Path]:
    """A folder on btrfs, and one on what else there is."""
    path = site.root / request.param / site.next_name()
    path.mkdir(parents=True)
    yield path
    shutil.rmtree(path, ignore_errors=request.param == "btrfs")


def listing(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


class Story:
    """Steps, each of them run in check mode, then for real, then again."""

    def __init__(self, place: Path) -> None:
        p = str(place)
        self.steps: list[dict[str, t.Any]] = [
            snapshot(path=f"{p}/base"),
            snapshot(path=f"{p}/copy", source=f"{p}/base"),
            snapshot(path=f"{p}/frozen", source=f"{p}/base", read_only=True),
            snapshot(path=f"{p}/empty", read_only=True),
            snapshot(path=f"{p}/copy", source=f"{p}/base", read_only=True),
            snapshot(path=f"{p}/copy", read_only=False),
            snapshot(path=f"{p}/copy", dest=f"{p}/moved", state="renamed", read_only=True),
            snapshot(path=f"{p}/moved", dest=f"{p}/back", state="renamed", read_only=False),
            snapshot(path=f"{p}/frozen", state="absent"),
        ]
        self.actions = [
            [f"create {p}/base"],
            [f"snapshot {p}/base to {p}/copy"],
            [f"snapshot {p}/base to {p}/frozen"],
            [f"create {p}/empty", f"make {p}/empty read-only"],
            [f"make {p}/copy read-only"],
            [f"make {p}/copy writable"],
            [f"make {p}/copy read-only", f"rename {p}/copy to {p}/moved"],
            [f"rename {p}/moved to {p}/back", f"make {p}/back writable"],
            [f"delete {p}/frozen"],
        ]


@pytest.fixture(scope="module")
def told(place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Story, list[Result]]:
    story = Story(place)
    tasks = [each for step in story.steps for each in (checked(step), step, step)]
    return story, run_tasks(tmp_path_factory.mktemp("home"), tasks, "--diff")


@pytest.mark.parametrize("number", range(9))
def test_each_step_is_foreseen_done_and_then_done_already(
    told: tuple[Story, list[Result]], number: int
) -> None:
    story, results = told
    foreseen, done, again = results[3 * number : 3 * number + 3]
    assert not foreseen["failed"], foreseen.get("msg")
    assert foreseen["changed"]
    assert foreseen["actions"] == story.actions[number]
    assert done["changed"]
    assert done["actions"] == story.actions[number]
    assert not again["changed"]
    assert again["actions"] == []
    assert again["snapshot"] == done["snapshot"]
    for name in ("path", "exists", "read_only"):
        assert foreseen["snapshot"][name] == done["snapshot"][name]


def test_diffs_say_what_was_and_what_is(told: tuple[Story, list[Result]], place: Path) -> None:
    _dummy, results = told
    before = results[18]["diff"]["before"]["subvolumes"]
    after = results[18]["diff"]["after"]["subvolumes"]
    copy, moved = f"{place}/copy", f"{place}/moved"
    assert [(one["path"], one["exists"]) for one in before] == [(copy, True), (moved, False)]
    assert [(one["path"], one["exists"]) for one in after] == [(copy, False), (moved, True)]
    assert (before[0]["read_only"], after[1]["read_only"]) == (False, True)
    assert before[0]["uuid"] == after[1]["uuid"] != ""


def test_what_is_there_in_the_end(told: tuple[Story, list[Result]], place: Path) -> None:
    story, results = told
    assert len(results) == 3 * len(story.steps)
    assert listing(place) == ["back", "base", "empty"]
    for name, read_only in (("back", False), ("base", False), ("empty", True)):
        info = storage.info(f"{place}/{name}")
        assert info is not None
        assert info.read_only is read_only
    base, back = storage.info(f"{place}/base"), storage.info(f"{place}/back")
    assert base and back and back.parent_uuid == base.uuid
    assert results[4]["snapshot"]["parent_uuid"] == base.uuid


REFUSALS: dict[str, tuple[dict[str, t.Any], str]] = {
    "relative path": (
        {"path": "x/y"},
        "path must be an absolute path, not 'x/y'",
    ),
    "source with absent": (
        {"path": "{p}/x", "source": "{p}/there", "state": "absent"},
        "source goes with state=present only, not with state=absent",
    ),
    "dest with present": (
        {"path": "{p}/x", "dest": "{p}/y"},
        "dest goes with state=renamed only, not with state=present",
    ),
    "renamed without dest": (
        {"path": "{p}/there", "state": "renamed"},
        "state is renamed but all of the following are missing: dest",
    ),
    "source that is a folder": (
        {"path": "{p}/x", "source": "{p}/folder"},
        "source {p}/folder is not a subvolume",
    ),
    "source that is not there": (
        {"path": "{p}/x", "source": "{p}/none"},
        "source {p}/none is not a subvolume",
    ),
    "path that is a folder": (
        {"path": "{p}/folder"},
        "{p}/folder exists and is not a subvolume; move it away first",
    ),
    "absent folder": (
        {"path": "{p}/folder", "state": "absent"},
        "{p}/folder exists and is not a subvolume; move it away first",
    ),
    "another's snapshot": (
        {"path": "{p}/there", "source": "{p}/other"},
        "{p}/there exists and is not a snapshot of {p}/other; delete it or choose another path",
    ),
    "both exist": (
        {"path": "{p}/there", "dest": "{p}/other", "state": "renamed"},
        "cannot rename {p}/there: {p}/other exists already; delete one of them",
    ),
    "neither exists": (
        {"path": "{p}/none", "dest": "{p}/none2", "state": "renamed"},
        "cannot rename {p}/none to {p}/none2: neither exists",
    ),
    "rename to a folder": (
        {"path": "{p}/there", "dest": "{p}/folder", "state": "renamed"},
        "{p}/folder exists and is not a subvolume; move it away first",
    ),
    "parent is missing": (
        {"path": "{p}/none/x"},
        "cannot keep machines in {p}/none: no such file or directory",
    ),
    "not btrfs": (
        {"path": "{plain}/x", "storage": "btrfs"},
        "cannot keep machines in {plain}: it is not on a btrfs file system",
    ),
    "nested": (
        {"path": "{p}/outer", "state": "absent"},
        "cannot delete subvolume {p}/outer: it holds other subvolumes; delete those first",
    ),
    "long name": (
        {"path": "{p}/" + "x" * 300},
        ": file name too long",
    ),
}


@pytest.fixture(scope="module")
def refused(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Result]]:
    """A folder with the results of all that is refused; nothing has come to one beside it."""
    before = listing(site.plain)
    place = site.btrfs / site.next_name()
    place.mkdir()
    (place / "folder").mkdir()
    for name in ("there", "other", "outer", "outer/inner"):
        storage.create(str(place / name))
    tasks = []
    for options, _dummy in REFUSALS.values():
        texts = {k: v.format(p=place, plain=site.plain) for k, v in options.items()}
        tasks.append(snapshot(**texts))
    results = run_tasks(tmp_path_factory.mktemp("home"), tasks)
    assert listing(site.plain) == before
    return place, dict(zip(REFUSALS, results, strict=True))


@pytest.mark.parametrize("name", list(REFUSALS))
def test_a_refusal_is_one_clear_sentence(
    refused: tuple[Path, dict[str, Result]], site: Site, name: str
) -> None:
    place, results = refused
    words = REFUSALS[name][1].format(p=place, plain=site.plain)
    assert words in refusal(results[name])


def test_refusals_change_nothing(refused: tuple[Path, dict[str, Result]]) -> None:
    assert listing(refused[0]) == ["folder", "other", "outer", "there"]
