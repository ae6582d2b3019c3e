# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changes is told, once, and in pieces that nobody chokes on."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.web.folder import Folder
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.live import Follow, Parts
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.response import (
    Event,
    disposition,
    encode_event,
)


def test_only_parts_that_have_changed() -> None:
    state = {"a": "1", "b": "1"}
    parts = Parts(lambda: dict(state))
    assert [event.data["id"] for event in parts.poll()] == ["a", "b"]
    assert parts.poll() == []
    state["b"] = "2"
    assert parts.poll() == [Event("part", {"id": "b", "html": "2"})]


class Log:
    def __init__(self, root: Path, start: int = 0) -> None:
        self.path = root / "task" / "agent.log"
        self.path.parent.mkdir()
        self.over = False
        self.folder: Folder | None = Folder(str(self.path.parent), str(root))
        self.follow = Follow(
            Parts(dict), lambda: self.folder, "agent.log", start, lambda: self.over
        )

    def add(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def poll(self) -> list[tuple[str, str]]:
        events = t.cast("list[Event]", self.follow.poll())
        return [(event.data["text"], event.id) for event in events if event.kind == "lines"]


def test_lines_come_whole(tmp_path: Path) -> None:
    log = Log(tmp_path)
    assert log.poll() == []
    log.add(b"one\ntw")
    assert log.poll() == [("one\n", "4")]
    assert log.poll() == []
    log.add("o \x1b[1mä".encode()[:-1])
    assert log.poll() == []
    log.add("ä".encode()[-1:] + b"\n")
    assert log.poll() == [("two ä\n", "15")]


def test_who_is_far_behind_gets_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add(b"".join(b"line %d\n" % number for number in range(1_000_000)))
    ((text, _place),) = log.poll()
    assert len(text) < 40_000 and text.startswith("[") and text.endswith("line 999999\n")
    assert log.poll() == []


def test_the_end_is_told_after_the_last_line(tmp_path: Path) -> None:
    log = Log(tmp_path, start=4)
    log.add(b"one\ntwo\n")
    log.over = True
    events = t.cast("list[Event]", log.follow.poll())
    assert [event.kind for event in events] == ["lines", "ended"]
    assert events[0].data == {"text": "two\n"}
    assert log.follow.poll() is None


def test_a_log_that_is_not_there(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.folder = None
    assert log.poll() == []


def test_events_are_one_line() -> None:
    event = encode_event(Event("part", {"html": "a\n\ndata: b\r\n"}, "7"))
    assert event == b'event: part\nid: 7\ndata: {"html": "a\\n\\ndata: b\\r\\n"}\n\n'


def test_names_of_files_are_no_headers() -> None:
    assert disposition('a"\r\nX: y/ü.log', attached=True) == (
        'attachment; filename="a___X__y__.log"'
    )
