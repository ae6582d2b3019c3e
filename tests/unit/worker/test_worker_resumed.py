# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker does when its machine turns out to have been resumed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import resume
from bbot_worker.errors import WorkerError
from bbot_worker.resume import come_to, renew_address
from bbot_worker.tftp import TftpError


class Agent:
    """Stands for the worker's Tftp: offers what it is given, or refuses."""

    def __init__(self, offer: bytes | None) -> None:
        self._offer = offer
        self.asked: list[str] = []

    def get(self, name: str, file: Any, _patience: float) -> None:
        self.asked.append(name)
        if self._offer is None:
            raise TftpError("no such file", 1)
        file.write(self._offer)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What was done to the machine."""
    found: list[Any] = []
    monkeypatch.setattr(time, "clock_settime", lambda *facts: found.append(facts))
    monkeypatch.setattr(resume, "mix_in", found.append)
    monkeypatch.setattr(os, "kill", lambda *facts: found.append(facts))
    monkeypatch.setattr(resume, "DHCP_PID", str(tmp_path / "pid"))
    return found


def test_a_booted_machine_is_left_alone(done: list[Any]) -> None:
    agent = Agent(None)
    assert not come_to(agent)
    assert agent.asked == ["resumed"]
    assert done == []


def test_clock_and_randomness_are_put_right(done: list[Any]) -> None:
    offer = b": 1\ntime: 1764000000.250000\nseed: 00ff10\nnews: x\n"
    assert come_to(Agent(offer))
    assert done == [(time.CLOCK_REALTIME, 1764000000.25), b"\0\xff\x10"]


def test_the_address_is_renewed_if_it_is_not_a_fixed_one(done: list[Any], tmp_path: Path) -> None:
    renew_address()
    assert done == []
    (tmp_path / "pid").write_text("4711\n")
    renew_address()
    assert done == [(4711, signal.SIGUSR1)]


@pytest.mark.parametrize(
    "offer",
    [b"", b"x", b": 1\nseed: 00\n", b": 1\ntime: 1\nseed: x\n", b": 1\ntime: x\nseed: 00\n"],
)
def test_what_is_no_help_makes_the_task_abnormal(done: list[Any], offer: bytes) -> None:
    with pytest.raises(WorkerError, match="cannot come to after a pause") as caught:
        come_to(Agent(offer))
    assert caught.value.status == "abnormal"
