# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers as far as they are arguments, options and refusals."""

from __future__ import annotations

import dataclasses
import itertools
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.spawn import SpawnError
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm import machines as _machines
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.limits import Limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn import disk as _disk
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn import (
    process as _process,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn.arguments import (
    dropped,
    nspawn_arguments,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn.process import Container
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn.stage import first_id
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import (
    NSPAWN,
    Hardware,
    VmError,
)

HARDWARE = Hardware("a.b_c-default", "/m/x", "02:00:00:00:00:01", kind=NSPAWN)


class Lease:
    def __init__(self, **record: t.Any) -> None:
        self.id = "17-0"
        self.record = record

    def note(self, **facts: t.Any) -> None:
        self.record |= facts


class Network:
    namespace: int | None = 0
    port = "tap0"


class Host:
    def __init__(self, runtime: str = "/run/x") -> None:
        self.lines: list[str] = []
        self.runtime = runtime

    def report(self, line: str) -> None:
        self.lines.append(line)


def container(tmp_path: Path, **changes: t.Any) -> Container:
    facts: t.Any = {"directory": str(tmp_path), **changes}
    hardware = Hardware("c-default", mac="02:00:00:00:00:01", kind=NSPAWN, **facts)
    lease: t.Any = Lease(place=3)
    host: t.Any = Host(str(tmp_path / "run"))
    return Container(host, lease, hardware, Accelerator("tcg", ""), str(tmp_path))


def test_each_place_has_ids_of_its_own() -> None:
    firsts = [first_id(place) for place in range(100)]
    assert firsts[0] == 0x60000000
    assert all(after - before == 65536 for before, after in itertools.pairwise(firsts))
    # systemd's range for containers ends there.
    assert first_id(4000) + 65536 < 0x70000000


def test_arguments() -> None:
    arguments = nspawn_arguments(HARDWARE, 0x60000000)
    assert "--directory=/m/x/tree/stage/root" in arguments
    assert "--private-users=1610612736:65536" in arguments
    assert "--hostname=a-b-c-default" in arguments
    assert "--register=no" in arguments
    assert arguments[-1] == "/usr/sbin/bbot-init"
    assert not any(each.startswith(("--bind", "--capability")) for each in arguments)
    assert "--setenv=BBOT_PROGRESS=3" in arguments
    assert not any("BBOT_INSPECT" in each or "BBOT_SHELL" in each for each in arguments)
    assert {"CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SYS_PTRACE", "CAP_SYS_RESOURCE"} <= set(dropped())
    assert not {"CAP_SETUID", "CAP_CHOWN", "CAP_SYS_BOOT"} & set(dropped())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"inspect": True}, {"BBOT_INSPECT=4"}),
        ({"shell": True}, {"BBOT_SHELL=4"}),
        ({"inspect": True, "shell": True}, {"BBOT_INSPECT=4", "BBOT_SHELL=5"}),
    ],
)
def test_a_guest_knows_its_streams(changes: dict[str, bool], names: set[str]) -> None:
    arguments = nspawn_arguments(dataclasses.replace(HARDWARE, **changes), 0x60000000)
    told = {each.removeprefix("--setenv=") for each in arguments if each.startswith("--setenv=")}
    assert told == {"BBOT_PROGRESS=3", *names}


@pytest.mark.parametrize(
    ("options", "size"),
    [(None, 8192), ([], 8192), (["disk=16"], 16), (["disk=1", "disk=20000"], None)],
)
def test_the_size_of_a_disk(options: list[str] | None, size: int | None) -> None:
    if size is None:
        with pytest.raises(VmError, match="'disk=1' is none of an nspawn machine"):
            _disk.disk_size(options)
    else:
        assert _disk.disk_size(options) == size


