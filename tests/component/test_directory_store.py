# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real machines that are kept in directories: on ext4, and with shared blocks on btrfs."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    template as _template,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    Machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.overlay import overlays
from helpers import guest, sources
from helpers.build_host import BuildHost
from helpers.owner import owner
from helpers.site import Site
from helpers.stores import mounted

WARM = {"warm": ["tiny"]}
REVISION, MACHINE = "tiny-1.1", "tiny-default"


@pytest.fixture(scope="module")
def ext4(site: Site) -> t.Iterator[Path]:
    """A file system whose files share no blocks."""
    with mounted(site, "ext4") as place:
        yield place


@pytest.fixture
def directories(site: Site, ext4: Path, bootstrapped: Machine) -> t.Iterator[BuildHost]:
    """A build host on ext4 with the machine tiny, yet to be bootstrapped."""
    with site.namespace.entered():
        host = BuildHost(site, "auto", ext4)
        (host.volume / "tiny").mkdir()
        assert bootstrapped.revision is not None
        host.copy(bootstrapped.revision, host.volume / "tiny" / REVISION)
        host.link("tiny", 1)
        yield host
        host.assert_clean()
        shutil.rmtree(host.machines)


@pytest.fixture
def ready(directories: BuildHost, bootstrapped: Machine) -> BuildHost:
    """The same, bootstrapped elsewhere."""
    directories.copy(bootstrapped.bootstrapped_path, directories.volume / "tiny" / MACHINE)
    assert directories.machine().state == "current", directories.machine().reasons
    return directories


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz"))}


def digests(host: BuildHost) -> dict[str, str]:
    """What is in the files that machines have under their overlays."""
    return {
        f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in host.volume.glob("tiny/*/*")
        if path.is_file() and not path.is_symlink() and path.name != "ram"
    }


def listing(host: BuildHost) -> list[str]:
    return sorted(os.listdir(host.volume / "tiny"))


def test_a_machine_is_bootstrapped_and_does_tasks_cold_and_warm(
    directories: BuildHost, files: dict[str, str]
) -> None:
    host = directories
    seen = set()

    def look(line: str) -> None:
        host.lines.append(line)
        if line == "phase work":
            # A bootstrap has a copy, a task something over what others have, too.
            for path in host.volume.glob("tiny/tiny-default-*"):
                seen.add((host.lines[0].partition(" ")[0], tuple(overlays(str(path)))))

    host.changes["report"] = look
    ensured = host.ensure(running=WARM)
    assert ensured.failure is None, host.lines
    assert (ensured.changed, ensured.unsaved, ensured.machine.state) == (True, "", "current")
    info = host.storage.info(ensured.machine.bootstrapped_path)
    assert info is not None
    assert info.read_only
    assert listing(host) == [
        *(".tiny-default.ram", ".tiny-default.warm", "tiny-1", REVISION, MACHINE),
    ]
    host.assert_clean()
    before = digests(host)
    for warm in (False, False, True, True):
        host.lines.clear()
        outcome = host.perform(files=files, **(WARM if warm else {}))
        assert outcome.result.status is Status.SUCCESS, host.lines
        assert outcome.start is not None
        assert (outcome.start.warm, outcome.start.reason) == (warm, ""), host.lines
        host.assert_clean()
    assert digests(host) == before
    assert seen == {("bootstrapping", ()), ("phase", ("disk.img",))}
    # Nothing is to be done again, and what was saved is not to be saved anew.
    assert not host.ensure(running=WARM).changed
    assert host.storage.tidy(str(host.volume / "tiny")) == []


def test_a_machine_goes_on_with_its_task_when_it_is_bootstrapped_anew(
    ready: BuildHost, files: dict[str, str], bootstrapped: Machine
) -> None:
    path = str(ready.volume / "tiny" / MACHINE)
    host = ready
    replaced = []

    def replace(line: str) -> None:
        host.lines.append(line)
        if line == "phase start":
            host.copy(bootstrapped.bootstrapped_path, Path(f"{path}-new"))
            host.storage.exchange(path, f"{path}-new")
            host.storage.delete(f"{path}-new")
            replaced.append(line)

    host.changes["report"] = replace
    assert host.perform(files=files).result.status is Status.SUCCESS, host.lines
    assert replaced


def test_killed_in_the_midst_of_a_task(ready: BuildHost, files: dict[str, str]) -> None:
    before = listing(ready)
    with owner(ready, "phase work", files) as process:
        assert len(listing(ready)) == len(before) + 1
        process.kill()
        process.wait()
    assert len(sweep(ready.engine())) == 1
    assert listing(ready) == before
    ready.assert_clean()


def test_a_failed_machine_is_suspended_and_resumed(
    ready: BuildHost, files: dict[str, str], bootstrapped: Machine
) -> None:
    host = ready
    suspensions = Suspensions(host.engine(), 3, 86400.0)
    path = host.volume / "tiny" / MACHINE
    host.storage.delete(str(path))
    host.copy(bootstrapped.bootstrapped_path, path, read_only=False)
    guest.replace_worker(path / "disk.img", "#!/bin/sh\nexit 1\n")
    host.storage.set_read_only(str(path), True)
    outcome = host.perform(files=files, waits=Waits(15, 15, 0), park=suspensions.park)
    assert outcome.failure is not None
    (suspended,) = suspensions.all()
    # What it lies over stays, whatever becomes of the machine.
    host.storage.delete(str(path))
    assert overlays(suspended.hardware.directory) == {"disk.img"}
    alive = iter([True] * 5)
    assert not suspensions.resume(suspended, lambda: next(alive, False)), host.lines
    suspensions.discard(suspensions.find(suspended.id))
    assert listing(host) == ["tiny-1", REVISION]


def test_blocks_are_shared_where_the_file_system_can(
    site: Site, bootstrapped: Machine, files: dict[str, str]
) -> None:
    with site.namespace.entered():
        host = BuildHost(site, "directory")
        (host.volume / "tiny").mkdir()
        assert bootstrapped.revision is not None
        host.copy(bootstrapped.revision, host.volume / "tiny" / REVISION)
        host.link("tiny", 1)
        host.copy(bootstrapped.bootstrapped_path, host.volume / "tiny" / MACHINE)
        seen = []

        def look(line: str) -> None:
            host.lines.append(line)
            if line == "phase work":
                seen.extend(overlays(str(path)) for path in host.volume.glob("tiny/tiny-default-*"))

        host.changes["report"] = look
        outcome = host.perform(files=files)
        assert outcome.result.status is Status.SUCCESS, host.lines
        assert seen == [set()]
        host.assert_clean()
        assert host.machine() == dataclasses.replace(host.machine(), state="current")
        assert _template.look(host.machine()) is None
