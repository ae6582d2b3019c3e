# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results as guests send them: refused in bounded time and memory, whatever they are."""

from __future__ import annotations

import dataclasses
import os
import resource
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.arrived import (
    RESULT_LIMIT,
    read_arrived,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status

HEAD = b": 1\nname: hello\nversion: 1.0\nstatus: success\n"
TASK = Task.from_mapping(
    {
        "name": "hello",
        "version": "1.0",
        "repository-type": "dir",
        "repository-url": "/x",
        "machine": "m",
        "target": "x86_64-linux-gnu",
    },
    "task",
)


def full(piece: bytes, head: bytes = HEAD) -> bytes:
    """As much of `piece` after `head` as the limit allows."""
    return head + piece * ((RESULT_LIMIT - len(head) - 1) // len(piece))


def pack(data: bytes) -> bytes:
    """The data as a worker of bbot 0.14 sends it."""
    return subprocess.run(["lz4", "-q", "-c"], input=data, check=True, capture_output=True).stdout


def put(folder: Path, data: bytes, packed: bool) -> None:
    name = "result.manifest.lz4" if packed else "manifest"
    (folder / name).write_bytes(pack(data) if packed else data)


def operations(count: int) -> bytes:
    statuses = b"".join(b"x%d-status: success\n" % number for number in range(count))
    return HEAD + statuses + b"".join(b"x%d-log:\n" % number for number in range(count))


REFUSED = {
    "nothing": (b"", "result manifest expected"),
    "no manifest": (b"nonsense", "expected"),
    "another version": (HEAD.replace(b"1.0", b"1.1"), "it is of hello 1.1, not of hello 1.0"),
    "too large": (HEAD + b"\n" * RESULT_LIMIT, "more than 15728640 bytes"),
    "operations": (operations(101), "it has 101 operations"),
    "very many operations": (operations(600), "more than 1000 pairs"),
    "pairs": (full(b"a:\n"), "more than 1000 pairs"),
    "starts": (full(b":\n"), "more than 1 manifests"),
    "no end": (full(b"\\\n", HEAD + b"x-log: "), "."),
    "no text": (full(b"\xff"), "':' expected after name"),
}
TAKEN = {
    "small": HEAD,
    "lines": full(b"\n"),
    "comments": full(b"#\n"),
    "returns": full(b"\r"),
    "joined lines": full(b"x\\\n", HEAD + b"x: ") + b"\n",
    "a long log": full("ü\n".encode(), HEAD + b"x-status: success\nx-log:\n\\\n"),
    "controls": full(b"\x00", HEAD + b"x-status: success\nx-log:"),
    "the most operations": operations(100),
}


@pytest.mark.parametrize(
    ("name", "packed"),
    [*((name, False) for name in REFUSED), ("nothing", True), ("too large", True)],
)
def test_what_is_no_result_is_refused(tmp_path: Path, name: str, packed: bool) -> None:
    data, words = REFUSED[name]
    put(tmp_path, data, packed)
    with pytest.raises(ManifestError, match=words):
        read_arrived(str(tmp_path), TASK)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("hello 1.2.3+0", "hello 1.2.3"),
        ("hello 1.2.3", "hello 1.2.3+0"),
        ("hello +1-1.2.3", "hello 1.2.3"),
        ("hello +01-1.2.3+00", "hello 1.2.3"),
        ("hello 1.2.3+2", "hello 1.2.3+02"),
        ("hello +2-1", "hello +2-1+0"),
        ("hello 1~1.2+0", "hello 1~1.2"),
        ("libHello 1.2.3", "libhello 1.2.3"),
        ("libhello 1.2.3", "LIBHELLO 1.2.3"),
        # A worker that could not read its task.
        ("hello 1.2.3", "unknown 0"),
    ],
)
def test_another_spelling_is_taken_and_handed_on_as_in_the_task(
    tmp_path: Path, task: str, said: str
) -> None:
    name, version = task.split()
    wanted = dataclasses.replace(TASK, name=name, version=version)
    head = ": 1\nname: {}\nversion: {}\nstatus: abnormal\n".format(*said.split())
    put(tmp_path, head.encode(), False)
    result = read_arrived(str(tmp_path), wanted)
    assert (result.name, result.version) == (name, version)
    assert f"name: {name}\nversion: {version}\n" in result.to_text()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("hello 1.2.3", "hello 1.2.3+1"),
        ("hello 1.2.3+1", "hello 1.2.3"),
        ("hello 1.2.3", "hello +2-1.2.3"),
        ("hello +0-1", "hello 1"),
        ("hello 1.2.3", "hello 1.2.3-a"),
        ("hello 1.2", "hello 1~1.2"),
        ("hello 1.2.0", "hello 1.2"),
        ("hello 1", "hallo 1"),
    ],
)
def test_another_package_is_refused(tmp_path: Path, task: str, said: str) -> None:
    name, version = task.split()
    wanted = dataclasses.replace(TASK, name=name, version=version)
    head = ": 1\nname: {}\nversion: {}\nstatus: success\n".format(*said.split())
    put(tmp_path, head.encode(), False)
    with pytest.raises(ManifestError, match="it is of "):
        read_arrived(str(tmp_path), wanted)


def test_any_of_the_names_will_do(tmp_path: Path) -> None:
    for name in ("manifest", "result.manifest", "result.manifest.lz4"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(pack(HEAD) if name.endswith("lz4") else HEAD)
        assert read_arrived(str(folder), TASK).status is Status.SUCCESS


def test_what_is_not_packed_as_its_name_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.manifest.lz4").write_bytes(HEAD)
    with pytest.raises(ManifestError, match="no LZ4 frame: it does not begin as an LZ4 frame does"):
        read_arrived(str(tmp_path), TASK)


def test_control_characters_cost_nothing_but_themselves(tmp_path: Path) -> None:
    log = b"update-status: success\nupdate-log: \x1b[31mred\x1b[0m \x07bell \xff \xc2\x9b1mx\n"
    (tmp_path / "manifest").write_bytes(HEAD + log)
    assert read_arrived(str(tmp_path), TASK).logs == {"update": "red \u2407bell \ufffd x"}


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        *((name, False) for name in [*TAKEN, *REFUSED]),
        *((name, True) for name in ("a long log", "too large")),
    ],
)
def test_memory_is_bounded(tmp_path: Path, name: str, packed: bool) -> None:
    data = TAKEN[name] if name in TAKEN else REFUSED[name][0]
    put(tmp_path, data, packed)
    del data
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with open("/proc/self/statm") as statm:
                now = int(statm.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + (250 << 20),) * 2)
            read_arrived(str(tmp_path), TASK)
            status = 0
        except ManifestError:
            status = 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (0 if name in TAKEN else 2)
