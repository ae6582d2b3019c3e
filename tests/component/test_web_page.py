# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages in a browser: for everybody, by day and night, on a telephone; and what is live."""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.report import (
    ReportedFile,
    TaskReport,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.devtools import Browser
from helpers.web import WebHost, WebServer
from helpers.web_day import ORDINARY_PAGES, ordinary_day

HOSTILE = "<script>document.title = 'taken over'</script><img src=x onerror=document.title='taken'>"
PAGES = {
    "now": "",
    "history": "history?q=hello",
    "trends": "trends",
    "task": "task/2",
    "running": "task/3",
    "log": "task/2/log/update.log?first=1#error",
    "nothing": "task/99",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[WebHost]:
    """A host on which everything has happened that can."""
    made = WebHost(tmp_path_factory.mktemp("host"))
    made.machine("debian_12")
    made.machine("windows_11", "x")
    report = TaskReport(
        driver="autotools",
        tests={"test": {"passed": 411, "failed": 2, "skipped": 3}},
        warnings={"configure": HOSTILE},
        artifacts=(ReportedFile("usr/lib/libhello.so.1", 123_456, "0" * 64),),
    )
    made.ended()
    made.ended(
        Status.ERROR,
        {
            "configure": (Status.WARNING, "checking for gcc... gcc\n"),
            "update": (Status.ERROR, f"{'cc -c x.c ' * 30}\nx.c:1: error: {HOSTILE}\n" * 30),
        },
        culprit="task",
        reason=f"update: error {HOSTILE}",
        report=report,
    )
    lines = "".join(f"12:00:{n:02} | cc -O2 -c part{n}.c {HOSTILE}\n" for n in range(60))
    made.running(f"11:59:58 phase start\n12:00:00 phase work\n{lines}")
    made.suspend("1", f"machine debian_12 did not boot {HOSTILE}")
    made.multiply(400)
    with contextlib.closing(made):
        yield made


@pytest.fixture(scope="module")
def server(host: WebHost) -> t.Iterator[WebServer]:
    with WebServer(host) as made:
        yield made


@pytest.fixture
def browser(tmp_path: Path) -> t.Iterator[Browser]:
    with Browser(tmp_path) as made:
        yield made


@pytest.mark.parametrize("dark", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("width", [1280, 360], ids=["wide", "telephone"])
def test_everybody_can_use_it(server: WebServer, browser: Browser, width: int, dark: bool) -> None:
    browser.window(width, dark=dark)
    for name, address in PAGES.items():
        browser.go(server.url + address)
        found = browser.probe()
        assert found["violations"] == [], name
        assert {"color-contrast", "document-title", "html-has-lang"} <= set(found["passes"]), name
        # Only tables and logs are scrolled sideways, within themselves.
        assert found["wide"] == 0, name
        assert found["back"] == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
        assert "taken" not in browser.ask("document.title"), name
        assert browser.ask("document.querySelectorAll('img').length") == 0, name
    # Neither policy nor script was complained of.
    assert [each for each in browser.trouble if "task/99" not in each] == []


def test_a_fault_is_found(server: WebServer, browser: Browser) -> None:
    """The probe does see what is wrong, and the browser what a page may not do."""
    browser.go(server.url)
    browser.ask("document.querySelector('main').innerHTML += '<img src=\"x.png\"><input>'; 1")
    browser.ask("document.body.appendChild(document.createElement('script')).text = '1'; 1")
    assert {"image-alt", "label"} <= {each[0] for each in browser.probe()["violations"]}
    assert any("Content Security Policy" in each for each in browser.trouble), browser.trouble


def test_what_changes_is_shown(host: WebHost, server: WebServer, browser: Browser) -> None:
    browser.window(1280)
    browser.go(server.url)
    browser.wait("document.getElementById('live').textContent.includes('as it comes')")
    # Whoever is at a link stays there.
    browser.ask("document.querySelector('#last a').focus(); 1")
    at = browser.ask("document.activeElement.getAttribute('href')")
    number = host.running("12:00:00 | a new one <b>\n")
    browser.wait(f"document.querySelector('#running a[href$=\"task/{number}\"]') !== null")
    browser.wait("document.getElementById('running').textContent.includes('a new one <b>')")
    assert browser.ask("document.activeElement.getAttribute('href')") == at
    host.leases.pop().end()
    browser.wait(f"document.querySelector('#running a[href$=\"task/{number}\"]') === null")
    host.journal.set_aside(number, "gone")


def test_a_log_goes_on_as_it_is_written(host: WebHost, server: WebServer, browser: Browser) -> None:
    number = host.running("12:00:00 | the first\n")
    log = Path(host.journal.get(number).logs) / "agent.log"  # type: ignore[union-attr, arg-type]
    browser.go(f"{server.url}task/{number}")
    for piece in ("12:00:01 | <i>sec", "ond</i>\n", "12:00:02 | \x1b[1mthird\n"):
        with log.open("a") as file:
            file.write(piece)
    lines = "12:00:00 | the first\\n12:00:01 | <i>second</i>\\n12:00:02 | third\\n"
    browser.wait(f"document.getElementById('log').textContent === '{lines}'")
    host.journal.set_aside(number, "enough of it")
    browser.wait("document.getElementById('live').textContent === 'It has ended.'")
    assert "enough of it" in browser.ask("document.getElementById('facts').textContent")
    host.leases.pop().end()


def test_the_keyboard_is_enough(server: WebServer, browser: Browser) -> None:
    browser.go(server.url)
    browser.key("Tab")
    assert browser.ask("document.activeElement.textContent") == "Skip to the content"
    browser.key("Enter")
    browser.wait("document.activeElement.id === 'main'")
    browser.key("Tab")
    assert browser.ask("document.activeElement.matches('main *')") is True
    browser.go(f"{server.url}history")
    browser.ask("document.getElementById('q').value = 'none like it'; 1")
    browser.ask("document.getElementById('q').focus(); 1")
    browser.key("Enter")
    browser.wait("document.body.textContent.includes('No task is like that.')")


def test_it_does_without_scripts(server: WebServer, browser: Browser) -> None:
    browser.without_script()
    browser.go(server.url)
    assert "reload the page" in browser.ask("document.getElementById('live').textContent")
    assert browser.ask("document.querySelectorAll('#running article').length") == 1


@pytest.fixture
def ordinary(tmp_path: Path) -> t.Iterator[WebServer]:
    """The page of a host on an ordinary day."""
    host = WebHost(tmp_path / "host")
    with contextlib.closing(host):
        ordinary_day(host)
        with WebServer(host, called="build1") as server:
            yield server


def test_pictures_for_the_documentation(
    ordinary: WebServer, browser: Browser, tmp_path: Path
) -> None:
    """With BBOT_PICTURES, a folder, they are left there: scripts/pictures.sh does so."""
    folder = Path(os.environ.get("BBOT_PICTURES") or tmp_path)
    for name, width, dark in (
        ("now", 1000, False),
        ("history", 1000, False),
        ("task", 1000, False),
        ("log", 1000, False),
        ("trends", 1000, True),
        ("running", 400, True),
    ):
        browser.window(width, 900, dark=dark)
        browser.go(ordinary.url + ORDINARY_PAGES[name])
        picture = folder / f"web-{name}.png"
        browser.picture(picture)
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert 10_000 < picture.stat().st_size < 200_000
