# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that runs out of memory or disk says so."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import guest
from bbot_worker import perform as perform_module

Perform = Callable[..., Any]

# As the kernel writes them to /dev/kmsg.
OOM = (
    "3,1020,812345678,-;Out of memory: Killed process 4711 (cc1plus) total-vm:812kB, "
    "anon-rss:700kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:60kB oom_score_adj:0\n"
)
CGROUP = "3,7,8,-;Memory cgroup out of memory: Killed process 5 (ld) total-vm:1kB\n"
OTHER = "6,1,2,-;eth0: link becomes ready\n"


@pytest.mark.parametrize(
    ("before", "after", "trouble"),
    [
        ("", OTHER + OOM, "out of memory: the kernel killed cc1plus; this machine has "),
        ("", CGROUP + OOM + OOM, "out of memory: the kernel killed ld, cc1plus; "),
        (OOM, OTHER, ""),
        ("", "", ""),
    ],
)
def test_memory(tmp_path: Path, before: str, after: str, trouble: str) -> None:
    log = tmp_path / "kmsg"
    log.write_text(before)
    watched = guest.Guest(str(tmp_path), str(log))
    with log.open("a") as file:
        file.write(after)
    found = watched.trouble()
    watched.close()
    assert found.startswith(trouble) if trouble else not found


def test_a_kernel_log_that_cannot_be_read(tmp_path: Path) -> None:
    for path in ("/no/such/log", str(tmp_path), "/dev/null"):
        watched = guest.Guest(str(tmp_path), path)
        assert watched.trouble() == ""
        watched.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "bbot-test", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("left", ["space", "files"])
def test_disk(small_disk: Path, left: str) -> None:
    watched = guest.Guest(str(small_disk), "/dev/null")
    assert watched.trouble() == ""
    if left == "space":
        (small_disk / "big").write_bytes(bytes(60 << 20))
        assert watched.trouble() == (
            f"out of disk: 4 of 64 MB are left at {small_disk} in this machine"
        )
    else:
        subprocess.run(["mount", "-o", "remount,nr_inodes=40", small_disk], check=True)
        assert watched.trouble().startswith("out of disk: no more files can be made at ")
    watched.close()


def test_a_full_disk_is_the_tasks_error_and_is_named(
    perform: Perform, tmp_path: Path, small_disk: Path
) -> None:
    fill = f"#!/bin/sh\n[ $1 != update ] || head -c 100000000 /dev/zero > {small_disk}/work/x\n"
    (tmp_path / "work").symlink_to(small_disk / "work")
    (small_disk / "work").mkdir()
    outcome = perform({"bbot-build": fill})
    assert outcome.statuses == {"configure": "success", "update": "error", "test": "skip"}
    lines = outcome.logs["update"].splitlines()
    assert lines[-1].startswith("error: out of disk: 0 of 64 MB are left at ")
    assert "failed with exit status" in lines[-2]


def test_a_process_that_the_kernel_killed_is_named(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "kmsg"
    log.write_text("")
    watched = guest.Guest
    monkeypatch.setattr(perform_module, "Guest", lambda work: watched(work, str(log)))
    script = f"#!/bin/sh\necho '{OOM.strip()}' >> {log}\nkill -9 $$\n"
    outcome = perform({"bbot-build": script})
    assert outcome.statuses["configure"] == "error"
    assert "\nerror: out of memory: the kernel killed cc1plus; this" in outcome.logs["configure"]
