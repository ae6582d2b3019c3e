# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of the type nspawn: real containers, bootstrapped and with tasks, in both stores."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.mounts import mount_image
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.tree import TREE
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn import disk
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import NSPAWN, Hardware
from helpers import guest, sources
from helpers.build_host import BuildHost, groups_of_ours, loops_over, make_task
from helpers.containers import host_with_container
from helpers.images import nspawn_image
from helpers.owner import owner
from helpers.site import Site
from helpers.visits import Visit, command, shell, stopped
from helpers.waiting import until


@pytest.fixture(scope="module")
def image() -> Path:
    return nspawn_image()


@pytest.fixture(params=["btrfs", "directory"])
def ready(request: pytest.FixtureRequest, site: Site, image: Path) -> t.Iterator[BuildHost]:
    """A host of either store with a bootstrapped container."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(host_with_container(site, image, request.param))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz"))}


def test_a_task_is_performed_and_leaves_nothing(ready: BuildHost, files: dict[str, str]) -> None:
    tree = Path(ready.machine().bootstrapped_path, "tree", "root")
    before = sorted(path.relative_to(tree) for path in tree.rglob("*"))
    for _task in range(2):
        outcome = ready.perform(files=files)
        assert outcome.result.status is Status.SUCCESS, (ready.lines, outcome)
        assert "doing update" in outcome.result.logs["update"]
        assert outcome.start is not None
        assert not outcome.start.warm
        ready.assert_clean()
    assert ready.reported("+update"), ready.lines
    assert sorted(path.relative_to(tree) for path in tree.rglob("*")) == before


def test_a_tree_is_what_it_was_in_each_store(ready: BuildHost, image: Path) -> None:
    """Owners, modes and links are those of the image, for all that a store does to files."""
    tree = Path(ready.machine().bootstrapped_path, "tree")
    assert tree.stat().st_mode & 0o777 == 0o700
    for path in (image / "tree" / "root").rglob("*"):
        ours, name = path.lstat(), path.relative_to(image / "tree" / "root")
        if str(name).startswith(("etc/", "run", "var/")):
            continue
        theirs = (tree / "root" / name).lstat()
        assert (theirs.st_uid, theirs.st_gid, theirs.st_mode) == (
            *(ours.st_uid, ours.st_gid),
            ours.st_mode,
        ), name


@pytest.mark.parametrize(
    ("script", "kind", "culprit", "total"),
    [
        (guest.GET_TASK + guest.SLEEP, "timeout", "task", 2),
        (guest.GET_TASK + "busybox poweroff -f\n", "ended early", "task", 60),
        (guest.GET_TASK + "busybox reboot -f\n", "ended early", "task", 60),
        (guest.GET_TASK + "kill -9 -1\n" + guest.SLEEP, "ended early", "task", 60),
        (
            guest.GET_TASK + guest.result("status: abnormal") + guest.SLEEP,
            *("terminated abnormally", "machine", 60),
        ),
    ],
    ids=["hangs", "powers off", "reboots", "kills", "is abnormal"],
)
def test_a_container_that_does_not_do_its_part(
    site: Site, image: Path, script: str, kind: str, culprit: str, total: float
) -> None:
    with host_with_container(site, image) as host:
        host.script("tiny", script)
        outcome = host.perform(waits=Waits(startup=30, total=total, retries=0))
        assert outcome.failure is not None
        assert (outcome.failure.kind, outcome.culprit) == (kind, culprit), host.lines


def test_one_that_never_asks_is_booted_again(site: Site, image: Path) -> None:
    with host_with_container(site, image) as host:
        host.script("tiny", "echo last words\n" + guest.SLEEP)
        outcome = host.perform(waits=Waits(startup=2, total=60, retries=0))
        assert outcome.failure is not None
        assert outcome.failure.kind == "startup timeout"
        assert "last words" in outcome.failure.message
        assert host.reported("appears to have mis-booted") == 1


@pytest.mark.parametrize(
    ("stop", "runs"),
    [
        ("phase start", False),
        ("phase first request", True),
        ("phase work", True),
        ("| +update", True),
        ("phase down", True),
        ("phase delete", False),
    ],
)
def test_a_killed_owner(ready: BuildHost, files: dict[str, str], stop: str, runs: bool) -> None:
    with owner(ready, stop, files) as process:
        assert bool(ready.containers()) is runs
        assert bool(loops_over(ready.machines)) is runs
        assert sweep(ready.engine()) == []
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not ready.containers(), "the container has died with its owner", 5)
        until(lambda: not ready.guests(), "its guest has, too", 5)
        until(lambda: not loops_over(ready.machines), "its mounts have gone", 5)
        until(lambda: not ready.helpers(), "dnsmasq has died with its owner", 5)
    assert sweep(ready.engine()) == [
        f"cleared away the dead task of process {process.pid} on machine tiny"
    ]
    assert not groups_of_ours(process.pid)
    ready.assert_clean()


def test_a_killed_owner_of_a_bootstrap(site: Site, image: Path) -> None:
    host = BuildHost(site)
    path = host.volume / "tiny" / "tiny-1.1"
    path.parent.mkdir()
    host.copy(image, path)
    host.link("tiny", 1)
    with site.namespace.entered():
        with owner(host, "phase work") as process:
            assert host.containers()
            process.kill()
            process.wait()
            until(lambda: not host.containers(), "the container has died with its owner", 5)
        sweep(host.engine())
        host.assert_clean()
        assert host.ensure().changed


def test_one_that_failed_is_held_and_can_be_looked_into(site: Site, image: Path) -> None:
    with host_with_container(site, image) as host:
        host.script("tiny", guest.GET_TASK + guest.result("status: abnormal") + guest.SLEEP)
        seen: list[str] = []

        def note(line: str) -> None:
            seen.append(line)
            if line == "info: to look into it as root: nsenter --all --target 0 /bin/sh":
                raise AssertionError("it names no process")

        engine = host.engine
        host.changes["report"] = note
        assert engine().report is note
        outcome = host.perform(hold=1)
        assert outcome.failure is not None
        assert any(line.startswith("info: to look into it as root: nsenter") for line in seen)
        assert "info: resuming after machine suspension" in seen


def test_a_task_stops_for_a_person(site: Site, image: Path, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", sources.FAILING)
    with host_with_container(site, image) as host:
        with Visit(host, archive, "error") as visit:
            stopped(host)
            command(host, "cp", "hello:bbot-build", str(tmp_path / "copy"))
            seen = shell(host, 'id -un; echo "op=$BBOT_OPERATION"; env; exit\n')
            outcome = visit.result()
        assert (tmp_path / "copy").read_text().endswith(sources.FAILING)
        assert "build" in seen.split()
        assert "op=update" in seen
        assert "BBOT_SHELL" not in seen
        assert "breakpoint: going on after" in outcome.result.logs["update"]
        # It has no screen to look at.
        assert host.reported("interactive: for ") == 1


def test_what_a_container_cannot_do_is_said(site: Site, image: Path) -> None:
    with host_with_container(site, image) as host:
        host.script("tiny", guest.GET_TASK + guest.result("status: abnormal") + guest.SLEEP)
        from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
            Suspensions,
        )

        host.perform(park=Suspensions(host.engine(), 3, 3600).park)
        assert host.reported("is not kept suspended: machine tiny-default is of type nspawn") == 1


def test_tasks_at_once_on_one_machine(ready: BuildHost, files: dict[str, str]) -> None:
    with owner(ready, "phase work", files):
        outcome = ready.perform(files=files)
        assert outcome.result.status is Status.SUCCESS
        users = {Path(f"/proc/{pid}").stat().st_uid >> 16 for pid in ready.guests()}
        assert len(users) == 1
    until(lambda: not ready.containers(), "the container has died with its owner", 5)
    sweep(ready.engine())


def test_auxiliary_containers_are_up_beside_a_task(site: Site, image: Path, tmp_path: Path) -> None:
    name = "x86_64-linux-web"
    archive = sources.pack(tmp_path / "source.tar.gz", _ASKING)
    with host_with_container(site, image) as host:
        source = host.volume / "image"
        host.copy(image, source, read_only=False)
        text = (source / "manifest").read_text().replace("name: tiny", f"name: {name}")
        (source / "manifest").write_text(text.replace("type:", "role: auxiliary\ntype:"))
        service = source / "tree" / "root" / "etc" / "bbot" / "service"
        service.write_text(_WEB)
        service.chmod(0o755)
        host.install(name, source=source)
        host.storage.delete(str(source))
        done = host.ensure(name)
        assert (done.failure, done.machine.state) == (None, "current"), host.lines
        task = make_task(**{"auxiliary-machine-a": name, "auxiliary-machine-b": name})
        outcome = host.perform(task, files={"source.tar.gz": str(archive)})
        assert outcome.result.status is Status.SUCCESS, (outcome.result.logs, host.lines)
        for address in ("172.30.254.3", "172.30.254.4"):
            assert f"served by {address}" in outcome.result.logs["test"]


_WEB = """\
#!/bin/sh
[ "$1" = start ] || exit 0
mkdir /run/web
echo "served by $BBOT_ADDRESS" > /run/web/index.html
busybox httpd -p 8080 -h /run/web
echo "URL = http://$BBOT_ADDRESS:8080/"
"""
_ASKING = """\
[ "$1" != test ] || for url in "$A_URL" "$B_URL"; do
  busybox wget -q -O - "$url" || exit 1
