# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Warm tasks in a row: each one right, none like another, and the host as it was."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.build_host import RAM, BuildHost, make_task
from helpers.images import debian_image
from helpers.site import Site

# In bytes: what our own caches, other processes, and the file system's records may come to.
_OWN_NOISE = 32 << 20
_MEMORY_NOISE = 256 << 20
_DISK_NOISE = 48 << 20
# So many tasks leave a mark that other processes cannot make.
_MANY = 20


def own_memory() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def used_memory() -> int:
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {name: int(facts[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return (kilobytes["MemTotal"] - kilobytes["MemAvailable"]) << 10


def used_disk(volume: Path) -> int:
    """What is in use, after the file system has freed what was deleted."""
    subprocess.run(["btrfs", "filesystem", "sync", str(volume)], check=True)
    subprocess.run(["btrfs", "subvolume", "sync", str(volume)], check=True)
    stat = os.statvfs(volume)
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize


def endure(host: BuildHost, machine: str, count: int, archive: Path, ram: int = RAM) -> None:
    """Perform ``count`` warm tasks and look closely at each."""
    task = make_task(machine=machine)
    files = {"source.tar.gz": str(archive)}
    seen: set[str] = set()
    levels: list[tuple[int, ...]] = []
    for number in range(count + 1):
        began = time.time()
        outcome = host.perform(task, files=files, warm=[machine], ram=ram)
        assert outcome.result.status is Status.SUCCESS, outcome.result.logs
        assert outcome.start is not None
        assert outcome.start.warm, outcome.start.reason
        operations = [each.operation for each in outcome.result.operations]
        assert operations == ["configure", "update", "test"]
        then, random = sources.probed(outcome.result.logs["update"])
        assert began - 2 <= then <= time.time() + 2
        seen.add(random)
        assert len(seen) == number + 1
        host.assert_clean()
        # The first one fills caches.
        if number in (0, count):
            descriptors = len(os.listdir("/proc/self/fd"))
            disk = used_disk(host.site.btrfs)
            levels.append((descriptors, own_memory(), used_memory(), disk))
    growth = [after - before for before, after in zip(*levels, strict=True)]
    assert growth[0] == 0
    assert growth[1] < _OWN_NOISE
    assert growth[2] < _MEMORY_NOISE or count < _MANY
    assert growth[3] < _DISK_NOISE
    assert not [line for line in host.lines if line.startswith(("warning", "error"))]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return sources.pack(tmp_path / "source.tar.gz", sources.PROBE)


@pytest.mark.parametrize("count", [5, pytest.param(200, marks=pytest.mark.long)])
def test_the_tiny_machine(
    host: BuildHost, bootstrapped: Machine, archive: Path, count: int
) -> None:
    host.install_bootstrapped(bootstrapped)
    assert host.ensure(running={"warm": ["tiny"]}).changed
    endure(host, "tiny", count, archive)


@pytest.fixture(scope="session")
def debian() -> Path:
    """The image, built before a host's network is entered, where nothing can be downloaded."""
    return debian_image()


@pytest.mark.long
def test_the_debian_machine(debian: Path, site: Site, host: BuildHost, archive: Path) -> None:
    source = site.btrfs / "debian"
    host.copy(debian, source, read_only=False)
    host.install("debian", source=source)
    ram = 786432
    ensured = host.ensure("debian", running={"warm": ["debian"], "ram": ram})
    assert ensured.failure is None, host.lines
    assert ensured.unsaved == ""
    endure(host, "debian", 20, archive, ram)
