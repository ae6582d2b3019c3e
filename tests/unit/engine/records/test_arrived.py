# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results as guests send them: refused in bounded time and memory, whatever they are."""

from __future__ import annotations

import os
import resource
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
    return head + piece * ((RESULT_LIMIT - len(head)) // len(piece))


def operations(count: int) -> bytes:
    statuses = b"".join(b"x%d-status: success\n" % number for number in range(count))
    return HEAD + statuses + b"".join(b"x%d-log:\n" % number for number in range(count))


REFUSED = {
    "nothing": (b"", "result manifest expected"),
    "no manifest": (b"nonsense", "expected"),
    "another version": (HEAD.replace(b"1.0", b"1.1"), "it is of hello 1.1, not of hello 1.0"),
    "too large": (HEAD + b"\n" * RESULT_LIMIT, "more than 10240000 bytes"),
    "operations": (operations(101), "it has 101 operations"),
    "very many operations": (operations(600), "more than 1000 pairs"),
    "pairs": (full(b"a:\n"), "more than 1000 pairs"),
    "starts": (full(b":\n"), "more than 1 manifests"),
    "no end": (full(b"\\\n", HEAD + b"x-log: "), "."),
    "no text": (full(b"\xff"), "."),
}
TAKEN = {
    "small": HEAD,
    "lines": full(b"\n"),
    "comments": full(b"#\n"),
    "returns": full(b"\r"),
    "joined lines": full(b"x\\\n", HEAD + b"x: ") + b"\n",
    "a long log": full("ü\n".encode(), HEAD + b"x-status: success\nx-log:\n\\\n"),
    "the most operations": operations(100),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_result_is_refused(tmp_path: Path, name: str) -> None:
    data, words = REFUSED[name]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ManifestError, match=words):
        read_arrived(str(tmp_path / "x"), TASK)


@pytest.mark.parametrize("name", [*TAKEN, *REFUSED])
def test_memory_is_bounded(tmp_path: Path, name: str) -> None:
    data = TAKEN[name] if name in TAKEN else REFUSED[name][0]
    (tmp_path / "x").write_bytes(data)
    del data
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with open("/proc/self/statm") as statm:
                now = int(statm.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + (160 << 20),) * 2)
            read_arrived(str(tmp_path / "x"), TASK)
            status = 0
        except ManifestError:
            status = 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (0 if name in TAKEN else 2)
