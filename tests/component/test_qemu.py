# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real QEMU: what it is given, what may be done to it, and what it may do."""

from __future__ import annotations

import select
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError
from helpers.build_host import USER, BuildHost
from helpers.vms import MAC, a_vm, options, read_console, status
from helpers.waiting import PATIENCE, until


@pytest.fixture
def snapshot(host: BuildHost, bootstrapped: Machine) -> t.Iterator[Path]:
    """A writable copy of the bootstrapped machine."""
    path = host.volume / "copy"
    host.storage.snapshot(bootstrapped.bootstrapped_path, str(path))
    yield path
    host.storage.delete(str(path))


def test_a_life(host: BuildHost, snapshot: Path, bootstrapped: Machine) -> None:
    with a_vm(host, snapshot, options=options(bootstrapped)) as (vm, network):
        with pytest.raises(VmError, match="machine tiny-default has not been started"):
            vm.suspend()
        assert not vm.running()
        vm.start(network)
        assert vm.running()
        assert host.qemus() == [vm.pid]
        process = Path(f"/proc/{vm.pid}")

        arguments = (process / "cmdline").read_text().split("\0")
        assert f"virtio-net-pci,netdev=net0,mac={MAC}" in arguments
        (network,) = [each for each in arguments if each.startswith("tap,")]
        fd = network.removeprefix("tap,id=net0,fd=")
        assert (process / "fd" / fd).readlink() == Path("/dev/net/tun")
        # Nothing but its own: no descriptor of ours has slipped through.
        names = [each.readlink().name for each in (process / "fd").iterdir()]
        assert not [name for name in names if name.endswith((".lease", ".lock"))]

        facts = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert facts["Uid"].split() == facts["Gid"].split() == ["65534"] * 4
        assert facts["CapEff"] == "0" * 16
        assert facts["Seccomp"] == "2"

        assert stat.S_ISSOCK(Path(vm.vnc).stat().st_mode)
        assert Path(vm.vnc).parent.stat().st_mode & 0o077 == 0
        assert len(vm.vnc) < 108
        assert vm.info() == [
            f"qemu pid: {vm.pid}",
            f"vnc socket: {vm.vnc}",
            f"qemu log: {host.logs}/qemu.log",
        ]

        read_console(vm, b"starting the worker")
        assert status(vm) == "running"
        vm.suspend()
        assert status(vm) == "paused"
        vm.resume()
        assert status(vm) == "running"
        vm.power_down()
        assert vm.wait(PATIENCE)
        assert vm.exit_status == 0
        assert not vm.running()
        # Too late, but no error.
        vm.suspend()
        vm.force_down()
    host.assert_clean()


def test_force_down_is_the_end(host: BuildHost, snapshot: Path, bootstrapped: Machine) -> None:
    with a_vm(host, snapshot, options=options(bootstrapped)) as (vm, network):
        vm.start(network)
        vm.force_down()
        assert vm.exit_status == -9
        vm.force_down()
    host.assert_clean()


def test_qemu_has_no_network_but_its_guests(
    host: BuildHost, snapshot: Path, bootstrapped: Machine
) -> None:
    with a_vm(host, snapshot, options=options(bootstrapped)) as (vm, network):
        vm.start(network)
        assert network.dnsmasq is not None
        own, theirs, its = (
            Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", vm.pid, network.dnsmasq.pid)
        )
        assert theirs == its != own
        routes = Path(f"/proc/{vm.pid}/net/route").read_text().splitlines()[1:]
        assert [line.split()[0] for line in routes] == ["br1"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"options": ["-nonsense"]}, VmError, "did not start: .*-nonsense: invalid option"),
        ({"options": None}, VmError, "did not start: .*Could not open 'disk.img'"),
        ({"options": ["-kernel", "none"]}, VmError, "did not start: .*'none'"),
        ({"directory": "/nowhere"}, FileNotFoundError, "/nowhere"),
        ({"user": "bbot-none"}, HostError, "no user bbot-none on this host; make it with"),
    ],
    ids=["option", "disk", "kernel", "directory", "user"],
)
def test_a_machine_that_does_not_start(
    host: BuildHost, changes: dict[str, t.Any], error: type[Exception], words: str
) -> None:
    directory = host.volume / "empty"
    directory.mkdir()
    with a_vm(host, directory, **changes) as (vm, network):
        with pytest.raises(error, match=words):
            vm.start(network)
        assert not vm.running()
    host.assert_clean()


def test_qemu_cannot_read_what_its_user_may_not(host: BuildHost, tmp_path: Path) -> None:
    secret = tmp_path / "secret.img"
    secret.write_bytes(bytes(1 << 20))
    secret.chmod(0o600)
    tmp_path.chmod(0o755)
    directory = host.volume / "empty"
    directory.mkdir()
    drive = ["-drive", f"file={secret},format=raw"]
    with (
        a_vm(host, directory, options=drive) as (vm, network),
        pytest.raises(VmError, match="Permission denied"),
    ):
        vm.start(network)
    assert USER != "root"


def test_a_machine_that_is_killed_is_noticed(
    host: BuildHost, snapshot: Path, bootstrapped: Machine
) -> None:
    with a_vm(host, snapshot, options=options(bootstrapped)) as (vm, network):
        vm.start(network)
        assert vm._qmp is not None
        vm._qmp.execute("quit")
        until(lambda: select.select([vm.fileno()], [], [], 0)[0], "the descriptor is readable")
        assert not vm.running()
        assert vm.exit_status == 0
    host.assert_clean()