@pytest.mark.parametrize("there", ["nothing", "stage", "folder", "link"])
def test_what_is_in_the_place_of_a_disk_is_not_taken_for_it(tmp_path: Path, there: str) -> None:
    """A process leaves its disk between two looks: what is there then is of the host."""
    stage = tmp_path / _disk.STAGE
    if there != "nothing":
        stage.mkdir(parents=True)
    if there == "folder":
        (stage / "disk").mkdir()
    elif there == "link":
        (stage / "disk").symlink_to("/proc")
    assert _disk.in_use(str(tmp_path), os.getpid()) == 0


@pytest.mark.parametrize(
    ("start", "looks"),
    [
        (400, [(400, 0), (1000, 600), (None, 0), (1600, 1200)]),
        # The list of mounts had a gap, as it may have while mounts come and go.
        (None, [(None, 0), (400, 0), (1000, 600)]),
        (0, [(100, 100)]),
    ],
)
def test_what_a_container_has_written_counts_from_its_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: int | None,
    looks: list[tuple[int | None, int]],
) -> None:
    made = container(tmp_path)
    made._before = start
    monkeypatch.setattr(_process, "_children", lambda _pid: [os.getpid()])
    for found, written in looks:
        monkeypatch.setattr(_disk, "seen", lambda *_, found=found: found)
        assert made.written() == written


@pytest.mark.parametrize("word", ["-m", "disk=", "disk=-1", "disk=x", "disk=15", "disk=99999999"])
def test_other_options_are_qemu_s(word: str) -> None:
    words = _machines.objection("nspawn", "m", [word])
    if os.geteuid() == 0:
        assert "is none of an nspawn machine, which has but disk=MIB" in words
    assert _machines.objection("kvm", "m", [word]) == ""


def test_one_of_another_architecture_is_refused() -> None:
    words = _machines.objection("nspawn", "s390x-debian", None)
    assert words == "a container is of the host's architecture, not of s390x"


def test_who_is_not_root_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_disk.os, "geteuid", lambda: 1000)
    assert "run by root only" in _machines.objection("nspawn", "m", None)
    assert _machines.objection("kvm", "m", None) == ""


@pytest.mark.parametrize(
    ("changes", "network", "options", "words"),
    [
        ({}, {"namespace": None}, {}, "cannot be on a bridge of the host"),
        ({}, {}, {"ram": 7}, "cannot be saved or resumed"),
        ({"options": ["-m"]}, {}, {}, "cannot be run"),
    ],
)
def test_what_it_cannot_do_is_said_before_anything_is_made(
    tmp_path: Path, changes: t.Any, network: t.Any, options: t.Any, words: str
) -> None:
    where: t.Any = Network()
    vars(where).update(network)
    with pytest.raises(VmError, match=words):
        container(tmp_path, **changes).start(where, **options)
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_saved_and_has_no_screen(tmp_path: Path) -> None:
    made = container(tmp_path)
    for attempt in (
        lambda: made.save("/x"),
        lambda: made.want_password("x"),
        lambda: made.let_in(t.cast("t.Any", None)),
    ):
        with pytest.raises(VmError, match="is of type nspawn, which cannot"):
            attempt()
    assert not made.running()
    assert made.written() == 0
    made.close()


def test_what_keeps_it_from_starting_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_process, "find_program", lambda name, _package: f"/bin/{name}")
    monkeypatch.setattr(_disk, "objection", lambda _options: "")

    def spawn(*_: t.Any, **__: t.Any) -> int:
        raise SpawnError("odd")

    monkeypatch.setattr(_process, "spawn", spawn)
    monkeypatch.setattr(Limits, "make", lambda *_, **__: Limits(None, {}, ["pids", "cpu"]))
    made = container(tmp_path)
    with pytest.raises(EngineError, match="machine c-default did not start: odd"):
        made.start(t.cast("t.Any", Network()))
    made.close()
    host: t.Any = made._host
    (line,) = host.lines
    assert "nothing but its own limits bounds the pids, cpu of machine c-default" in line
