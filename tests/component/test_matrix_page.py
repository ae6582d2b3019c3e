# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a matrix in a browser: by day and night, on a telephone, and for screen readers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.publish import publish
from helpers.browser import probe, show
from helpers.matrices import cancelled, failed, index_of, lost, product, write_log

HOSTILE = "a.c:1: error: <script>document.title = 'taken over'</script><b>x</b>"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The page of a matrix in which everything has happened that can."""
    config, machine = ["release", "debug"], ["debian_12", "debian_13", "alpine_3.20"]
    every = product(config=config, machine=machine, var_CC=["gcc", "clang"])
    every[3]["status"] = "warning"
    every[5] = failed(every[5], HOSTILE)
    every[11] = failed(every[11], HOSTILE)
    every[6] = failed(every[6], f"tests/{'long' * 60}", "test")
    every[7] = lost(every[7], "build2: Connection refused")
    every[8] = cancelled(every[8])
    every[9]["state"] = "running"
    for number in (5, 6, 11):
        operation = "test" if number == 6 else "update"
        text = "".join(f"line {n} {'wide ' * 60 if n == 97 else ''}\n" for n in range(99))
        write_log(tmp_path, every[number], operation, f"{text}{HOSTILE}\n")
    publish(str(tmp_path), index_of(every))
    return tmp_path / "report.html"


@pytest.mark.parametrize("dark", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("width", [1280, 360], ids=["wide", "telephone"])
def test_everybody_can_use_it(report: Path, width: int, *, dark: bool) -> None:
    found = probe(report.read_text(), report.parent, width=width, dark=dark)
    assert found["violations"] == []
    assert {"color-contrast", "region", "th-has-data-cells"} <= set(found["passes"]), found
    # Only tables and logs are scrolled sideways, within themselves.
    assert (found["wide"], found["width"]) == (0, width)
    assert found["back"] == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def test_a_fault_is_found(report: Path) -> None:
    """The probe does see what is wrong."""
    page = report.read_text().replace("<main>", '<main><img src="x.png"><input>')
    found = dict(probe(page, report.parent, width=1280)["violations"])
    assert {"image-alt", "label"} <= set(found)


def test_it_is_shown_as_it_is(report: Path) -> None:
    picture = report.with_name("report.png")
    seen = show(report, picture, width=1280, height=2400)
    assert "<title>4 of 12 failed" in seen
    assert "<script" not in seen and "&lt;script&gt;document.title" in seen
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 50_000
