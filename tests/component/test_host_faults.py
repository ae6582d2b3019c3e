# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that break under an agent: one task is lost to it at most, and it goes on when mended.

That one is given back to a controller that knows interrupted tasks, and another one is told
nothing. Nobody touches the agent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.agents import RunningAgent, entries
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.site import BRIDGE, Site
from helpers.waiting import until

WORKER = (
    guest.GET_TASK
    + "name=$(sed -n 's/^name: //p' /run/task)\n"
    + 'printf ": 1\\nname: $name\\nversion: 1.0\\nstatus: success\\n" > /run/result\n'
    + guest.put("/run/result")
    + guest.SLEEP
)
QEMU = "/usr/bin/qemu-system-x86_64"

# A QEMU that emulates what it is told to do with KVM, as long as there is the file `kvm`.
EMULATING = f"""#!/bin/sh
[ -e "${{0%/*}}/kvm" ] || {{ echo 'qemu: failed to initialize kvm: No such device' >&2; exit 1; }}
last=
for word in "$@"; do
    shift
    case $last/$word in
        -accel/kvm) word=tcg,thread=multi ;;
        -cpu/host) word=max ;;
    esac
    set -- "$@" "$word"
    last=$word
done
exec {QEMU} "$@"
"""


@dataclasses.dataclass
class Broken:
    """A host, what its agent is told, how the host is broken, and how it is mended.

    `says` is what people read of it. `loses` is whether a task is lost to it, and not none.
    """

    host: BuildHost
    options: dict[str, t.Any]
    environment: dict[str, str]
    breaks: t.Callable[[], object]
    mends: t.Callable[[], object]
    says: str
    loses: bool


def _without_a_bridge(host: BuildHost) -> Broken:
    def rename(old: str, new: str) -> None:
        # Not every kernel renames an interface that is up.
        for words in ([old, "down"], [old, "name", new], [new, "up"]):
            subprocess.run(["ip", "link", "set", *words], check=True)

    return Broken(
        host,
        {"bridge": BRIDGE},
        {},
        lambda: rename(BRIDGE, "brgone"),
        lambda: rename("brgone", BRIDGE),
        f"no bridge {BRIDGE} on this host",
        loses=True,
    )


def _without_qemu(host: BuildHost) -> Broken:
    programs = host.root / "bin"
    programs.mkdir()
    link = programs / "qemu-system-x86_64"
    link.symlink_to(QEMU)
    return Broken(
        host,
        {},
        {"PATH": str(programs)},
        link.unlink,
        lambda: link.symlink_to(QEMU),
        "no program 'qemu-system-x86_64' on this host",
        loses=True,
    )


def _without_kvm(host: BuildHost) -> Broken:
    programs = host.root / "bin"
    programs.mkdir()
    program, marker = programs / "qemu-system-x86_64", programs / "kvm"
    program.write_text(EMULATING)
    program.chmod(0o755)
    marker.touch()
    return Broken(
        host,
        {"accelerator": "kvm"},
        {"PATH": str(programs)},
        marker.unlink,
        marker.touch,
        "failed to initialize kvm",
        loses=True,
    )


def _without_a_toolchain(host: BuildHost) -> Broken:
    place = host.tftp / "toolchains" / "default"
    return Broken(
        host,
        {},
        {},
        lambda: place.rename(host.root / "toolchain"),
        lambda: (host.root / "toolchain").rename(place),
        "no toolchain default",
        loses=False,
    )


def _fill(place: Path) -> None:
    with (
        pytest.raises(OSError, match="No space"),
        (place / "filler").open("wb", buffering=0) as file,
    ):
        while True:
            file.write(b"x" * 4096)


def _filled(host: BuildHost, place: Path, says: str, *, loses: bool) -> Broken:
    return Broken(host, {}, {}, lambda: _fill(place), (place / "filler").unlink, says, loses=loses)


def _with_a_full_disk(host: BuildHost) -> Broken:
    return _unreserved(_filled(host, host.machines, "no space left on device", loses=True))


def _with_a_reserve(host: BuildHost) -> Broken:
    return _filled(host, host.machines, "nobody is asked for tasks .* are kept", loses=False)


def _with_a_full_journal(host: BuildHost) -> Broken:
    says = "No space left on device|disk is full"
    return _unreserved(_filled(host, host.state, says, loses=False))


def _unreserved(broken: Broken) -> Broken:
    """The same on a host that keeps no room, and so finds out when it writes."""
    return dataclasses.replace(broken, options={**broken.options, "disk_reserve": 0})


@contextlib.contextmanager
def _tmpfs(place: Path, size: str) -> t.Iterator[None]:
    place.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


FAULTS: dict[str, t.Callable[[BuildHost], Broken]] = {
    "bridge": _without_a_bridge,
    "qemu": _without_qemu,
    "kvm": _without_kvm,
    "disk": _with_a_full_disk,
    "reserve": _with_a_reserve,
    "journal": _with_a_full_journal,
    "toolchain": _without_a_toolchain,
}


