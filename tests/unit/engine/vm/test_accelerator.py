# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which accelerator is chosen, and why; the canary itself is a component test."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux import process as _command
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.process import (
    CommandError,
    check,
    find_program,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm import (
    accelerator as _accelerator,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import (
    Accelerator,
    choose,
    qemu_program,
)


class Programs:
    """Runs nothing and answers with ``output``."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.commands: list[t.Sequence[str]] = []

    def __call__(self, args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        self.commands.append(args)
        return 0, self.output, ""


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a program of QEMU's name and a CPU that has it all."""
    program = tmp_path / "qemu-system-x86_64"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(_command, "SEARCH_PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(_accelerator, "_obstacle", lambda: "")
    return program


def host(tmp_path: Path, programs: Programs) -> Host:
    return Host(run=programs, storage=Btrfs(), state=str(tmp_path / "state"))


def test_what_is_asked_for_is_taken(qemu: Path, tmp_path: Path) -> None:
    programs = Programs("")
    for name in ("kvm", "tcg"):
        chosen = choose(host(tmp_path, programs), name)
        assert chosen == Accelerator(name, "as asked for")
        assert chosen.hardware is (name == "kvm")
    assert programs.commands == []


def test_an_obstacle_spares_the_canary(
    qemu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs("bbot canary")
    monkeypatch.setattr(_accelerator, "_obstacle", lambda: "there is none")
    assert choose(host(tmp_path, programs)) == Accelerator("tcg", "there is none")
    assert programs.commands == []


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("bbot canary\n", Accelerator("kvm", "a canary guest ran under it")),
        ("", Accelerator("tcg", "a canary guest did not come through KVM in 3 s")),
    ],
)
def test_the_canary_decides_once(
    qemu: Path, tmp_path: Path, output: str, expected: Accelerator
) -> None:
    programs = Programs(output)
    for _dummy in range(2):
        assert choose(host(tmp_path, programs)) == expected
    assert len(programs.commands) == 1
    assert programs.commands[0][3] == str(qemu)
    assert "kvm" in programs.commands[0]
    # Another QEMU is another question.
    qemu.write_text("#!/bin/sh\nexit\n")
    assert choose(host(tmp_path, programs)) == expected
    assert len(programs.commands) == 2


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '"x"', json.dumps({"key": "another"})])
def test_a_finding_that_cannot_be_read_is_found_again(
    qemu: Path, tmp_path: Path, text: str
) -> None:
    programs = Programs("bbot canary")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "canary.json").write_text(text)
    assert choose(host(tmp_path, programs)).name == "kvm"
    assert len(programs.commands) == 1


def test_a_finding_that_cannot_be_kept_is_no_error(qemu: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    there = dataclasses.replace(host(tmp_path, Programs("bbot canary")), state=f"{tmp_path}/file/x")
    assert choose(there).name == "kvm"


def test_no_qemu_is_told_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_command, "SEARCH_PATH", str(tmp_path))
    words = "no program 'qemu-system-x86_64' on this host; install the package qemu-system-x86"
    with pytest.raises(CommandError, match=words):
        qemu_program()
    with pytest.raises(CommandError, match=words):
        choose(host(tmp_path, Programs("")), "tcg")


def test_a_program_is_found_where_administrators_have_theirs() -> None:
    assert find_program("sh", "dash").startswith("/")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((3, "", "no such\n  thing\n"), "/bin/x y failed with exit status 3: no such thing"),
        ((1, "said so\n", ""), "/bin/x y failed with exit status 1: said so"),
        ((1, "", ""), "/bin/x y failed with exit status 1: no message"),
    ],
)
def test_a_failed_command_is_told_in_one_line(answer: tuple[int, str, str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        check(lambda args, data=None: answer, ["/bin/x", "y"])
    assert str(caught.value) == words


def test_the_output_of_a_command() -> None:
    assert check(lambda args, data=None: (0, f"{args} {data}", "x"), ["a"], data="b") == "['a'] b"


def test_a_failure_is_remembered_for_an_hour(
    qemu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, lines = Programs(""), []
    there = dataclasses.replace(host(tmp_path, programs), report=lines.append)
    real = time.time
    for later, count in ((0, 1), (3000, 1), (3700, 2), (3800, 2), (-5 * 3600, 3), (-5 * 3600, 3)):
        monkeypatch.setattr(time, "time", lambda later=later: real() + later)
        chosen = choose(there)
        assert (chosen.name, chosen.makeshift) == ("tcg", True)
        assert len(programs.commands) == count
        assert len(lines) == count
    assert lines[0].startswith("warning: a canary guest did not come through KVM in 3 s")
    monkeypatch.setattr(time, "time", real)
    programs.output = "bbot canary"
    chosen = choose(there)
    assert (chosen.name, chosen.makeshift) == ("kvm", False)


def test_a_failure_of_a_former_version_is_not_believed(qemu: Path, tmp_path: Path) -> None:
    programs = Programs("")
    there = host(tmp_path, programs)
    choose(there)
    path = tmp_path / "state" / "canary.json"
    finding = json.loads(path.read_text())
    path.write_text(json.dumps({"key": finding["key"], "passed": False}))
    choose(there)
    assert len(programs.commands) == 2
    path.write_text(json.dumps({"key": finding["key"], "passed": True}))
    assert choose(there).name == "kvm"
    assert len(programs.commands) == 2
