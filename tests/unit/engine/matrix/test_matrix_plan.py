# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people ask a matrix for, and the combinations that come of it."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.asked import (
    Asked,
    MatrixError,
    Project,
    choose_machines,
    find_projects,
    read_configs,
    read_patterns,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.packing import (
    changes,
    digests,
    prepare_all,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.plan import plan, varying
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.prepare import (
    Prepared,
    PrepareError,
)

KNOWN = ["debian_12", "debian_13", "alpine"]
FIELDS = {
    "name": "hello",
    "version": "1.0",
    "repository-url": "https://x/",
    "repository-type": "dir",
}


def prepared(**more: t.Any) -> Prepared:
    return Prepared({**FIELDS, **more}, {}, {}, [], [])


def asked(**more: t.Any) -> Asked:
    given: dict[str, t.Any] = {
        "projects": (Project("hello", "", "."),),
        "configs": {},
        "machines": ("all",),
        "directory": "/",
        **more,
    }
    return Asked(**given)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", {}),
        (None, {}),
        ("a: X=1; b: Y=2 Z=3", {"a": "X=1", "b": "Y=2 Z=3"}),
        ("a: X=1;", {"a": "X=1"}),
        ("X=ON; X=OFF", {"X=ON": "X=ON", "X=OFF": "X=OFF"}),
        ("a:", {"a": ""}),
        ("cc:gcc", {"cc:gcc": "cc:gcc"}),
        (["a: X=1", "b: Y=2"], {"a": "X=1", "b": "Y=2"}),
        ({"a": ["X=1 2", "Y"], "b": None}, {"a": '"X=1 2" Y', "b": ""}),
        ({1.5: "X"}, {"1.5": "X"}),
    ],
)
def test_sets_of_words(given: t.Any, found: dict[str, str]) -> None:
    assert read_configs(given) == found


@pytest.mark.parametrize("given", ["a: X; a: Y", "a: 'X", {"a": '"'}])
def test_sets_that_are_none(given: t.Any) -> None:
    with pytest.raises(MatrixError, match="configs: "):
        read_configs(given)


def test_patterns() -> None:
    assert read_patterns("a*, b ,c") == ("a*", "b", "c")
    assert read_patterns(["a", "b,c"]) == ("a", "b", "c")
    assert choose_machines(["alpine", "debian*", "all"], KNOWN) == ["alpine", *KNOWN[:2]]
    assert choose_machines([], KNOWN) == []
    with pytest.raises(MatrixError, match=r"no machine b\* on this host; there are: debian_12"):
        choose_machines(["b*"], KNOWN)