@contextlib.contextmanager
def _host(site: Site, name: str) -> t.Iterator[BuildHost]:
    """A host on which that can be broken without harm to others."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(site.namespace.entered())
        if name in ("disk", "reserve"):
            place = site.root / "small"
            stack.callback(place.rmdir)
            stack.enter_context(_tmpfs(place, "256m"))
            made = BuildHost(site, "directory", place)
        else:
            made = BuildHost(site)
        if name == "journal":
            stack.enter_context(_tmpfs(made.state, "1m"))
        yield made
        # Of a job that ended with its agent.
        made.engine().drop_dead_locks()
        left = [line for line in made.leftovers() if not line.startswith("tmpfs ")]
        assert left == []


@pytest.fixture
def broken(site: Site, bootstrapped: Machine, request: pytest.FixtureRequest) -> t.Iterator[Broken]:
    name: str = request.param
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(_host(site, name))
        if name in ("disk", "reserve"):
            # It shares nothing with the file system that it is on.
            host.install_copy(bootstrapped)
            host.script("tiny", WORKER)
        else:
            host.install_scripted(bootstrapped, WORKER)
        yield FAULTS[name](host)


@contextlib.contextmanager
def _agent(broken: Broken, controller: Controller, **changes: t.Any) -> t.Iterator[RunningAgent]:
    options = {**broken.options, **changes}
    with RunningAgent(broken.host, controller, environment=broken.environment, **options) as agent:
        until(lambda: bool(controller.requests), "it asks for tasks", 30)
        yield agent


def _lose_and_go_on(broken: Broken, version: str, seconds: float, **changes: t.Any) -> Controller:
    """Break the host for so long, and see one task of its tasks lost at most."""
    with Controller(version=version) as controller, _agent(broken, controller, **changes) as agent:
        broken.breaks()
        if not broken.loses:
            # A request that is under way when the host breaks may bring a task.
            time.sleep(1)
        controller.tasks += [make_task(name=f"hello-{number}") for number in range(5)]
        end = time.monotonic() + seconds
        agent.says(f"(?i){broken.says}", timeout=seconds)
        until(lambda: len(controller.given) > 1 or time.monotonic() > end, "a minute", seconds + 5)
        lost = len(controller.given)
        assert lost <= (1 if broken.loses else 0), agent.lines
        assert controller.arrivals == []
        if lost:
            until(lambda: entries(broken.host)[0].status is not None, "it was given back")
            assert entries(broken.host)[0].status == "interrupt"
        known = bool(lost) and version == "today"
        assert [task.name for task in controller.interrupted] == ["hello-0"] * known
        broken.mends()
        until(lambda: len(controller.given) > lost, "it goes on within a minute", 60)
        until(lambda: bool(controller.arrivals), "and performs tasks", 120)
        assert {arrival.result.status for arrival in controller.arrivals} == {Status.SUCCESS}
        # Nothing was refused: what a controller does not know it is not told.
        assert controller.refused == []
    return controller


@pytest.mark.parametrize(
    "broken",
    [
        # Each takes a minute or two, of which this one shows most.
        pytest.param(name, marks=() if name == "qemu" else pytest.mark.long)
        for name in FAULTS
    ],
    indirect=True,
)
def test_a_host_that_breaks(broken: Broken) -> None:
    _lose_and_go_on(broken, "today", 60)


@pytest.mark.long
@pytest.mark.parametrize("broken", ["qemu", "disk"], indirect=True)
def test_one_that_does_not_know_interrupted_tasks_is_told_nothing(broken: Broken) -> None:
    controller = _lose_and_go_on(broken, "0.14", 20)
    assert len(controller.outstanding()) >= 1
    # The first one is given to somebody else after a while.
    assert "hello-0" not in {arrival.result.name for arrival in controller.arrivals}


@pytest.mark.long
@pytest.mark.parametrize("broken", ["qemu"], indirect=True)
def test_an_agent_that_performs_many_at_once_loses_one(broken: Broken) -> None:
    _lose_and_go_on(broken, "today", 20, instance_max=4)


@pytest.mark.long
@pytest.mark.parametrize("broken", ["bridge"], indirect=True)
def test_a_bridge_that_is_taken_away_under_a_guest(broken: Broken) -> None:
    with Controller() as controller, _agent(broken, controller) as agent:
        controller.tasks += [make_task()]
        agent.says("phase first request")
        broken.breaks()
        agent.says(f"bridge {BRIDGE} was taken away while a guest was on it", timeout=20)
        until(lambda: bool(controller.interrupted), "the task was given back", 20)
        assert controller.arrivals == []
        broken.mends()
        until(lambda: bool(controller.arrivals), "it is performed after all", 150)
        assert controller.arrivals[0].result.status is Status.SUCCESS


def test_what_is_left_of_rehearsals(site: Site, bootstrapped: Machine) -> None:
    """A killed agent's rehearsal is cleared away as anything else."""
    with _host(site, "qemu") as host:
        host.install_scripted(bootstrapped, WORKER)
        broken = _without_qemu(host)
        with Controller() as controller, _agent(broken, controller) as agent:
            broken.breaks()
            controller.tasks += [make_task()]
            agent.says("this host performs no tasks until that is mended")
            agent.kill()
        broken.mends()
        with (
            Controller() as controller,
            RunningAgent(host, controller, environment=broken.environment) as agent,
        ):
            agent.says("cleared away the dead agent")
            until(lambda: not host.leftovers_of_others(), "nothing is left", 30)
