# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine's state in a file: a QEMU that fails, lies, dies or never answers leaves no file."""

from __future__ import annotations

import os
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu import migration
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import (
    SavedState,
    load,
    save,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.qmp import Qmp, QmpError


class Monitor:
    """A QMP session that answers `query-migrate` and `query-status` one by one.

    `broken` is the command at which `error` is raised.
    """

    def __init__(self, *answers: t.Any, broken: str = "", error: BaseException | None = None):
        self.commands: list[str] = []
        self.given: dict[str, t.Any] = {}
        self.written = b"state"
        self._answers = list(answers)
        self._broken = broken
        self._error = error or QmpError(f"QEMU refused {broken}: no")

    def execute(self, command: str, **arguments: t.Any) -> t.Any:
        self.commands.append(command)
        self.given[command] = arguments
        if command == self._broken:
            raise self._error
        if not command.startswith("query-"):
            return {}
        # The last one for ever.
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def hand_over(self, name: str, fd: int) -> None:
        self.commands.append("hand_over")
        if self._broken == "hand_over":
            raise self._error
        if self.written and os.get_inheritable(fd) is False and name == "state":
            try:
                os.write(fd, self.written)
            except OSError:
                self.given["read"] = os.pread(fd, 100, 0)


def monitor(*answers: t.Any, **more: t.Any) -> tuple[Monitor, Qmp]:
    made = Monitor(*answers, **more)
    return made, t.cast("Qmp", made)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was slept, by a clock that goes on by a minute each time."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    fake = types.SimpleNamespace(monotonic=lambda: 60.0 * len(slept), sleep=sleep)
    monkeypatch.setattr(migration, "time", fake)
    return slept


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("apart", [True, False])
def test_a_state_is_there_when_qemu_says_so(tmp_path: Path, apart: bool) -> None:
    path = tmp_path / "state"
    made, qmp = monitor({"status": "setup"}, {"status": "active"}, {"status": "completed"})
    save(qmp, str(path), ram_apart=apart)
    assert path.read_bytes() == b"state"
    assert path.stat().st_mode & 0o777 == 0o600
    (capability,) = made.given["migrate-set-capabilities"]["capabilities"]
    assert capability == {"capability": "x-ignore-shared", "state": apart}
    # What is written to is told before it is written.
    assert made.commands.index("hand_over") < made.commands.index("migrate")


COMMANDS = ["migrate-set-capabilities", "migrate-set-parameters", "hand_over", "migrate"]
ERRORS = [
    QmpError("QEMU closed its monitor: it has ended"),
    OSError(28, "No space left on device"),
    MemoryError(),
    KeyboardInterrupt(),
    RuntimeError("odd"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("command", [*COMMANDS, "query-migrate"])
def test_whatever_goes_wrong_leaves_no_file(
    tmp_path: Path, command: str, error: BaseException
) -> None:
    _made, qmp = monitor({"status": "completed"}, broken=command, error=error)
    before = descriptors()
    with pytest.raises(type(error)):
        save(qmp, str(tmp_path / "state"), ram_apart=False)
    assert list(tmp_path.iterdir()) == []
    assert descriptors() == before


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([{"status": "active"}, {"status": "failed", "error-desc": "disk full"}], "disk full"),
        ([{"status": "cancelled"}], "it is cancelled after"),
        ([{"status": "failed"}], "it is failed after"),
        ([{"status": "active"}], "it is active after 600 s"),
        ([{}], "it is None after 600 s"),
        ([{"status": 7}], "it is 7 after 600 s"),
    ],
)
def test_a_save_that_does_not_come_to_an_end(
    tmp_path: Path, answers: list[t.Any], words: str
) -> None:
    _made, qmp = monitor(*answers)
    with pytest.raises(QmpError, match=f"QEMU did not save the machine: {words}"):
        save(qmp, str(tmp_path / "state"), ram_apart=False)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("another one's")
    made, qmp = monitor({"status": "completed"})
    with pytest.raises(FileExistsError):
        save(qmp, str(path), ram_apart=False)
    assert path.read_text() == "another one's"
    assert made.commands == []


def state(path: Path, **more: t.Any) -> SavedState:
    path.write_text("saved")
    return SavedState(str(path), "k", "q", **more)


def test_a_state_is_read_before_the_machine_is_said_to_be_loaded(tmp_path: Path) -> None:
    made, qmp = monitor({"status": "inmigrate"}, {"status": "paused"})
    before = descriptors()
    load(qmp, state(tmp_path / "state", ram_apart=True))
    assert descriptors() == before
    assert made.given["read"] == b"saved"
    assert made.given["migrate-set-capabilities"]["capabilities"][0]["state"] is True
    # The guest is not to tell the world where it has moved to.
    assert made.given["migrate-set-parameters"] == {"announce-rounds": 0}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("inmigrate", "did not load the machine's state within 600 s"),
        ("running", "is running, not paused"),
        ("internal-error", "is internal-error, not paused"),
        (None, "is None, not paused"),
    ],
)
def test_a_load_that_does_not_end_in_a_machine_that_waits(
    tmp_path: Path, status: str | None, words: str
) -> None:
    _made, qmp = monitor({"status": status})
    with pytest.raises(QmpError, match=words):
        load(qmp, state(tmp_path / "state"))


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("command", ["hand_over", "migrate-incoming", "query-status"])
def test_a_load_that_fails_keeps_nothing_open(
    tmp_path: Path, command: str, error: BaseException
) -> None:
    _made, qmp = monitor({"status": "paused"}, broken=command, error=error)
    before = descriptors()
    with pytest.raises(type(error)):
        load(qmp, state(tmp_path / "state"))
    assert descriptors() == before


def test_a_state_that_is_gone(tmp_path: Path) -> None:
    made, qmp = monitor({"status": "paused"})
    with pytest.raises(FileNotFoundError):
        load(qmp, SavedState(str(tmp_path / "state"), "k", "q"))
    assert "migrate-incoming" not in made.commands