def test_projects(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    for name in ("b.yml", "a.manifest", "README"):
        (tmp_path / "tasks" / name).write_text("")
    found = find_projects("tasks", [], str(tmp_path))
    assert [each.label for each in found] == ["a", "b"]
    assert found[0].task == str(tmp_path / "tasks" / "a.manifest")
    found = find_projects(["b.yml", {"name": "b"}], ["../x", "y#v1"], str(tmp_path))
    labels = ["b-x", "b-y-v1", "b-x.2", "b-y-v1.2"]
    assert [each.label for each in found] == labels
    (tmp_path / "none").mkdir()
    with pytest.raises(MatrixError, match="there are no tasks in"):
        find_projects("none", [], str(tmp_path))
    with pytest.raises(MatrixError, match="nothing to build"):
        find_projects("", [], str(tmp_path))


def test_all_combinations() -> None:
    looked = {"matrix": {"CC": ["gcc", "clang"]}}
    each = dataclasses.replace(prepared(), looked=looked)
    wanted = asked(configs={"a": "X=1", "b": "config.bbot.jobs=2"}, machines=("debian*",))
    found = plan(wanted, [each], KNOWN)
    assert [one.id for one in found] == [
        f"{config}_{machine}_CC-{cc}"
        for config in "ab"
        for cc in ("gcc", "clang")
        for machine in ("debian_12".replace("_", "-"), "debian-13")
    ]
    assert found[0].fields == {
        **FIELDS,
        "machine": "debian_12",
        "target-config": ["X=1", "config.bbot.matrix.CC=gcc"],
    }
    assert found[-1].axes == {
        "project": "hello",
        "config": "b",
        "machine": "debian_13",
        "$CC": "clang",
    }
    alone = plan(dataclasses.replace(wanted, variables=False, configs={}), [each], KNOWN)
    assert [one.id for one in alone] == ["debian-12", "debian-13"]


def test_machines_of_tasks() -> None:
    wanted = asked(machines=(), projects=(Project("a", "a", ""), Project("b", "b", "")))
    found = plan(wanted, [prepared(machine="alpine"), prepared(machine="mine")], KNOWN)
    assert [one.machine for one in found] == ["alpine", "mine"]
    assert [one.machine for one in plan(wanted, [prepared(), prepared()], ["x"])] == ["x", "x"]
    with pytest.raises(MatrixError, match="say which machines to use"):
        plan(wanted, [prepared(), prepared()], KNOWN)


def test_what_is_too_much_or_no_task() -> None:
    many = {str(number): "" for number in range(600)}
    with pytest.raises(MatrixError, match="more than 1000 combinations"):
        plan(asked(configs=many), [prepared()], KNOWN)
    with pytest.raises(MatrixError, match="unknown field 'nmae'"):
        plan(asked(), [prepared(nmae="x")], KNOWN)


def test_ids_differ_and_are_names_of_folders() -> None:
    odd = {"../x y": "", "-.x-y": "", "ä/ö": "", "": "", "A": "", "a": "", "x" * 300: ""}
    found = [one.id for one in plan(asked(configs=odd, machines=("alpine",)), [prepared()], KNOWN)]
    assert found == ["x-y", "x-y.2", "task", "task.2", "A", "a.2", "x" * 120]


def test_axes_that_vary() -> None:
    assert varying([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}]) == ["b"]
    assert varying([{"a": "1"}, {"a": "1", "$X": "2"}]) == ["$X"]


def test_what_was_asked_comes_back() -> None:
    wanted = asked(configs={"a": "X"}, common={"driver": "cmake"}, config="Y")
    assert Asked.from_mapping(wanted.to_mapping()) == wanted
    for wrong in (None, {}, [], {"projects": [1]}, {**wanted.to_mapping(), "more": 1}):
        with pytest.raises(MatrixError, match="does not say what was asked for"):
            Asked.from_mapping(wrong)


def test_what_has_changed(tmp_path: Path) -> None:
    """Not when it was written, but what."""
    source = tmp_path / "hello"
    source.mkdir()
    (source / "a.c").write_text("int a;\n")
    wanted = asked(projects=(Project("hello", "", str(source)),), directory=str(tmp_path))

    def look(name: str) -> dict[str, str]:
        (tmp_path / name).mkdir()
        return digests(prepare_all(wanted, str(tmp_path / name), None)[0])

    former = {"sources": look("one"), "task": {"name": "x"}}
    (source / "a.c").touch()
    assert changes(former, {"name": "x"}, look("two")) == []
    (source / "a.c").write_text("int b;\n")
    assert changes(former, {"name": "y"}, look("three")) == ["source", "task"]
    # Results of ours in the sources are no part of them.
    (source / "results" / "matrix-1").mkdir(parents=True)
    (source / "results" / "matrix-1" / ".bbot-matrix").write_text("")
    (source / "results" / "matrix-1" / "x").write_text("x")
    (source / "a.c").write_text("int a;\n")
    assert changes(former, {"name": "x"}, look("four")) == []


def test_words_are_checked_before_anything_is_packed(tmp_path: Path) -> None:
    worker = str(Path(__file__).parents[4] / "roles" / "toolchain" / "worker")
    wanted = asked(configs={"a": "config.bbot.job=2"})
    with pytest.raises(PrepareError, match=r"did you mean config\.bbot\.jobs"):
        prepare_all(wanted, str(tmp_path), worker)
    assert list(tmp_path.iterdir()) == []
