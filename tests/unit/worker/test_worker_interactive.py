# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a task stops for a person, and the shell that they have."""

from __future__ import annotations

import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import interactive

Perform = Callable[..., Any]

FAILING = "#!/bin/sh\n[ $1 != update ] || exit 1\n"
WARNING = "#!/bin/sh\n[ $1 != update ] || echo 'a.c:1:1: warning: odd'\n"
GOOD = "#!/bin/sh\necho doing $1\n"


class Person(threading.Thread):
    """Somebody at the other end of the machine's port, who says `text` once greeted."""

    def __init__(self, text: str) -> None:
        super().__init__(daemon=True)
        self.line, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self.seen = b""
        self._text = text
        self._over = False

    def run(self) -> None:
        said = False
        while not self._over:
            if select.select([self.line], [], [], 0.05)[0]:
                self.seen += os.read(self.line, 4096)
            if not said and b"goes on when" in self.seen:
                said = True
                os.write(self.line, self._text.encode())

    def leave(self) -> None:
        if self._over:
            return
        time.sleep(0.2)  # What was said last is on its way.
        self._over = True
        self.join()
        os.close(self.line)
        os.close(self._theirs)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    made = Person("echo here: $BBOT_OPERATION; pwd; exit\n")
    monkeypatch.setattr(interactive, "find_port", lambda: made.port)
    made.start()
    yield made
    made.leave()


@pytest.mark.parametrize(
    ("script", "where", "operation", "words"),
    [
        (FAILING, "error", "update", "update has ended with status error"),
        (FAILING, "warning", "update", "update has ended with status error"),
        (WARNING, "warning", "update", "update has ended with status warning"),
        (GOOD, "configure", "configure", "configure has not begun yet"),
        (GOOD, "test", "test", "test has not begun yet"),
    ],
)
def test_a_person_has_a_shell_there(
    perform: Perform, person: Person, script: str, where: str, operation: str, words: str
) -> None:
    outcome = perform({"bbot-build": script}, "", ("interactive", where))
    log = outcome.logs[operation]
    assert f"breakpoint: {words}: a shell is there" in log
    assert "breakpoint: going on after" in log
    person.leave()
    text = person.seen.decode(errors="replace")
    assert f"\r\n{words}. The task goes on when this shell ends (exit).\r\n" in text
    assert f"here: {operation}\r\n" in text
    assert "/work/" in text
    assert len([each for each in outcome.logs.values() if "breakpoint" in each]) == 1


@pytest.mark.parametrize(
    ("script", "where"),
    [(GOOD, "error"), (GOOD, "warning"), (WARNING, "error"), (FAILING, "none"), (FAILING, "")],
)
def test_it_stops_nowhere_else(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, script: str, where: str
) -> None:
    monkeypatch.setattr(interactive, "find_port", lambda: 1 / 0)
    outcome = perform({"bbot-build": script}, "", ("interactive", where))
    assert not [each for each in outcome.logs.values() if "breakpoint" in each]


def test_a_machine_without_a_port_goes_on(perform: Perform) -> None:
    outcome = perform({"bbot-build": FAILING}, "", ("interactive", "error"))
    assert "this machine has no port for a shell" in outcome.logs["update"]
    assert outcome.status == "error"


def test_a_port_that_fails_goes_on(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactive, "find_port", lambda: "/dev/none")
    outcome = perform({"bbot-build": FAILING}, "", ("interactive", "error"))
    assert "breakpoint: the shell has failed: " in outcome.logs["update"]


def test_an_unknown_breakpoint_is_refused_before_anything_is_done(perform: Perform) -> None:
    outcome = perform({"bbot-build": GOOD}, "", ("interactive", "tests"))
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    words = "interactive: no breakpoint tests: there are error, warning and configure, update, test"
    assert words in outcome.logs["configure"]


def test_the_port_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert interactive.find_port(str(tmp_path / "none")) is None
    for number, name in enumerate(("bbot.progress", interactive.PORT)):
        (tmp_path / f"vport0p{number}").mkdir()
        (tmp_path / f"vport0p{number}" / "name").write_text(f"{name}\n")
    assert interactive.find_port(str(tmp_path), "/dev") == "/dev/vport0p1"
    # In a container it is a descriptor.
    monkeypatch.setenv("BBOT_SHELL", "5")
    assert interactive.find_port(str(tmp_path), "/dev") == "5"