done
"""


def test_what_is_written_is_limited(site: Site, image: Path, tmp_path: Path) -> None:
    script = '[ "$1" != update ] || while :; do dd if=/dev/zero of=x bs=1M count=40; done\n'
    archive = sources.pack(tmp_path / "source.tar.gz", script)
    with host_with_container(site, image) as host:
        outcome = host.perform(files={"source.tar.gz": str(archive)}, writes=60 << 10)
        assert outcome.failure is not None, outcome
        assert (outcome.failure.kind, outcome.culprit) == ("write limit", "task")


def test_a_new_disk_is_left_alone_by_the_kernel(tmp_path: Path) -> None:
    """An ext4 is given its empty inodes by and by: that would count towards the limit."""
    directory = str(tmp_path)
    place = tmp_path / disk.STAGE / "disk"
    place.mkdir(parents=True)
    disk.make_disk(Hardware("tiny", directory, "", options=["disk=2048"], kind=NSPAWN))
    mount_image(str(tmp_path / TREE / disk.DISK), str(place))
    try:
        before = disk.seen(directory, os.getpid())
        assert before is not None
        # It begins within five seconds.
        time.sleep(8)
        assert disk.seen(directory, os.getpid()) == before
        assert disk.in_use(directory, os.getpid()) < 1 << 20
        with (place / "file").open("wb") as file:
            file.write(bytes(2 << 20))
        # It is in memory yet.
        assert 2 << 20 <= disk.in_use(directory, os.getpid()) < 3 << 20
    finally:
        subprocess.run(["umount", place], check=True)


def test_what_former_machines_have_written_does_not_count(
    site: Site, image: Path, tmp_path: Path
) -> None:
    """The device of a disk has had others before, and goes on counting."""
    script = '[ "$1" != update ] || dd if=/dev/zero of=x bs=1M count=40 conv=fsync\n'
    archive = sources.pack(tmp_path / "source.tar.gz", script)
    with host_with_container(site, image) as host:
        for _dummy in range(3):
            outcome = host.perform(files={"source.tar.gz": str(archive)}, writes=60 << 10)
            assert outcome.failure is None, outcome.failure
            assert outcome.result.status is Status.SUCCESS
