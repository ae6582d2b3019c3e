# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker does when its machine turns out to have been resumed."""

from __future__ import annotations

import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


class Agent:
    """Stands for the worker's Tftp: offers what it is given, or refuses."""

    def __init__(self, worker: ModuleType, offer: bytes | None) -> None:
        self._worker = worker
        self._offer = offer
        self.asked: list[str] = []

    def get(self, name: str, file: Any, _patience: float) -> None:
        self.asked.append(name)
        if self._offer is None:
            raise self._worker.TftpError("no such file", 1)
        file.write(self._offer)


@pytest.fixture
def done(worker: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What was done to the machine."""
    found: list[Any] = []
    monkeypatch.setattr(worker.time, "clock_settime", lambda *facts: found.append(facts))
    monkeypatch.setattr(worker, "mix_in", found.append)
    monkeypatch.setattr(worker.os, "kill", lambda *facts: found.append(facts))
    monkeypatch.setattr(worker, "DHCP_PID", str(tmp_path / "pid"))
    return found


def test_a_booted_machine_is_left_alone(worker: ModuleType, done: list[Any]) -> None:
    agent = Agent(worker, None)
    assert not worker.come_to(agent)
    assert agent.asked == ["resumed"]
    assert done == []


def test_clock_and_randomness_are_put_right(worker: ModuleType, done: list[Any]) -> None:
    offer = b": 1\ntime: 1764000000.250000\nseed: 00ff10\nnews: x\n"
    assert worker.come_to(Agent(worker, offer))
    assert done == [(worker.time.CLOCK_REALTIME, 1764000000.25), b"\0\xff\x10"]


def test_the_address_is_renewed_if_it_is_not_a_fixed_one(
    worker: ModuleType, done: list[Any], tmp_path: Path
) -> None:
    worker.renew_address()
    assert done == []
    (tmp_path / "pid").write_text("4711\n")
    worker.renew_address()
    assert done == [(4711, signal.SIGUSR1)]


@pytest.mark.parametrize(
    "offer",
    [b"", b"x", b": 1\nseed: 00\n", b": 1\ntime: 1\nseed: x\n", b": 1\ntime: x\nseed: 00\n"],
)
def test_what_is_no_help_makes_the_task_abnormal(
    worker: ModuleType, done: list[Any], offer: bytes
) -> None:
    with pytest.raises(worker.WorkerError, match="cannot come to after a pause") as caught:
        worker.come_to(Agent(worker, offer))
    assert caught.value.status == "abnormal"
