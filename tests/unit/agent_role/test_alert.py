# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told what, and how often."""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

JOURNAL = """#!/bin/sh
echo "$*" >> "$HOME/journalctl"
case $* in *--after-cursor=c2*) exit 0 ;; esac
echo '{"__CURSOR": "c1", "_SYSTEMD_UNIT": "bbot-agent@default.service", "MESSAGE": "it broke"}'
echo '{"__CURSOR": "c2", "_SYSTEMD_UNIT": "bbot-agent@default.service", "MESSAGE": [98, 255, 100]}'
"""
AGENT = """#!/bin/sh
echo '{"suspended": [{"id": "s1", "machine": "debian", "reason": "it did not boot"}]}'
"""


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what is posted; refuses it where the path says so."""

    got: list[dict]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # Before the answer: whoever has that looks at what was posted.
        if self.path != "/refuse":
            self.got.append(json.loads(body))
        self.send_response(500 if self.path == "/refuse" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.got = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture
def round_of(alert: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Do a round with this webhook."""
    for name, text in (("journalctl", JOURNAL), ("bbot-agent", AGENT)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))

    def play(webhook: str, mail: str = "") -> int:
        (tmp_path / "config").write_text(json.dumps({"webhook": webhook, "mail": mail}))
        words = ["alert", "--options-file", "places", "--config", str(tmp_path / "config")]
        monkeypatch.setattr(sys, "argv", [*words, "--state", str(tmp_path / "state")])
        return alert.main()

    return play


def test_errors_and_suspended_machines_are_told_once(round_of, hook: str) -> None:
    assert round_of(hook) == 0
    assert round_of(hook) == 0
    (told,) = Hook.got
    assert told["suspended"] == ["machine debian is suspended as s1: it did not boot"]
    assert told["errors"] == [
        "bbot-agent@default.service: it broke",
        "bbot-agent@default.service: b\ufffdd",
    ]
    assert told["text"].splitlines() == told["suspended"] + told["errors"]


def test_what_could_not_be_told_is_told_the_next_time(round_of, hook: str) -> None:
    assert round_of(f"{hook}/refuse") == 1
    assert Hook.got == []
    round_of(hook)
    assert len(Hook.got) == 1
    assert len(Hook.got[0]["errors"]) == 2


def test_the_same_is_told_again_after_an_hour_only(alert: ModuleType) -> None:
    state = alert.State()
    assert state.news(["a", "a", "b"], 1e6) == ["a", "b"]
    assert state.news(["a", "c"], 1e6 + 3599) == ["c"]
    assert state.news(["a", "c"], 1e6 + 3600) == ["a"]


def test_a_flood_is_cut(alert: ModuleType) -> None:
    lines = alert.compose([str(number) for number in range(80)], []).splitlines()
    assert len(lines) == alert.MOST + 1
    assert lines[-1] == "and 30 more"


def test_a_damaged_state_is_none(alert: ModuleType, tmp_path: Path) -> None:
    for text in ('{"cursor', "5", "[]", '{"webhook": 5}', '{"webhook": {"x": 1}}'):
        (tmp_path / "state").write_text(text)
        states = alert.load(str(tmp_path / "state"))
        assert states == {"webhook": alert.State(), "mail": alert.State()}


def test_the_state_of_an_older_version_is_that_of_each_way(
    alert: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text('{"cursor": "c1", "told": {"x": 5.0}}')
    state = alert.State("c1", {"x": 5.0})
    assert alert.load(str(tmp_path / "state")) == {"webhook": state, "mail": state}


@pytest.mark.parametrize("broken", ["mail", "webhook"])
def test_a_way_that_is_broken_keeps_nothing_from_the_other(
    round_of, hook: str, broken: str, alert: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailed: list[str] = []

    def mail(_to: str, _host: str, text: str) -> None:
        if broken == "mail":
            raise FileNotFoundError("sendmail")
        mailed.append(text)

    monkeypatch.setattr(alert, "mail", mail)
    for _dummy in range(3):
        assert round_of(f"{hook}/refuse" if broken == "webhook" else hook, "root") == 1
    assert (len(Hook.got), len(mailed)) == ((1, 0) if broken == "mail" else (0, 1))
