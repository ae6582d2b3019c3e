# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a matrix: differences, lines, pages, and XML, whatever others have written."""

from __future__ import annotations

import json
import re
import typing as t
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix import junit, report
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.collect import (
    collect,
    excerpt,
    first_error,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.differences import (
    alike,
    in_common,
    neighbours,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.markup import (
    link_to,
    tag,
    text,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.table import (
    Live,
    ended,
    fit,
    plain,
    summary,
    width,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.verdict import (
    counts,
    exit_of,
    exit_of_all,
    word,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.report import TaskReport
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.matrices import cancelled, failed, index_of, lost, product, well, write_log

# What browsers, terminals and XML must not take for theirs.
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> "
    "\x1b[31m\x07 \x00 \u202egpj ]]> &amp;"
)


def fault(axes: dict[str, str], at: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The combinations ``at``, of which those with these values fail."""
    return [
        failed(entry, f"no {entry['id']} at line {number}")
        if axes.items() <= entry["axes"].items()
        else entry
        for number, entry in enumerate(at)
    ]


# Differences


@pytest.mark.parametrize(
    "axes",
    [
        {"machine": "b"},
        {"machine": "b", "config": "y"},
        {"config": "x", "$CC": "gcc"},
        {"machine": "a", "config": "x", "$CC": "clang"},
    ],
)
def test_what_they_have_in_common(axes: dict[str, str]) -> None:
    every = product(config=["x", "y"], machine=["a", "b", "c"], var_CC=["gcc", "clang"])
    found = in_common(index_of(fault(axes, every)))
    assert [finding.axes for finding in found] == [axes]
    assert len(found[0].ids) == 12 / {1: 3, 2: 6 if "machine" in axes else 4, 3: 12}[len(axes)]


def test_several_things_in_common() -> None:
    every = product(config=["x", "y"], machine=["a", "b", "c"])
    entries = fault({"machine": "a"}, fault({"machine": "c", "config": "y"}, every))
    found = [finding.axes for finding in in_common(index_of(entries))]
    assert found == [{"machine": "a"}, {"config": "y", "machine": "c"}]


def test_nothing_and_all_in_common() -> None:
    every = product(machine=["a", "b"])
    assert in_common(index_of(every)) == []
    (finding,) = in_common(index_of(fault({}, every)))
    assert (finding.axes, finding.ids) == ({}, ("a", "b"))
    # What was not begun says nothing.
    entries = [failed(every[0], "x"), cancelled(every[1])]
    (finding,) = in_common(index_of(entries))
    assert finding.ids == ("a",)


def test_those_that_fail_alike() -> None:
    every = product(config=["x", "y"], machine=["a", "b"])
    lines = ["a.c:3: error", "a.c:17: error", "b.c:1: error", "a.c:4: error"]
    entries = [failed(entry, line) for entry, line in zip(every, lines, strict=True)]
    assert alike(index_of(entries)) == [
        ("update: a.c:3: error", ["x_a", "x_b", "y_b"]),
        ("update: b.c:1: error", ["y_a"]),
    ]


def test_what_goes_well_instead() -> None:
    every = product(config=["x", "y"], machine=["a", "b"])
    entries = [failed(every[0], "x"), *every[1:]]
    assert neighbours(index_of(entries), entries[0]) == [{"machine": "b"}, {"config": "y"}]


# Verdicts


def test_verdicts() -> None:
    fine, warned, bad, gone, off = product(machine=["a", "b", "c", "d", "e"])
    warned["status"] = "warning"
    dead = {**failed(fine, "x"), "culprit": "machine", "id": "f"}
    entries = [fine, warned, failed(bad, "x"), lost(gone, "away"), cancelled(off), dead]
    assert [exit_of(entry, "error") for entry in entries] == [0, 0, 1, 3, 0, 3]
    assert [exit_of(entry, "warning") for entry in entries] == [0, 1, 1, 3, 0, 3]
    assert [exit_of(entry, "never") for entry in entries] == [0, 0, 0, 3, 0, 3]
    words = ["success", "warning", "error", "host fault", "cancelled", "machine fault"]
    assert [word(entry) for entry in entries] == words
    index = index_of(entries)
    assert exit_of_all(index) == 3
    assert list(counts(index)) == [
        *("host fault", "cancelled", "machine fault", "error", "warning", "success")
    ]


# Lines


def test_lines_for_people() -> None:
    every = product(config=["x", "y"], machine=["a", "b"])
    index = index_of(fault({"machine": "b"}, every))
    assert summary(index, "/r") == [
        "x · a  success      12.2 s",
        "x · b  error        12.2 s  update: no x_b at line 1",
        "y · a  success      12.2 s",
        "y · b  error        12.2 s  update: no y_b at line 3",
        "fails with machine b: 2 of 2",
        "4 combinations: 2 error, 2 success",
        "results: /r",
    ]
    line = ended(index, index["combinations"][1])
    assert line == "4/4 x · b: error in 12.2 s: update: no x_b at line 1"


def test_nothing_hostile_reaches_a_terminal() -> None:
    entry = failed(well({"machine": f"m{HOSTILE}"}), HOSTILE)
    other = lost(well({"machine": "other"}), HOSTILE)
    index = index_of([entry, other])
    written: list[str] = []
    live = Live(written.append, lambda: (80, 24))
    live.draw(index, {})
    drawn = re.sub(r"\x1b\[(?:K|J|\d+A)", "", "".join(written))
    for line in [*summary(index, "/r"), ended(index, entry), *drawn.replace("\r", "").split("\n")]:
        assert plain(line) == line
        assert "\x1b" not in line and "\u202e" not in line


def test_a_table_that_stays_at_its_place() -> None:
    index = index_of(product(machine=[f"machine{number}" for number in range(40)]))
    index["combinations"][30]["state"] = "running"
    written: list[str] = []
    live = Live(written.append, lambda: (60, 10))
    live.draw(index, {"machine30": "work"})
    assert written[0].count("\n") == 9
    assert written[0].startswith("\rmachine30  running    work\x1b[K\n")
    assert "1 running, 39 success" in written[0]
    live.say("a line")
    live.draw(index, {})
    live.clear()
    live.clear()
    assert written[1:3] == ["\r\x1b[9A\x1b[J", "a line\n"]
    assert written[3].startswith("\rmachine")
    assert written[4:] == ["\r\x1b[9A\x1b[J"]


def test_letters_have_widths() -> None:
    assert [width(each) for each in ("abc", "日本", "e\u0301")] == [3, 4, 1]
    assert fit("日本語日本語", 5) == "日本…"
    assert fit("abc", 5) == "abc  "


# Pages


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def test_markup_is_what_is_made_here() -> None:
    made = tag("a", "<b>", tag("i", HOSTILE), None, [tag("u", "x"), "&"], href='"><b>', class_=None)
    page = Page(made)
    assert [name for name, _attributes in page.elements] == ["a", "i", "u"]
    assert page.elements[0][1] == {"href": '"><b>'}
    assert text("\x1b\x00\u202e\ufffe\n") == "\ufffd" * 4 + "\n"
    assert link_to("a b", "../x?#%") == "a%20b/..%2Fx%3F%23%25"


def test_a_page_of_what_is_hostile(tmp_path: Path) -> None:
    entries = [
        failed(well({"config": HOSTILE, "machine": "a", "$X": HOSTILE}, id="one"), HOSTILE),
        lost(well({"config": "y", "machine": "b", "$X": "1"}, id="two"), HOSTILE),
        well({"config": "y", "machine": "a", "$X": HOSTILE}, id="three", host=HOSTILE),
    ]
    write_log(tmp_path, entries[0], "update", HOSTILE * 50)
    entries[0]["operations"][1]["log"] = "update.log"
    page = Page(report.render(index_of(entries), str(tmp_path)))
    names = {name for name, _attributes in page.elements}
    assert not names & {"script", "img", "iframe", "object", "link", "base", "form"}
    for name, attributes in page.elements:
        assert not [each for each in attributes if each.startswith("on")]
        for each in ("href", "src"):
            assert re.match(r"#|[a-z]+/|index\.json|junit\.xml", attributes.get(each) or "#"), name
    assert page.elements[0] == ("html", {"lang": "en"})
    policies = [a["content"] for name, a in page.elements if a.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert not any(letter in "".join(page.said) for letter in "\x1b\x07\x00\u202e")


def test_a_page_says_at_a_glance(tmp_path: Path) -> None:
    every = product(config=["x", "y"], machine=["a", "b"])
    entries = fault({"machine": "b"}, every)
    write_log(tmp_path, entries[1], "update", "\n".join(f"line {n}" for n in range(99)))
    said = " ".join(Page(report.render(index_of(entries), str(tmp_path))).said)
    for words in (
        "2 of 4 combinations failed.",
        "machine b : all 2 combinations fail",
        "update: no x_b at line 1",
        "It goes well with machine a instead.",
        "line 98",
        "411 passed, 3 skipped",
    ):
        assert words in said
    assert "line 68" not in said
    assert "All 4 combinations are well." in report.render(index_of(every), "/r")


def test_a_page_of_very_many(tmp_path: Path) -> None:
    every = product(config=[str(n) for n in range(40)], machine=[f"m{n}" for n in range(25)])
    page = report.render(index_of([failed(entry, "x") for entry in every]), str(tmp_path))
    assert len(page) < 4 << 20
    assert "and 900 more: see index.json" in page


# XML


def read_suites(entries: list[dict[str, t.Any]], folder: Path) -> ET.Element:
    return ET.fromstring(junit.render(index_of(entries), str(folder)))


def cases(suite: ET.Element) -> dict[str, list[str]]:
    return {case.get("name", ""): [child.tag for child in case] for case in suite.iter("testcase")}


def test_suites(tmp_path: Path) -> None:
    fine, bad, gone, off = product(machine=["a", "b", "c", "d"])
    bad = failed(bad, "error: no", "test")
    failure = {"name": "tests/greeting", "text": "no greeting"}
    bad["tests"] = {"test": {"passed": 4, "failed": 1, "skipped": 0, "first_failure": failure}}
    write_log(tmp_path, bad, "test", "the log\n")
    suites = read_suites([fine, bad, lost(gone, "no route"), cancelled(off)], tmp_path)
    assert [suite.get("name") for suite in suites] == ["a", "b", "c", "d"]
    assert [cases(suite) for suite in suites] == [
        {"configure": [], "update": [], "test": ["system-out"]},
        {
            "configure": [],
            "update": [],
            "test": ["failure", "system-out"],
            "tests/greeting": ["failure"],
        },
        {"task": ["error"]},
        {"task": ["skipped"]},
    ]
    totals = {name: suites.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert totals == {
        "tests": "9",
        "failures": "2",
        "errors": "1",
        "skipped": "1",
        "time": "24.500",
    }
    (found,) = suites[1].findall("./testcase[@name='test']/failure")
    assert (found.get("message"), found.text) == ("error: no", "the log")


def test_cases_of_the_runners(tmp_path: Path) -> None:
    entry = well({"machine": "a"})
    place = tmp_path / "a" / "artifacts"
    place.mkdir(parents=True)
    (place / "r.xml").write_text(
        "<testsuites><testsuite><testcase classname='t' name='one' time='0.5'/>"
        "<testcase name='two' time='-1' odd='x'><failure message='m'>text</failure>"
        "<system-out>much</system-out></testcase></testsuite></testsuites>"
    )
    (place / "other.xml").write_text("<html><testcase name='no'/></html>")
    (place / "broken.xml").write_text("<testsuite><testcase name='no'>")
    (place / "bomb.xml").write_text(
        "<!DOCTYPE x [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]>"
        "<testsuite><testcase name='&b;'/></testsuite>"
    )
    (place / "link.xml").symlink_to(place / "r.xml")
    (suite,) = read_suites([entry], tmp_path)
    found = cases(suite)
    assert list(found) == ["configure", "update", "test", "one", "two"]
    assert found["two"] == ["failure"]


def test_hostile_words_are_xml_all_the_same(tmp_path: Path) -> None:
    entry = failed(well({"machine": HOSTILE}, id="one", host=HOSTILE), HOSTILE)
    write_log(tmp_path, entry, "update", HOSTILE)
    (suite,) = read_suites([entry], tmp_path)
    assert "<script>" in str(suite.get("hostname"))
    assert "\x1b" not in ET.tostring(suite, encoding="unicode")


# What came home


def result(*operations: tuple[str, Status, str]) -> Result:
    found = tuple(OperationResult(*each) for each in operations)
    return Result("hello", "1.0", max(each.status for each in found), found)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("+ cc -Werror x.c\nx.c:3:5: error: no\nmake: *** Error 1\n", "x.c:3:5: error: no"),
        (
            "checking for error... no\n0 errors\nld: undefined reference to `x'\n",
            "ld: undefined reference to `x'",
        ),
        (
            "Traceback (most recent call last):\nValueError: x\n",
            "Traceback (most recent call last):",
        ),
        # Names, and how checks came out, which CMake tells of like this.
        (
            "-- Performing Test HAVE_Werror\n-- Performing Test HAVE_Werror - Failed\n"
            "-- Looking for asan - not found\nWITH_ioerror=1\ncould not: no\nx failed\n",
            "x failed",
        ),
        ("at java.lang.NullPointerException: x\n", "at java.lang.NullPointerException: x"),
        # The first line says where, the second what.
        ("CMake Error at x:2 (f):\n  C is '23'\n\n  more\n", "CMake Error at x:2 (f): C is '23'"),
        ("make: *** Error 1:\nnot indented\n", "make: *** Error 1:"),
        ("x: error:\n", "x: error:"),
        ("all quiet\nthe last\n\n", "the last"),
        ("", "update has status error"),
    ],
)
def test_the_first_line_of_an_error(log: str, line: str) -> None:
    given = result(("configure", Status.SUCCESS, "error: not this"), ("update", Status.ERROR, log))
    assert first_error(given, TaskReport()) == {"operation": "update", "line": line}


def test_the_first_test_that_failed() -> None:
    failure = {"name": "t.one", "text": "setting up\nE   assert 1 == 2\nAssertionError\n"}
    told = TaskReport(
        tests={"test": {"passed": 1, "failed": 1, "skipped": 0, "first_failure": failure}}
    )
    found = first_error(result(("test", Status.ERROR, "error: x")), told)
    assert found == {"operation": "test", "line": "t.one: E assert 1 == 2"}
    assert first_error(result(("test", Status.SUCCESS, "error")), told) is None


def test_what_came_home(tmp_path: Path) -> None:
    given = result(("update", Status.WARNING, "x\n"), ("test", Status.ERROR, "no: error\n"))
    (tmp_path / "result.manifest").write_text(given.to_text())
    told = {"driver": "make", "tests": {"test": {"passed": 2, "failed": 1}}, "warnings": {}}
    told |= {"artifacts": [], "uploads": []}
    (tmp_path / "report.json").write_text(json.dumps(told))
    found = collect(str(tmp_path))
    assert found["status"] == "error"
    assert found["tests"]["test"] == {"passed": 2, "failed": 1, "skipped": 0}
    assert found["first_error"] == {"operation": "test", "line": "no: error"}
    for garbled in ("", "{", "[]", json.dumps({**told, "tests": 3}), "[" * 100000):
        (tmp_path / "report.json").write_text(garbled)
        assert collect(str(tmp_path))["tests"] == {}


def test_the_end_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("".join(f"line {number}\n" for number in range(5000)))
    lines = excerpt(str(tmp_path), "x.log", 100)
    assert lines[-1] == "line 4999" and len(lines) == 9
    assert excerpt(str(tmp_path), "none.log") == []
    assert excerpt(str(tmp_path / "none"), "../x.log") == []
